#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "container/life_record.h"
#include "container/resolve.h"
#include "state/state_file.h"

namespace vprocfs {

/// When a PID namespace of a container began.
struct PidNamespaceClock {
  uint64_t init_start_us = 0;  ///< CLOCK_BOOTTIME
  int64_t offset_us = 0;       ///< of its time namespace
};

/// One life of a container: it begins with the PID namespace through which the container was first
/// found, and goes on until the last one in its cgroup has ended. It is kept for the next worker,
/// which may find the container through another of them. Thread-safe.
class Life {
 public:
  /// Goes on with the life that a worker before us has kept if `found` was in it, or if a PID
  /// namespace that was in it still lives. Otherwise a new one begins with `found`. `state` may be
  /// nullptr: nothing is kept then. Borrows both.
  Life(StateFile* state, int procfs_fd, const ContainerDescription& found)
      : Life(state, procfs_fd, found, false) {}

  /// What starts() would say. Changes nothing that is kept.
  static LifeStarts starts_of(StateFile& state, int procfs_fd, const ContainerDescription& found) {
    return Life(&state, procfs_fd, found, true).starts();
  }

  /// Of the PID namespace that it began with, which may have ended.
  const PidNamespaceClock& clock() const { return clock_; }

  /// By which records are known to be of it: as it was constructed.
  const LifeStarts& starts() const { return starts_; }

  /// A PID namespace is in it: to be called for each, also for that of `found`.
  void join(const ContainerDescription& description);

  /// Whether more than one PID namespace was found in it; others of them may have ended.
  bool has_several() const { return has_several_.load(std::memory_order_relaxed); }

  /// The idle time to take off for a PID namespace whose init started at `init_start_us`: nothing
  /// while that is not noted. All of it if there was no room for the namespace.
  std::optional<uint64_t> idle_before(uint64_t init_start_us) const;
  /// Notes that, once and for all: what another thread has noted stays.
  void note_idle_before(uint64_t init_start_us, uint64_t idle_us);

  /// Forgets what is kept: it has ended.
  void drop();

 private:
  /// Of a PID namespace, as we see it.
  struct Init {
    uint64_t start_us = 0;
    uint64_t pid = 0;
  };
  struct Packed;
  struct Member {
    Init init;
    uint64_t idle_before_us = kNotNoted;
  };
  static constexpr uint64_t kNotNoted = UINT64_MAX;
  using Members = std::vector<Member>;

  Life(StateFile* state, int procfs_fd, const ContainerDescription& found, bool only_looks);

  void load(const ContainerDescription& found);
  /// False: the record is of a life that has ended.
  bool load(RecordIndex record, std::string_view content, uint64_t found_start_us);
  /// Goes on with the life whose counters a version that knew no lives has kept, if they were shown
  /// after `found` had begun.
  void load_of_before(const ContainerDescription& found);
  bool lives(const Init& init) const;
  void add_locked(const Init& init);
  void save_locked();
  void drop_locked();

  StateFile* const state_;
  const int procfs_fd_;
  const bool only_looks_;
  const uint64_t key_;
  PidNamespaceClock clock_;
  LifeStarts starts_;
  std::atomic<bool> has_several_{false};
  mutable std::mutex mutex_;  ///< guards what follows
  Members members_;           ///< those that have joined; some may have ended
  RecordIndex record_ = 0;
};

}  // namespace vprocfs
