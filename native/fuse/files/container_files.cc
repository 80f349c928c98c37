#include "fuse/files/container_files.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "state/state_file.h"

namespace vprocfs {
namespace {

/// The kernel knows a change by its time: a clock that is set back must not hide one. The same text
/// has the same time: the kernel need not read it again.
uint64_t modified_of(const std::string& text, const CachedTextPtr& before) {
  if (before && before->text == text) return before->modified_ns;
  const uint64_t now_ns = clock_ns(CLOCK_REALTIME);
  return before ? std::max(now_ns, before->modified_ns + 1) : now_ns;
}

/// A text that stays for long takes no more memory than it has bytes: it was made where there is
/// room for most texts.
std::string kept(std::string text) {
  text.shrink_to_fit();
  return text;
}

/// How long a reader counts as being in the middle of a file after it was opened. One that keeps it
/// open longer must not hold it for all others, who would be told the size of its text.
constexpr uint64_t kReaderUs = 5000000;

/// What the text of a mirrored file takes.
size_t room_of(const CachedTextPtr& cached) {
  constexpr size_t kOverhead = 128;
  return cached->text.size() + kOverhead;
}

}  // namespace

TextMark TextMark::of(const std::string& text) {
  return {text.size(), StateFile::checksum(text.data(), text.size())};
}

ContainerFiles::ContainerFiles(Container& container)
    : container_(container), since_us_(boottime_us()) {}

void ContainerFiles::count_open(bool opened) {
  open_files_.fetch_add(opened ? 1 : ~uint64_t{0}, std::memory_order_relaxed);
  if (opened) {
    container_.tenant().resources().note(Resource::kOpenFiles, 1);
  } else {
    container_.tenant().resources().give(Resource::kOpenFiles, 1);
  }
}

void ContainerFiles::count_held(uint64_t more, uint64_t less) {
  held_bytes_.fetch_add(more - less, std::memory_order_relaxed);
  container_.tenant().resources().note(Resource::kHeldBytes, more);
  container_.tenant().resources().give(Resource::kHeldBytes, less);
}

CachedTextPtr ContainerFiles::cached_text(uint16_t view_index) {
  const std::lock_guard lock(mutex_);
  const auto it = cached_.find(view_index);
  return it == cached_.end() ? nullptr : it->second;
}

CachedTextPtr ContainerFiles::set_tick_text(const View& view, Container::RecentText recent) {
  auto made = std::make_shared<CachedText>();
  made->taken_us = recent.taken_us;
  made->made_of = std::move(recent.made_of);
  std::string& text = *recent.text;
  const std::lock_guard lock(mutex_);
  auto& present = cached_[view.index];
  // The columns of meminfo are of fixed widths already, and some match its lines up to their ends.
  // Those of partitions are names at the end, and sizes that do not change.
  const bool fixed = view.changes == Changes::kWithLimits || view.path == "proc/meminfo" ||
                     view.path == "proc/partitions";
  // Lists of CPUs are read at once, and by some that take no blanks at their end (libbpf).
  if (!is_of_sysfs(view)) {
    if (!lengths_) lengths_.emplace(container_, RecordType::kLengths);
    const StableLength length = stabilise(text, lengths_->of(view.index), fixed);
    lengths_->set(view.index, length);
  }
  made->modified_ns = modified_of(text, present);
  made->text = kept(std::move(text));
  present = made;
  return made;
}

CachedTextPtr ContainerFiles::mirror_text(uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto it = mirrored_.find(number);
  return it == mirrored_.end() ? nullptr : it->second;
}

CachedTextPtr ContainerFiles::set_mirror_text(uint32_t number, std::string text,
                                              Mirror::Growth growth, uint64_t now_us) {
  constexpr size_t kMaxMirrorBytes = size_t{256} << 10;
  const std::lock_guard lock(mutex_);
  CachedTextPtr& present = mirrored_[number];
  auto made = std::make_shared<CachedText>();
  if (growth != Mirror::Growth::kNone) {
    made->length = stabilise(text, present ? present->length : StableLength{},
                             growth == Mirror::Growth::kBeyondColumns);
  }
  made->taken_us = now_us;
  made->modified_ns = modified_of(text, present);
  made->text = kept(std::move(text));
  if (present) mirrored_bytes_ -= room_of(present);
  present = made;
  mirrored_bytes_ += room_of(present);
  while (mirrored_bytes_ > kMaxMirrorBytes && mirrored_.size() > 1) {
    const auto oldest = std::min_element(
        mirrored_.begin(), mirrored_.end(),
        [&](const auto& a, const auto& b) { return a.second->taken_us < b.second->taken_us; });
    if (oldest->first == number) break;
    mirrored_bytes_ -= room_of(oldest->second);
    mirrored_.erase(oldest);
  }
  return made;
}

void ContainerFiles::drop_mirror_text(uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto at = mirrored_.find(number);
  if (at == mirrored_.end()) return;
  mirrored_bytes_ -= room_of(at->second);
  mirrored_.erase(at);
}

void ContainerFiles::drop_text(uint16_t view_index) {
  const std::lock_guard lock(mutex_);
  cached_.erase(view_index);
}

void ContainerFiles::drop_texts() {
  const std::lock_guard lock(mutex_);
  cached_.clear();
  mirrored_.clear();
  mirrored_bytes_ = 0;
  for (auto& [view_index, copy] : copies_) {
    // The kernel is about to be given it.
    if (!copy.text || copy.settling != 0) continue;
    copy.of_before = copy_marks().of(view_index);
    copy.dropped_for = copy.text->made_of.cpus;
    copy.text.reset();
  }
}

Result<CachedTextPtr> ContainerFiles::limits_text(const View& view, uint64_t now_us,
                                                  uint64_t tick_us) {
  constexpr uint64_t kOldUs = 1000000;
  const CachedTextPtr present = cached_text(view.index);
  if (present && now_us - present->taken_us < kOldUs) {
    auto shown = container_.shown_cpus(now_us, tick_us);
    if (!shown) return shown.error();
    if (present->made_of.cpus == shown.value()) return present;
  }
  // Limits may have been written since: what is kept is what the text was made for.
  auto rendered = container_.render_recent(view, now_us, tick_us,
                                           present ? present->made_of : Container::MadeOf{});
  if (!rendered) return rendered.error();
  if (!rendered.value().text) {
    present->taken_us = now_us;
    return present;
  }
  std::string& text = *rendered.value().text;
  auto made = std::make_shared<CachedText>();
  made->taken_us = now_us;
  made->made_of = std::move(rendered.value().made_of);
  made->modified_ns = modified_of(text, present);
  made->text = kept(std::move(text));
  const std::lock_guard lock(mutex_);
  cached_[view.index] = made;
  return CachedTextPtr(made);
}

AnnouncedValues<TextMark>& ContainerFiles::copy_marks() {
  if (!copy_marks_) copy_marks_.emplace(container_, RecordType::kCopies);
  return *copy_marks_;
}

ReaderCounts& ContainerFiles::readers() {
  if (!readers_) readers_.emplace(container_);
  return *readers_;
}

ContainerFiles::KernelCopy& ContainerFiles::copy_of(uint16_t view_index) {
  const auto [it, is_new] = copies_.try_emplace(view_index);
  if (is_new) it->second.of_before = copy_marks().of(view_index);
  return it->second;
}

bool ContainerFiles::KernelCopy::says(const std::string& other) const {
  return text ? text->text == other : of_before == TextMark::of(other);
}

ContainerFiles::CopyUse ContainerFiles::hold_copy(uint16_t view_index, const CachedTextPtr& now,
                                                  bool& settling) {
  const std::lock_guard lock(mutex_);
  KernelCopy& copy = copy_of(view_index);
  const bool same = copy.text == now || copy.says(now->text);
  if (!same && is_read(view_index, copy)) return CopyUse::kOwn;
  readers().add(view_index);
  copy.opened_us = boottime_us();
  settling = copy.settling > 0;
  if (!same || !copy.text) copy.text = now;
  if (same) return CopyUse::kShare;
  ++copy.settling;
  // If this worker dies before it has settled, the kernel may have either text.
  copy_marks().set(view_index, {});
  return CopyUse::kReplace;
}

void ContainerFiles::copy_settled(uint16_t view_index) {
  const std::lock_guard lock(mutex_);
  KernelCopy& copy = copy_of(view_index);
  --copy.settling;
  if (copy.settling == 0) copy_marks().set(view_index, TextMark::of(copy.text->text));
}

bool ContainerFiles::is_read(uint16_t view_index, const KernelCopy& copy) {
  const uint64_t now_us = boottime_us();
  if (readers().of_before(view_index) > 0) {
    if (now_us < since_us_ + kReaderUs) return true;
    readers().forget_before();
  }
  return readers().own(view_index) > 0 && now_us < copy.opened_us + kReaderUs;
}

void ContainerFiles::drop_copy(uint16_t view_index, bool own) {
  const std::lock_guard lock(mutex_);
  readers().drop(view_index, own);
}

CachedTextPtr ContainerFiles::kernel_copy(uint16_t view_index) {
  const std::lock_guard lock(mutex_);
  return copy_of(view_index).text;
}

bool ContainerFiles::is_copy_for(uint16_t view_index, const CpuSet& cpus) {
  const std::lock_guard lock(mutex_);
  const KernelCopy& copy = copy_of(view_index);
  return copy.text ? copy.text->made_of.cpus == cpus : copy.dropped_for == cpus;
}

uint64_t ContainerFiles::kernel_size(uint16_t view_index) {
  const std::lock_guard lock(mutex_);
  return copy_of(view_index).size();
}

uint64_t ContainerFiles::settled_size(uint16_t view_index) {
  const std::lock_guard lock(mutex_);
  const KernelCopy& copy = copy_of(view_index);
  return copy.settling == 0 ? copy.size() : 0;
}

bool ContainerFiles::queue_renewal(uint16_t view_index) {
  const std::lock_guard lock(mutex_);
  return !std::exchange(copy_of(view_index).renewal_queued, true);
}

void ContainerFiles::begin_renewal(uint16_t view_index) {
  const std::lock_guard lock(mutex_);
  copy_of(view_index).renewal_queued = false;
}

bool ContainerFiles::kernel_has_other(uint16_t view_index, const std::string& text) {
  const std::lock_guard lock(mutex_);
  const KernelCopy& copy = copy_of(view_index);
  return copy.exists() && !copy.says(text);
}

ContainerFiles::LastOpen ContainerFiles::last_open(size_t connection, uint16_t view_index) {
  const std::lock_guard lock(mutex_);
  return last_open_ ? (*last_open_)[connection][view_index] : LastOpen{};
}

void ContainerFiles::set_last_open(size_t connection, uint16_t view_index, LastOpen last) {
  const std::lock_guard lock(mutex_);
  if (!last_open_) last_open_ = std::make_unique<LastOpens>();
  (*last_open_)[connection][view_index] = last;
}

}  // namespace vprocfs
