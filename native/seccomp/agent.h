#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "container/budget.h"
#include "container/registry.h"
#include "seccomp/answerer.h"
#include "seccomp/hand.h"
#include "seccomp/ledger.h"
#include "seccomp/message.h"
#include "seccomp/socket.h"
#include "state/safe.h"

namespace vprocfs {

struct AgentOptions {
  std::string directory;          ///< of its sockets; empty: no agent
  uint64_t calls_per_second = 0;  ///< of one source that is in no container; 0: no limit
  Answerer::Options answers;
};

/// Answers system calls of containers that their seccomp filters hand over: those of OCI runtimes
/// through a notify descriptor each, LXC's through its monitors. Threads of its own; a container
/// holds one of them at most.
class Agent {
 public:
  /// `safe` may be nullptr: calls then end with ENOSYS when this process does.
  Agent(AgentOptions options, Registry& registry, Safe* safe);
  ~Agent();

  /// Listens, and goes on with what the worker before us had: all that the safe has.
  Result<bool> start(std::vector<Safe::Kept> kept);
  /// Answers what is in hand and ends all threads. `for_good`: nobody is to go on.
  void stop(bool for_good);

  const CallCounters& counters() const { return counters_; }

 private:
  /// Numbers are those of SafeTag.
  enum class Kind : uint32_t {
    kLxcSocket = kSafeLxcSocket,
    kOciSocket = kSafeOciSocket,
    kMonitor = kSafeMonitor,  ///< a connection of LXC's
    kListener = kSafeNotify,  ///< a notify descriptor
    kLedger = 5,
    kRuntime = 6,  ///< a connection of an OCI runtime, which is about to hand one over
  };

  struct Source {
    Source(uint64_t its_key, Kind its_kind, Fd its_fd, uint64_t per_second)
        : key(its_key), kind(its_kind), fd(std::move(its_fd)), budget(per_second) {}
    const uint64_t key;
    const Kind kind;
    const Fd fd;
    std::atomic<bool> stuck{false};  ///< a call of it takes too long: others are let through
    bool resumed = false;            ///< of the worker before us, and not read from yet
    Budget budget;
    std::string text;     ///< kRuntime: what came so far
    std::vector<Fd> fds;  ///< kRuntime
  };
  using SourcePtr = std::shared_ptr<Source>;

  // agent.cc: sources and threads
  Result<bool> adopt_all(std::vector<Safe::Kept> kept);
  void adopt_rest();
  Result<bool> listen(Kind kind, const char* name, int type);
  void add(Kind kind, Fd fd, uint64_t key, bool resumed);
  void remove(const Source& source);
  SourcePtr find(uint64_t key) const;
  uint64_t new_key();
  void rearm(uint64_t key, int fd) const;
  void defer(const Source& source, uint64_t wait_us);
  void on_pace_timer();
  void on_watch_timer();
  void watch_hands();
  void spawn();
  void run(size_t index);
  void handle(uint64_t key, uint32_t events, size_t index);
  void accept(const Source& source);

  // calls.cc: one call
  void on_runtime(const SourcePtr& source);
  void on_listener(const SourcePtr& source, size_t index);
  void resume(const Ledger::Entry& entry, size_t index);
  void answer_listener(const SourcePtr& source, const seccomp_notif& notification, size_t index);
  void on_monitor(const SourcePtr& source, size_t index);
  bool reply(const Source& source, const seccomp_notif& notification, const Verdict& verdict);
  bool reply_lxc(const Source& source, std::string packet, const LxcRequest& request,
                 const Verdict& verdict, size_t index);
  bool was_answered(const Source& source, uint64_t id, int listener_fd) const;
  void count(const Verdict& verdict);
  void go_on(Source& source, const std::shared_ptr<Container>& who, Hand::End end);

  static constexpr size_t kThreads = 2, kMaxThreads = Ledger::kHands;

  const AgentOptions options_;
  Registry& registry_;
  Safe* const safe_;
  CallCounters counters_;
  const Answerer answerer_;
  Ledger ledger_;
  std::vector<Ledger::Entry> leftovers_;  ///< the first thread's
  Fd epoll_, stop_, pace_timer_, watch_timer_;
  mutable std::mutex mutex_;  ///< guards what follows
  std::unordered_map<uint64_t, SourcePtr> sources_;
  std::multimap<uint64_t, uint64_t> paced_;  ///< CLOCK_BOOTTIME in µs to key
  std::vector<std::thread> threads_;
  uint64_t last_key_ = 0;
  std::array<Hand, kMaxThreads> hands_;
  std::atomic<size_t> idle_{0};
  std::atomic<bool> stopping_{false}, watching_{false};
};

}  // namespace vprocfs
