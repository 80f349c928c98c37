#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "watch/exec_events.h"

namespace vprocfs {

/// Something that happened to mount namespaces of containers.
struct WatchEvent {
  enum class Kind : uint8_t {
    kAppeared,  ///< a program was executed in one that is not known yet
    kMounts,    ///< what is mounted on /proc or /sys of a followed one has changed
    kEnded,     ///< the process through which one was known has ended
    kLost,      ///< some events were lost: look at everything again
  };
  Kind kind = Kind::kLost;
  pid_t pid = 0;
  uint64_t mount_namespace = 0;
};

/// Watches over the mount namespaces of containers on a thread of its own, by events alone:
/// programs that are executed, and the kernel's word that mounts have changed. Decides nothing.
class NamespaceWatch {
 public:
  using OnEvents = std::function<void(std::vector<WatchEvent>)>;

  explicit NamespaceWatch(OnEvents on_events);
  ~NamespaceWatch();

  /// Error: the process connector cannot be had. Then only what is followed is told of.
  Result<bool> start();
  void stop();

  /// Tells of changes of the mounts in the namespace of a process, for as long as that lives.
  /// False: it has ended, or too many are followed.
  bool follow(pid_t pid);
  void unfollow(uint64_t mount_namespace);

 private:
  struct Known {
    pid_t pid = 0;
    uint64_t pids = 0;        ///< its PID namespace
    Fd process;               ///< readable once it has ended
    Fd mounts;                ///< mountinfo; keeps the namespace alive: closed with the process
    uint64_t digest = 0;      ///< of the mounts that matter
    uint64_t not_before = 0;  ///< CLOCK_MONOTONIC, µs: when it may be read again
    bool dirty = false;       ///< has changed since it was read
    bool init = false;        ///< `pid` is the init of `pids`
  };
  struct Reading {
    uint64_t key = 0;
    Fd mounts;
  };
  using Events = std::vector<WatchEvent>;
  using Map = std::unordered_map<uint64_t, Known>;

  void loop();
  void take_execs(Events& out);
  void take_exec(pid_t pid, Events& out);
  void take_known(uint64_t key, bool process, Events& out);
  void read_dirty(Events& out);
  std::vector<Reading> due();
  int wait_ms();
  bool has_room(uint64_t pids) const;
  void drop(Map::iterator it);
  bool watch(uint64_t key, Known known);

  const OnEvents on_events_;
  uint64_t own_mounts_ = 0, own_pids_ = 0;
  ExecEvents execs_;
  bool has_execs_ = false;
  Fd epoll_, wake_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  Map known_;                                      ///< by number of the mount namespace
  std::unordered_map<uint64_t, uint32_t> counts_;  ///< of known ones, by PID namespace
  size_t dirty_ = 0;                               ///< known ones that are
  std::thread thread_;
};

/// A number that changes with the mounts on and below proc and sysfs, given mountinfo's text.
uint64_t digest_of_mounts(std::string_view mountinfo);

}  // namespace vprocfs
