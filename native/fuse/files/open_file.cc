#include "fuse/files/open_file.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "fuse/files/container_files.h"
#include "fuse/files/open_record.h"

namespace vprocfs {
namespace {

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
  OpenRecord::at(state, record_)->progress =
      announced == 0 ? 0 : announced | (begun_ ? OpenRecord::kBegun : 0);
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

auto OpenFiles::Shard::find_left(uint64_t handle, NodeId node) -> decltype(left)::iterator {
  const auto it = left.find(handle);
  return it != left.end() && it->second.node.raw() == node.raw() ? it : left.end();
}

void OpenFiles::write_record(OpenFile& file, uint64_t handle, uint64_t request) {
  OpenRecord* record = OpenRecord::at(state_, file.record_);
  record->node = file.node.raw();
  record->container = file.container ? file.container->id().packed() : 0;
  record->request = request;
  record->checksum = record->sum();
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

std::shared_ptr<OpenFile> OpenFiles::find(uint64_t handle, NodeId node) {
  Shard& s = shard(handle);
  const auto known = [&] {
    const auto it = s.find(handle, node);
    return it == s.files.end() ? nullptr : it->second;
  };
  {
    const std::lock_guard lock(s.mutex);
    if (auto file = known()) return file;
    if (s.find_left(handle, node) == s.left.end()) return nullptr;
  }
  take_over(handle);
  const std::lock_guard lock(s.mutex);
  return known();
}

void OpenFiles::erase(uint64_t handle, NodeId node) {
  std::shared_ptr<OpenFile> gone;
  Left left;
  Shard& s = shard(handle);
  {
    const std::lock_guard lock(s.mutex);
    const auto it = s.find(handle, node);
    if (it != s.files.end()) {
      gone = std::move(it->second);
      s.files.erase(it);
    } else if (const auto at = s.find_left(handle, node); at != s.left.end()) {
      left = at->second;
      s.left.erase(at);
    }
  }
  // The record goes before the snapshot: see below.
  if (left.record != 0) {
    state_.release(left.record, RecordType::kOpenFile, handle);
    state_.release(left.snapshot, RecordType::kSnapshot, 0);
  }
  if (!gone) return;
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
  if (file.record_ != 0) {
    OpenRecord::at(state_, file.record_)->snapshot = file.snapshot_->record();
  }
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

void OpenFiles::hand_over() {
  for (auto& s : shards_) {
    const std::lock_guard lock(s.mutex);
    for (auto& [handle, file] : s.files) {
      const std::lock_guard file_lock(file->mutex_);
      file->snapshot_->keep();
    }
    s.files.clear();
    s.left.clear();
  }
}

size_t OpenFiles::size() const {
  size_t n = 0;
  for (auto& s : shards_) {
    const std::lock_guard lock(s.mutex);
    n += s.files.size() + s.left.size();
  }
  return n;
}

}  // namespace vprocfs
