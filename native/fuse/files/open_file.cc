#include "fuse/files/open_file.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <unordered_set>
#include <utility>

#include "fuse/files/container_files.h"

namespace vprocfs {
namespace {

/// An open file as it lies in the state file.
struct OpenRecord {
  uint64_t node;
  uint64_t container;  ///< packed id, 0 the host
  uint64_t request;    ///< identity of the OPEN
  uint64_t checksum;   ///< of the fields above, which never change
  std::atomic<uint32_t> snapshot;
  std::atomic<uint32_t> progress;  ///< the size that its reader knows and kBegun, or 0
};
/// Somebody has read from offset 0. Earlier versions say 0 of all.
constexpr uint32_t kBegun = uint32_t{1} << 31;

OpenRecord* open_record(StateFile& state, RecordIndex record) {
  return reinterpret_cast<OpenRecord*>(state.data(record));
}

// A worker counts handles on from the nanoseconds since boot, and cannot open a file in less than
// one. The two highest bits, which that number needs in 146 years, keep them apart from those of
// workers that counted from 1.
constexpr uint64_t kHandleBits = uint64_t{3} << 62;

/// Of a snapshot whose size its reader knows: until a new one is made, and until that may be
/// longer.
constexpr uint64_t kAnnouncedMaxAgeUs = 1000 * 1000;
constexpr uint64_t kLongestMaxAgeUs = 60 * kAnnouncedMaxAgeUs;

}  // namespace

Snapshot::Snapshot(StateFile& state, std::string text, uint64_t taken_us)
    : state_(state), taken_us_(taken_us) {
  record_ = state_.allocate(RecordType::kSnapshot, text.size());
  if (record_ == 0) {
    private_text_ = std::move(text);
    private_text_.shrink_to_fit();
    text_ = private_text_;
    return;
  }
  uint8_t* to = state_.data(record_);
  std::memcpy(to, text.data(), text.size());
  state_.publish(record_, RecordType::kSnapshot, 0, text.size());
  text_ = {reinterpret_cast<const char*>(to), text.size()};
}

Snapshot::Snapshot(StateFile& state, RecordIndex record, size_t size, uint64_t taken_us)
    : state_(state),
      record_(record),
      text_(reinterpret_cast<const char*>(state.data(record)), size),
      taken_us_(taken_us) {}

Snapshot::~Snapshot() {
  if (record_ != 0 && !keep_) state_.release(record_, RecordType::kSnapshot, 0);
}

size_t Snapshot::room() const {
  constexpr size_t kOverhead = 64;  // of an allocation and of this
  return record_ == 0 ? text_.size() + kOverhead : StateFile::room_for(text_.size());
}

OpenFile::OpenFile(NodeId n, const View* v, std::shared_ptr<Container> c,
                   std::optional<PidNamespaceClock> k)
    : node(n), view(v), container(std::move(c)), clock(k) {
  if (container) ContainerFiles::of(*container).count_open(true);
}

OpenFile::~OpenFile() {
  if (!container) return;
  ContainerFiles::of(*container).count_open(false);
  if (snapshot_) ContainerFiles::of(*container).count_held(0, snapshot_->room());
}

void OpenFile::hold(std::shared_ptr<Snapshot> snapshot) {
  if (container) {
    ContainerFiles::of(*container).count_held(snapshot->room(), snapshot_ ? snapshot_->room() : 0);
  }
  snapshot_ = std::move(snapshot);
}

std::shared_ptr<Snapshot> OpenFile::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

void OpenFile::keep_progress_locked(StateFile& state) {
  if (record_ == 0) return;
  const auto announced = static_cast<uint32_t>(announced_.load());
  open_record(state, record_)->progress = announced == 0 ? 0 : announced | (begun_ ? kBegun : 0);
}

OpenFiles::~OpenFiles() = default;

uint64_t OpenFiles::first_handle() { return kHandleBits | boottime_us() * 1000; }

bool OpenFiles::is_handle(uint64_t handle) { return (handle & kHandleBits) == kHandleBits; }

auto OpenFiles::Shard::find(uint64_t handle, NodeId node) -> decltype(files)::iterator {
  const auto [begin, end] = files.equal_range(handle);
  const auto it = std::find_if(
      begin, end, [node](const auto& entry) { return entry.second->node.raw() == node.raw(); });
  return it == end ? files.end() : it;
}

void OpenFiles::write_record(OpenFile& file, uint64_t handle, uint64_t request) {
  OpenRecord* record = open_record(state_, file.record_);
  record->node = file.node.raw();
  record->container = file.container ? file.container->id().packed() : 0;
  record->request = request;
  record->checksum = StateFile::checksum(record, offsetof(OpenRecord, checksum));
  record->snapshot = file.snapshot_->record();
  record->progress = 0;
  state_.publish(file.record_, RecordType::kOpenFile, handle, sizeof(OpenRecord));
}

std::shared_ptr<Snapshot> OpenFiles::take(std::string text) {
  return std::make_shared<Snapshot>(state_, std::move(text), boottime_us());
}

uint64_t OpenFiles::insert(std::shared_ptr<OpenFile> file, std::string text, uint64_t request) {
  file->hold(take(std::move(text)));
  std::optional<AdoptedHandle> adopted;
  {
    const std::lock_guard lock(adopted_mutex_);
    const auto it = adopted_by_request_.find(request);
    if (it != adopted_by_request_.end()) {
      adopted = it->second;
      adopted_by_request_.erase(it);
    }
  }
  if (adopted) erase(adopted->handle, adopted->node);
  const uint64_t handle = next_handle_.fetch_add(1, std::memory_order_relaxed);
  // One that the state file has no room for is lost by a takeover, nothing else.
  file->record_ = file->snapshot_->record() == 0
                      ? 0
                      : state_.allocate(RecordType::kOpenFile, sizeof(OpenRecord));
  if (file->record_ != 0) write_record(*file, handle, request);
  Shard& s = shard(handle);
  const std::lock_guard lock(s.mutex);
  s.files.emplace(handle, std::move(file));
  return handle;
}

void OpenFiles::restore(uint64_t handle, std::shared_ptr<OpenFile> file, std::string text) {
  file->hold(take(std::move(text)));
  file->begun_ = true;
  Shard& s = shard(handle);
  const std::lock_guard lock(s.mutex);
  const auto it = s.find(handle, file->node);
  if (it != s.files.end()) s.files.erase(it);
  s.files.emplace(handle, std::move(file));
}

std::shared_ptr<OpenFile> OpenFiles::find(uint64_t handle, NodeId node) const {
  Shard& s = shard(handle);
  const std::lock_guard lock(s.mutex);
  const auto it = s.find(handle, node);
  return it == s.files.end() ? nullptr : it->second;
}

std::shared_ptr<OpenFile> OpenFiles::adopted(uint64_t handle) const {
  Shard& s = shard(handle);
  const std::lock_guard lock(s.mutex);
  const auto it = s.files.find(handle);
  return it == s.files.end() ? nullptr : it->second;
}

void OpenFiles::erase(uint64_t handle, NodeId node) {
  std::shared_ptr<OpenFile> gone;
  Shard& s = shard(handle);
  {
    const std::lock_guard lock(s.mutex);
    const auto it = s.find(handle, node);
    if (it == s.files.end()) return;
    gone = std::move(it->second);
    s.files.erase(it);
  }
  // Whoever renews it at this moment, for a reader that was killed, must not write there any more.
  RecordIndex record = 0;
  {
    const std::lock_guard lock(gone->mutex_);
    record = std::exchange(gone->record_, 0);
  }
  // The record goes before the snapshot: a crash in between leaves an orphan, which adopt() drops.
  if (record != 0) state_.release(record, RecordType::kOpenFile, handle);
}

void OpenFiles::renew(OpenFile& file, Result<std::string> text, Renewal renewal) {
  if (!text) return;
  const bool longer = text.value().size() > file.announced_;
  if (longer && renewal == Renewal::kUnlessLonger) return;
  std::shared_ptr<Snapshot> fresh = take(std::move(text.value()));
  std::shared_ptr<Snapshot> old;
  const std::lock_guard lock(file.mutex_);
  old = file.snapshot_;
  file.hold(std::move(fresh));
  if (file.record_ != 0) open_record(state_, file.record_)->snapshot = file.snapshot_->record();
  // Its reader asked a while ago, and reads the file time and again: stdio asks once in its life.
  if (longer) file.announced_ = 0;
  file.keep_progress_locked(state_);
}

uint64_t OpenFiles::announce_size(OpenFile& file) {
  const uint64_t size = file.snapshot()->text().size();
  const std::lock_guard lock(file.mutex_);
  file.announced_ = size;
  file.keep_progress_locked(state_);
  return size;
}

OpenFiles::Renewal OpenFiles::wants_renewal(OpenFile& file, uint64_t offset, uint64_t now_us,
                                            uint64_t max_age_us) {
  if (offset != 0) return Renewal::kNone;
  const bool again = file.begun_.exchange(true);
  const bool announced = file.announced_ != 0;
  if (!again && announced) {
    const std::lock_guard lock(file.mutex_);
    file.keep_progress_locked(state_);
  }
  const uint64_t age_us = file.snapshot()->age_us(now_us);
  if (again) {
    return announced && age_us <= kAnnouncedMaxAgeUs ? Renewal::kUnlessLonger : Renewal::kAlways;
  }
  if (!announced) return age_us > max_age_us ? Renewal::kAlways : Renewal::kNone;
  if (age_us <= std::max(max_age_us, kAnnouncedMaxAgeUs)) return Renewal::kNone;
  return age_us > kLongestMaxAgeUs ? Renewal::kAlways : Renewal::kUnlessLonger;
}

bool OpenFiles::is_stale(const OpenFile& file, uint64_t now_us, uint64_t max_age_us) {
  if (file.begun_ || file.read_) return false;
  return file.snapshot()->age_us(now_us) > std::max(max_age_us, kAnnouncedMaxAgeUs);
}

std::string_view OpenFiles::slice(std::string_view text, uint64_t offset, size_t size) {
  if (offset >= text.size()) return {};
  return text.substr(static_cast<size_t>(offset), size);
}

void OpenFiles::adopt(const std::function<std::shared_ptr<OpenFile>(NodeId, ContainerId)>& make) {
  std::unordered_set<RecordIndex> held;
  state_.for_each(RecordType::kOpenFile, [&](RecordIndex record, uint64_t handle, size_t bytes) {
    if (bytes != sizeof(OpenRecord)) {
      state_.release(record, RecordType::kOpenFile, handle);  // of another version
      return;
    }
    const OpenRecord* r = open_record(state_, record);
    size_t size = 0;
    const RecordIndex snapshot = r->snapshot;
    const bool good = r->checksum == StateFile::checksum(r, offsetof(OpenRecord, checksum)) &&
                      state_.find(snapshot, RecordType::kSnapshot, 0, &size);
    const bool first = good && held.insert(snapshot).second;
    auto file = first ? make(NodeId(r->node), ContainerId::from_packed(r->container)) : nullptr;
    if (!file) {
      if (first) held.erase(snapshot);
      state_.release(record, RecordType::kOpenFile, handle);
      return;
    }
    file->hold(std::make_shared<Snapshot>(state_, snapshot, size, boottime_us()));
    file->record_ = record;
    file->adopted_ = true;
    const uint32_t progress = r->progress;
    file->announced_ = progress & ~kBegun;
    // Where nothing is known of its reader he is shown something new at 0.
    file->begun_ = progress == 0 || (progress & kBegun) != 0;
    file->read_ = true;
    adopted_by_request_.insert_or_assign(r->request, AdoptedHandle{handle, file->node});
    shard(handle).files.emplace(handle, std::move(file));
  });
  state_.for_each(RecordType::kSnapshot, [&](RecordIndex record, uint64_t, size_t) {
    if (held.count(record) == 0) state_.release(record, RecordType::kSnapshot, 0);
  });
}

void OpenFiles::hand_over() {
  for (auto& s : shards_) {
    const std::lock_guard lock(s.mutex);
    for (auto& [handle, file] : s.files) {
      const std::lock_guard file_lock(file->mutex_);
      file->snapshot_->keep();
    }
    s.files.clear();
  }
}

size_t OpenFiles::size() const {
  size_t n = 0;
  for (auto& s : shards_) {
    const std::lock_guard lock(s.mutex);
    n += s.files.size();
  }
  return n;
}

}  // namespace vprocfs
