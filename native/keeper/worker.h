#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "base/fd.h"
#include "keeper/options.h"
#include "state/keeper_protocol.h"

namespace vprocfs {

/// Where a worker stands.
enum class WorkerState : uint8_t {
  kNone,
  kStarting,
  kReady,
  kActivating,
  kServing,
  kDraining,
  kStopping
};

const char* to_text(WorkerState state);

/// No start takes longer.
constexpr uint64_t kMaxStartMs = 600000;
/// Within which a worker that was killed should have ended.
constexpr uint64_t kUnkillableMs = 1000;

/// One worker process, as the keeper sees it. No allocation.
struct Worker {
  pid_t pid = 0;
  Fd control;
  /// Ready when a thread of it has ended, which is long before the kernel has taken its memory
  /// apart and closes `control`. Two threads, because whichever is the last of all ends only after
  /// that. Not open before Linux 6.9.
  Fd thread, other_thread;
  uint64_t look_at_ms = 0;  ///< since one of them ended: when to look at the others; else 0
  uint32_t looks = 0;       ///< how often we have
  WorkerState state = WorkerState::kNone;
  bool behind = false;  ///< starts behind others, so that it takes longer than if readers waited
  uint32_t generation = 0;  ///< 0: it has not taken over yet
  uint64_t started_ms = 0;
  uint64_t deadline_ms = 0;  ///< when it is killed unless it did what is expected by then
  uint64_t serving_ms = 0;   ///< when it began to serve; 0: it has not
  uint64_t last_beat_ms =
      0;              ///< last time it said that it serves, or when it stands by that it is there
  bool idle = false;  ///< said that it will not say so for some time; see KeeperMessage::kIdleBeat
  uint64_t missed_ms = 0;  ///< when we saw that it had not said so in time
  uint64_t resent = 0, requests = 0;
  uint32_t connections = 0;           ///< that it serves
  uint64_t extended_ms = 0;           ///< of its starved_ms(), for which it has been given time
  const char* kill_reason = nullptr;  ///< why we killed it
  uint64_t killed_ms = 0;             ///< when
  /// Since when we know that somebody else has killed it, and that it does not end; 0: we do not
  uint64_t ending_ms = 0;
  bool moved_out = false;  ///< no longer in the cgroup of our service
  char why[96] = {};       ///< what it gave as the reason of its failure

  bool alive() const { return pid > 0; }
  bool serves() const { return state == WorkerState::kServing && kill_reason == nullptr; }
  /// It has served long enough that its end is not a failure to start.
  bool proven(uint64_t now_ms) const;
  bool send(KeeperMessage type, bool serving = false) const;
  /// Tells it how rarely it may beat while nobody asks anything, and whether it may idle. It beats
  /// at once, unless it is of an earlier version.
  void pace(uint32_t watchdog_ms, bool may_idle) const;
  /// From now on it is to say that it is well.
  void wake(uint32_t watchdog_ms, bool may_idle, uint64_t now_ms);
  /// When is_hung() is to be asked next.
  uint64_t next_check_ms(uint32_t watchdog_ms) const;
  /// It must be replaced: it did not report in time that it is alive, nor within a short time after
  /// we noticed that. (After the whole machine stood still, we may run before the worker or after
  /// it.)
  bool is_hung(uint64_t now_ms, uint32_t watchdog_ms);
  void kill(const char* why, uint64_t now_ms);
  /// Killed, and should have ended by now. It takes no more requests and touches the state no more:
  /// only a system call that it is in, or a frozen cgroup, keeps it.
  bool unkillable(uint64_t now_ms) const;
  /// Stands by, and has not said so for too long.
  bool silent(uint64_t now_ms, uint32_t watchdog_ms) const;
  /// Has everything that is to happen in time happen so much later.
  void postpone(uint64_t by_ms, uint64_t now_ms);
  /// After its deadline: extends the deadline of a worker that is starting or taking over by the
  /// time that other processes kept it from the CPU. False if there was no such time, or if it has
  /// used the maximum time for a start.
  bool extend_deadline(uint64_t now_ms);
  /// Its start behind others (Start::kBesideAnother) is over: its threads are as nice as we are.
  /// As long as another one serves, it goes first when memory is short, however it was started.
  void put_back() const;
  /// Readers wait for it from now on. Not once it has been told to serve, when some of its threads
  /// have a priority of their own. When memory is short it counts as any process.
  void put_first();
  /// Takes note of which threads tell of its end from now on: `reported`, 0 if it did not say, and
  /// another one. Not its first, of which the kernel tells last of all (Linux 6.15).
  void watch_threads(pid_t reported);
  /// Is told of the end of one of these threads: the wait status once all others are as far,
  /// nullopt as long as that is to be looked for again, or if the process has not ended after all.
  std::optional<int> look_at_end(uint64_t now_ms);
  /// Takes one packet, and the descriptor that came with it. False when there was none.
  bool receive(KeeperPacket& packet, Fd& descriptor);

 private:
  /// Until when it is to say that it is well.
  uint64_t due_ms(uint32_t watchdog_ms) const;
};

/// What every worker inherits: descriptors, and the devices of their file systems (0: not known).
struct Inheritance {
  int fuse_fd = -1, state_fd = -1;
  uint64_t device = 0;
  int polled_fuse_fd = -1, polled_state_fd = -1;  ///< -1: there is no such connection
  uint64_t polled_device = 0;
};

/// Whether readers wait for the worker that is started. If they do not, it starts behind others
/// until put_back(), and is the first to go when memory is short until put_first().
enum class Start : uint8_t { kAwaited, kBesideAnother };

/// Starts a worker. False with errno set and no worker. Descriptors arrive as 3, 4 and so on, the
/// control socket as a high one; all are named in its environment.
bool start_worker(const KeeperOptions& options, const Inheritance& inheritance, Start start,
                  uint64_t now_ms, Worker& out);

/// Runs another program in a child with nothing of ours; its PID, -1 with errno set.
pid_t start_program(char* const* argv);

}  // namespace vprocfs
