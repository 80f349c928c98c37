#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/epoll.h"
#include "base/fd.h"
#include "base/fnv.h"
#include "base/result.h"
#include "base/thread.h"
#include "base/wake.h"
#include "source/read_file.h"
#include "watch/process_events.h"
#include "watch/tenants.h"

namespace vprocfs {

/// Something that happened to mount namespaces of containers.
struct WatchEvent {
  enum class Kind : uint8_t {
    kAppeared,  ///< a program was executed in one that is not known yet, or for the first time by
                ///< the process through which one is known
    kMounts,    ///< what is mounted on /proc or /sys of a followed one has changed
    kEnded,     ///< the process through which one was known has ended
    kLost,      ///< some events were lost, or there is room again: look at everything again
  };
  Kind kind = Kind::kLost;
  pid_t pid = 0;
  uint64_t mount_namespace = 0;
  uint64_t tenant = 0;  ///< see Tenants
  /// `pid` is the init of the PID namespace of all in the mount namespace, who end with it. kEnded:
  /// it was, and has not just moved to another mount namespace.
  bool init = false;
};

/// Watches the mount namespaces of containers on its own threads, driven only by events: programs
/// that are executed, and the kernel's notification that mounts have changed. Decides nothing. What
/// one tenant's namespaces cost is bounded: their number, and the time in which their mounts are
/// read.
class NamespaceWatch {
 public:
  using OnEvents = std::function<void(std::vector<WatchEvent>)>;

  /// Called from several threads, never from two at once.
  explicit NamespaceWatch(OnEvents on_events);
  ~NamespaceWatch() { stop(); }

  /// Errors: the process connector cannot be opened, so only followed namespaces have events.
  /// is_shortage(): a thread, a descriptor or memory is short at the moment; call start() again.
  /// EOPNOTSUPP: see ProcessEvents::open(); call it again after long.
  Result<bool> start();
  void stop();

  enum class Follow : uint8_t {
    kFollowed,
    kEnded,     ///< the process has
    kFull,      ///< its tenant, or all together, have as many as can be followed
    kShortage,  ///< no descriptor or no memory is to be had at the moment
  };
  /// Reports changes of the mounts in the namespace of a process, for as long as the process lives.
  Follow follow(pid_t pid);

  /// The key of its tenant, as events have it; 0: it is the host's, or has ended, or something is
  /// short, and then everything is to be looked at again soon (kLost).
  uint64_t tenant_of(pid_t pid);

  struct State {
    size_t known = 0;         ///< namespaces that are known
    size_t limit = 0;         ///< how many can be known
    size_t tenant_limit = 0;  ///< how many of one tenant can be known
    uint64_t refused = 0;     ///< how often there was no room for one, since the start
    uint64_t crowded = 0;     ///< those whose tenant had room, but all together had too many
    uint64_t shortages = 0;   ///< how often there was no descriptor or memory, since the start
  };
  State state() const;

 private:
  /// A namespace, known through one of its processes.
  struct Known {
    pid_t pid = 0;
    uint64_t serial = 0;      ///< differs from that of an earlier namespace with its number
    uint64_t pids = 0;        ///< its PID namespace
    uint64_t tenant = 0;      ///< see Tenants
    Fd process;               ///< readable once it has ended
    Fd mounts;                ///< mountinfo, if followed; it keeps the namespace alive
    uint64_t digest = 0;      ///< of the mounts that matter
    uint64_t not_before = 0;  ///< CLOCK_MONOTONIC, µs: when it may be read again
    bool dirty = false;       ///< its mounts have changed since they were read
    bool reopened = false;    ///< `mounts` was, and they have not changed since
    bool init = false;        ///< `pid` is the init of `pids`
    bool executed = false;    ///< `pid` has executed a program since it is known
    bool shared = false;      ///< it was known through a process of another PID namespace before

    /// Whether everybody in it ends with `pid`.
    bool ends_with_pid() const { return init && !shared; }
  };
  /// What a tenant's namespaces take.
  struct Use {
    uint32_t count = 0;
    bool refused = false;     ///< there was no room for one more
    bool reading = false;     ///< the mounts of one of them are being read
    uint64_t not_before = 0;  ///< CLOCK_MONOTONIC, µs: when the next one may be read
    uint64_t spent_us = 0;    ///< reading, on the scale of `clock_us_`
  };
  /// The mounts of a namespace, which are being read.
  struct Reading {
    uint64_t key = 0, serial = 0, tenant = 0;
    pid_t pid = 0;
    Fd mounts;
    size_t offset = 0;
    uint64_t took_us = 0;     ///< of CPU time
    uint64_t owed_us = 0;     ///< the part of it for which the tenant has not rested
    uint64_t not_before = 0;  ///< CLOCK_MONOTONIC, µs: when the next piece may be read
    LineCutter lines;
    uint64_t digest = kFnvSeed;  ///< of those lines of mountinfo that matter

    void feed(std::string_view piece);
  };
  using Events = std::vector<WatchEvent>;
  using Map = std::unordered_map<uint64_t, Known>;

  // namespace_watch.cc: events of the kernel
  void loop();
  void take_execs(Events& out);
  void take_exec(pid_t pid, Events& out);
  /// Whether a namespace, in which `pid` has executed a program, is known by an init that lives.
  /// Forgets one whose process has ended.
  bool has_living_init(uint64_t key, pid_t pid, Events& out);
  /// Whether a program in a namespace, and with these PIDs, is worth asking for its tenant.
  bool is_wanted(uint64_t key, uint64_t pids);
  void add_exec(pid_t pid, uint64_t key, uint64_t pids, uint64_t tenant, Events& out);
  void take_known(uint64_t key, bool process, Events& out);
  int wait_ms();
  void emit(Events events);

  // mount_reading.cc: each tenant's in turn
  void read_loop();
  bool wait_for_due(std::vector<std::unique_ptr<Reading>>& readings);
  void begin_due(std::vector<std::unique_ptr<Reading>>& readings, uint64_t now);
  uint64_t next_due(const std::vector<std::unique_ptr<Reading>>& readings) const;
  void drop_ended(std::vector<std::unique_ptr<Reading>>& readings);
  void give_back(const Reading& reading);
  size_t choose(const std::vector<std::unique_ptr<Reading>>& readings) const;
  void finish(Reading& reading, bool whole, Events& out);
  /// Has `fresh` read in place of what has shown nothing. False: that would show the same.
  bool replace(Known& known, uint64_t key, Result<Fd> fresh);

  Result<bool> open();
  /// Has executed programs reported.
  Result<bool> listen();
  bool watch(uint64_t key, Known known);

  // namespace_room.cc: what each tenant may have
  size_t tenant_limit() const;
  bool has_room(uint64_t tenant);
  void note_shortage();
  Result<uint64_t> key_of(Result<TenantNamespace> tenant);
  /// Forgets a namespace, and reports that there is room if others were refused.
  void drop(Map::iterator it, Events& out);
  /// Forgets a namespace.
  void take_out(Map::iterator it);

  static constexpr uint64_t kRetryUs = 1'000'000;

  const OnEvents on_events_;
  const uint64_t own_mounts_, own_pids_;
  const size_t limit_;
  ProcessEvents execs_;
  Epoll epoll_;
  Wake wake_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::mutex emit_mutex_;
  std::condition_variable due_;
  Map known_;  ///< by number of the mount namespace
  Tenants tenants_;
  std::unordered_map<uint64_t, Use> uses_;  ///< by tenant
  std::vector<Fd> closing_;                 ///< of forgotten namespaces; the reader closes them
  bool full_ = false;                       ///< there was no room for another one of any tenant
  size_t dirty_ = 0;                        ///< how many known ones are dirty
  uint64_t clock_us_ = 0;                   ///< `Use::spent_us` of the tenant that was read last
  uint64_t serial_ = 0;
  uint64_t retry_us_ = 0;  ///< CLOCK_MONOTONIC: when to look again after a shortage; 0: never
  State state_;
  Thread thread_, reader_;
};

}  // namespace vprocfs
