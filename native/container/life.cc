#include "container/life.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "base/clock_tick.h"
#include "base/pidfd.h"
#include "base/wide.h"
#include "container/history_record.h"
#include "source/process.h"

namespace vprocfs {
namespace {

/// The registry tells no more of them apart.
constexpr size_t kMaxInits = 16;

std::string begin_of(const PidNamespaceClock& clock) {
  std::string begin;
  append(begin, clock.init_start_us);
  return begin;
}

}  // namespace

/// So many inits follow, and then as many times of idle_before(), which earlier versions do not
/// have. More may follow them in later versions.
struct Life::Packed {
  PidNamespaceClock clock;
  uint64_t count;
};

Life::Life(StateFile* state, int procfs_fd, const ContainerDescription& found, bool only_looks)
    : state_(state),
      procfs_fd_(procfs_fd),
      only_looks_(only_looks),
      key_(found.id.packed()),
      clock_{found.init_start_us, found.boottime_offset_us} {
  if (state_ != nullptr) load(found);
  const auto note = [this](uint64_t start_us) {
    if (!starts_.has(start_us)) starts_.others_us.push_back(start_us);
  };
  starts_.first_us = clock_.init_start_us;
  note(found.init_start_us);
  for (const Member& member : members_) note(member.init.start_us);
  has_several_ = members_.size() > 1;
}

void Life::load(const ContainerDescription& found) {
  bool is_kept = false;
  state_->for_each_of(key_, RecordType::kLife, [&](RecordIndex record, std::string_view content) {
    is_kept = true;
    if (load(record, content, found.init_start_us) || only_looks_) return;
    state_->release(record, RecordType::kLife, key_);
  });
  if (!is_kept) load_of_before(found);
}

bool Life::load(RecordIndex record, std::string_view content, uint64_t found_start_us) {
  static_assert(std::is_trivially_copyable_v<Packed> && std::is_trivially_copyable_v<Init>);
  Packed packed;
  if (content.size() < sizeof(packed)) return false;
  std::memcpy(&packed, content.data(), sizeof(packed));
  if (packed.count > (content.size() - sizeof(packed)) / sizeof(Init)) return false;
  Members members(packed.count);
  const size_t end_of_inits = sizeof(packed) + members.size() * sizeof(Init);
  constexpr size_t kBytes = sizeof(Member::idle_before_us);
  const bool tells_idle = content.size() - end_of_inits >= members.size() * kBytes;
  for (size_t i = 0; i < members.size(); ++i) {
    Member& member = members[i];
    std::memcpy(&member.init, content.data() + sizeof(packed) + i * sizeof(Init), sizeof(Init));
    if (!tells_idle) continue;
    std::memcpy(&member.idle_before_us, content.data() + end_of_inits + i * kBytes, kBytes);
  }
  const auto is_in_it = [&](const Member& member) {
    return member.init.start_us == found_start_us || lives(member.init);
  };
  if (std::none_of(members.begin(), members.end(), is_in_it)) return false;
  // A worker that died while it saved leaves two of one life: the later one has more.
  const auto extent = [](const Members& all) {
    const auto noted = std::count_if(all.begin(), all.end(), [](const Member& member) {
      return member.idle_before_us != kNotNoted;
    });
    return std::pair(all.size(), noted);
  };
  if (extent(members) < extent(members_)) return false;
  drop_locked();
  clock_ = packed.clock;
  members_ = std::move(members);
  record_ = record;
  return true;
}

void Life::load_of_before(const ContainerDescription& found) {
  // When a time namespace shifts uptime, it does not tell when that was.
  if (found.boottime_offset_us != 0) return;
  state_->for_each_of(key_, RecordType::kHistory, [&](RecordIndex, std::string_view content) {
    PidNamespaceClock clock;
    CpuHistory history;
    constexpr size_t kBegin = sizeof(clock.init_start_us);
    if (content.size() < kBegin) return;
    const std::string_view packed = content.substr(kBegin);
    if (!unpack_history(packed.data(), packed.size(), history)) return;
    std::memcpy(&clock.init_start_us, content.data(), kBegin);
    const uint64_t shown_us = saturating_add(clock.init_start_us, history.uptime_us);
    // The start is in whole ticks, rounded down.
    const bool while_found_lived = shown_us >= found.init_start_us + kClockTickUs;
    if (while_found_lived && clock.init_start_us < clock_.init_start_us) clock_ = clock;
  });
}

bool Life::lives(const Init& init) const {
  const auto pid = static_cast<pid_t>(init.pid);
  const Fd process = open_pidfd(pid);
  // One that cannot be looked at may live: then no counter goes back.
  if (!process) return process_errno(errno) != ESRCH;
  const auto start = read_start_ticks(procfs_fd_, pid);
  return start && start.value() * kClockTickUs == init.start_us && !has_ended(process);
}

void Life::join(const ContainerDescription& description) {
  const Init init{description.init_start_us, static_cast<uint64_t>(description.init)};
  const std::lock_guard lock(mutex_);
  const auto is_it = [&](const Member& one) {
    return one.init.start_us == init.start_us && one.init.pid == init.pid;
  };
  const bool is_new = std::none_of(members_.begin(), members_.end(), is_it);
  if (is_new) add_locked(init);
  // There may have been no room.
  if (!is_new && record_ == 0) save_locked();
}

void Life::add_locked(const Init& init) {
  has_several_ = has_several_ || !members_.empty();
  if (members_.size() >= kMaxInits) {
    const auto has_ended = [this](const Member& one) { return !lives(one.init); };
    members_.erase(std::remove_if(members_.begin(), members_.end(), has_ended), members_.end());
  }
  if (members_.size() >= kMaxInits) return;
  members_.push_back({init});
  save_locked();
}

std::optional<uint64_t> Life::idle_before(uint64_t init_start_us) const {
  const std::lock_guard lock(mutex_);
  for (const Member& one : members_) {
    if (one.init.start_us != init_start_us) continue;
    if (one.idle_before_us == kNotNoted) return std::nullopt;
    return one.idle_before_us;
  }
  return UINT64_MAX;
}

void Life::note_idle_before(uint64_t init_start_us, uint64_t idle_us) {
  const std::lock_guard lock(mutex_);
  bool is_changed = false;
  for (Member& one : members_) {
    if (one.init.start_us != init_start_us || one.idle_before_us != kNotNoted) continue;
    one.idle_before_us = idle_us;
    is_changed = true;
  }
  if (is_changed) save_locked();
}

void Life::save_locked() {
  if (state_ == nullptr) return;
  std::string packed;
  append(packed, Packed{clock_, members_.size()});
  for (const Member& member : members_) append(packed, member.init);
  for (const Member& member : members_) append(packed, member.idle_before_us);
  record_ = state_->replace(record_, RecordType::kLife, key_, packed, begin_of(clock_));
}

void Life::drop() {
  const std::lock_guard lock(mutex_);
  drop_locked();
}

void Life::drop_locked() {
  if (record_ == 0 || only_looks_) return;
  state_->release(std::exchange(record_, 0), RecordType::kLife, key_, begin_of(clock_));
}

}  // namespace vprocfs
