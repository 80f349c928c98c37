#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/epoll.h"
#include "base/fd.h"
#include "base/result.h"
#include "base/threads.h"
#include "base/unix_socket.h"
#include "base/wake.h"
#include "container/registry.h"
#include "seccomp/answerer.h"
#include "seccomp/message.h"
#include "seccomp/pending_calls.h"
#include "seccomp/writers.h"
#include "state/fd_store.h"
#include "tenant/budget.h"

namespace vprocfs {

struct AgentOptions {
  std::string directory;              ///< of its sockets; empty: no agent
  uint64_t calls_per_second = 0;      ///< of one source that is in no container; 0: no limit
  uint64_t patience_us = 10'000'000;  ///< how long a call waits for an answer before it fails
  Answerer::Options answers;
  /// Agent::listen_problem() has become another. Called by any thread; may be empty.
  std::function<void()> on_listen_problem;
};

/// Answers the system calls that containers' seccomp filters hand over: those of OCI runtimes come
/// through one notify descriptor per container, those of LXC through its monitors. Runs its own
/// threads, which never wait for a caller's memory; writers do that (Writers), at most one for a
/// tenant.
class Agent {
 public:
  /// `fd_store` may be nullptr: calls then end with ENOSYS when this process does.
  Agent(AgentOptions options, Registry& registry, FdStore* fd_store);
  ~Agent();

  /// Listens, and takes what the worker before us had: all that is in the store.
  Result<bool> prepare(std::vector<FdStore::Entry> stored);
  /// Answers from now on. After prepare(). Error: there is no thread for it.
  Result<bool> start();
  /// Answers what is in hand and ends all threads. `for_good`: nobody is to go on.
  void stop(bool for_good);
  /// See Threads.
  void reinforce() { threads_.reinforce(); }

  const CallCounters& counters() const { return counters_; }
  /// Why runtimes cannot hand calls over at the moment, such as another vprocfs that still listens;
  /// empty when they can. It is tried again.
  std::string listen_problem() const;

 private:
  using Kind = FdKind;

  struct Source {
    Source(uint64_t its_key, Kind its_kind, Fd its_fd, uint64_t per_second, bool its_inherited)
        : key(its_key),
          kind(its_kind),
          fd(std::move(its_fd)),
          inherited(its_inherited),
          resumed(its_inherited),
          budget(per_second) {}
    const uint64_t key;
    const Kind kind;
    const Fd fd;
    /// Whose its last call was: while that one's turn is taken, no other is read. 0: not known.
    std::atomic<uint64_t> tenant{0};
    const bool inherited;  ///< of the worker before us
    bool resumed;          ///< likewise, and not read from yet
    std::mutex taking;     ///< of those that were inherited: held while a call is taken
    /// Since when its call waits for an answer that cannot be had (CLOCK_BOOTTIME); 0: none does.
    std::atomic<uint64_t> waits_since_us{0};
    /// kMonitor: key of the kSideListener through which calls are answered that the monitor was
    /// released from; 0: none.
    uint64_t side_listener = 0;
    Budget budget;
  };
  using SourcePtr = std::shared_ptr<Source>;

  /// A question of LXC's monitor, with the descriptors that came with it.
  struct MonitorRequest {
    std::string packet;
    LxcRequest request;
    std::vector<Fd> fds;
    static constexpr size_t kMemory = 1, kNotify = 2, kFds = 3;
  };

  /// What a writer is at.
  struct Writing {
    SourcePtr source;
    std::shared_ptr<Container> who;
    std::unique_ptr<MonitorRequest> asked;  ///< of a monitor
  };

  /// A call that waits for its container's log to be added to.
  struct BlockedCall {
    uint64_t key = 0;  ///< of its source
    ContainerId container;
    uint64_t tenant = 0;
    uint64_t until_us = 0;  ///< CLOCK_BOOTTIME
    size_t place = 0;       ///< among the pending calls
  };

  /// The one writer that a tenant may have, and who waits for it.
  struct Turn {
    bool taken = false, stuck = false;
    size_t slot = 0;
    std::vector<uint64_t> sources;  ///< keys, not read from before
    std::deque<size_t> parked;      ///< calls, by place
  };

  // sources.cc
  Result<bool> adopt_all(std::vector<FdStore::Entry> stored);
  /// False for what only keepers of other versions know, too.
  static bool is_source(Kind kind);
  void adopt_rest();
  /// Has runtimes come to us, now or as soon as nobody else is there to whom they come.
  void try_to_listen();
  /// Tells the other vprocfs that we wait for its place, so that no call goes to the kernel
  /// meanwhile.
  void await_place();
  void await_no_place();
  Result<bool> listen(Kind kind, const char* name, int type);
  void accept(const Source& source);
  /// Returns its key.
  uint64_t add(Kind kind, Fd fd, uint64_t key, bool resumed);
  void become_listener(const Source& runtime, Fd listener);
  void remove(const Source& source);
  SourcePtr find(uint64_t key) const;
  uint64_t new_key();

  // agent.cc: threads and timers
  void rearm(uint64_t key, int fd) const;
  /// `at_us`: CLOCK_BOOTTIME.
  static void arm(const Fd& timer, uint64_t at_us);
  void defer(const Source& source, uint64_t wait_us);
  void arm_pace_timer();
  void on_pace_timer(size_t index);
  void on_watch_timer(size_t index);
  bool is_writing_locked() const;
  void watch_writers();
  void watch_end(size_t slot, int pidfd);
  void run(size_t index);
  void handle(uint64_t key, uint32_t events, size_t index);

  // calls.cc: one call
  void on_runtime(const SourcePtr& source);
  void on_draining_runtime(const Source& source);
  bool has_room() const;
  static int take_call(Source& source, seccomp_notif& notification);
  void on_listener(const SourcePtr& source, size_t index);
  void resume(const PendingCalls::Entry& entry, size_t index);
  void answer_listener(const SourcePtr& source, size_t index);
  void on_monitor(const SourcePtr& source, size_t index);
  bool has_taken(const Source& source, const MonitorRequest* asked, size_t index) const;
  void end_call(const SourcePtr& source, const std::shared_ptr<Container>& who, size_t index);
  bool wait_for_answer(Source& source, bool is_monitor, size_t index);
  /// Has this thread's call resumed after `wait_us`. False: there is no room for it.
  bool put_aside(uint64_t wait_us, size_t index);
  bool take_due_locked(uint64_t now_us, size_t index);
  void resume_in_flight(size_t index);
  bool reply(const Source& source, const seccomp_notif& notification, const Verdict& verdict);
  bool reply_lxc(const Source& source, const MonitorRequest& asked, const Verdict& verdict,
                 size_t index);
  bool was_answered(const Source& source, uint64_t id, int listener_fd) const;
  void count(const Verdict& verdict);
  /// Returns how many µs the container, or the source of an unknown one, has to wait for that.
  uint64_t charge(Source& source, const std::shared_ptr<Container>& who, uint32_t calls);
  void go_on(Source& source, const std::shared_ptr<Container>& who, uint32_t calls, bool rearms);

  // blocked_calls.cc: calls that wait for a log
  bool block(const SourcePtr& source, const std::shared_ptr<Container>& who, size_t index);
  bool block_beside_monitor(Source& monitor, const MonitorRequest& asked,
                            const std::shared_ptr<Container>& who, size_t index);
  void adopt_blocked();
  void drop_idle_side_listeners();
  void resume_blocked(size_t index);
  bool take_blocked(size_t place, size_t index);
  bool take_blocked_locked(size_t place, size_t index);
  bool take_ready(size_t index);
  void on_log(ContainerId id);
  void on_log_ready(size_t index);
  void end_blocked(size_t index);
  void forget_blocked_locked(uint64_t key);

  // writing.cc: what writers do
  enum class WriteOutcome : uint8_t {
    kStarted,
    kPass,   ///< it gets its fallback_verdict(); or the memory of the tenant's callers blocks
    kReply,  ///< nothing is to be written
    kEmpty,  ///< there is nothing in the container's log
    kWait,   ///< for its turn
    kLater,  ///< no writer can be had at the moment
  };
  WriteOutcome outcome_for(CallAnswer& answer, const SourcePtr& source,
                           const std::shared_ptr<Container>& who,
                           std::unique_ptr<MonitorRequest>& asked, size_t index);
  WriteOutcome start_write(const SourcePtr& source, const std::shared_ptr<Container>& who,
                           CallAnswer& answer, std::unique_ptr<MonitorRequest>& asked,
                           size_t index);
  void fill(size_t slot_index, const Source& source, const CallAnswer& answer,
            const MonitorRequest* asked, const PendingCalls::Entry& call);
  bool fill_from_log(size_t slot_index, CallAnswer& answer, ContainerId container, int listener_fd,
                     PendingCalls::Entry& call);
  bool wait_for_turn(Source& source);
  bool is_poisoned(uint64_t key, uint64_t id) const;
  void on_written(size_t index);
  void finish(size_t slot, WriterSlot::End end, size_t index);
  void end_call_of(const Writing& was, bool returned, const Verdict& verdict, uint32_t calls,
                   size_t index);
  void leave_to_next(size_t index);
  /// Whether the thread works on a call that only the next worker can go on with.
  bool keeps_call(size_t index) const;
  void next_turn(uint64_t tenant, size_t index);
  void on_writer_end(size_t slot, size_t index);
  void look_after_writers(size_t index);
  void count(const WriterSlot& slot);
  void adopt_writers();
  void finish_writes();
  void leave_writers(bool for_good);
  void leave(size_t slot);

  static constexpr size_t kThreads = 2, kMaxThreads = PendingCalls::kThreadSlots;

  const AgentOptions options_;
  Registry& registry_;
  FdStore* const fd_store_;
  CallCounters counters_;
  const Answerer answerer_;
  PendingCalls pending_;
  std::vector<PendingCalls::Leftover> leftovers_;     ///< the first thread's
  std::set<std::pair<uint64_t, uint64_t>> poisoned_;  ///< key and id of calls of workers before us
  std::vector<size_t> blocked_before_;                ///< the first thread's
  Epoll epoll_;
  Wake stop_, log_ready_;
  Fd pace_timer_, watch_timer_, listen_timer_;
  size_t log_token_ = 0;
  mutable std::mutex mutex_;  ///< guards what follows, and which places for pending calls are free
  std::unordered_map<uint64_t, SourcePtr> sources_;
  std::string listen_problem_;
  uint64_t listen_wait_us_ = 0;              ///< until it is tried again
  Fd awaited_;                               ///< see await_place()
  std::multimap<uint64_t, uint64_t> paced_;  ///< CLOCK_BOOTTIME in µs to key
  std::multimap<uint64_t, size_t> later_;    ///< likewise, to the place of a call
  uint64_t last_key_ = 0;
  Writers writers_;
  std::array<Writing, PendingCalls::kWriterSlots> writing_;
  std::unordered_map<uint64_t, Turn> turns_;  ///< by tenant
  bool watching_ = false;
  std::condition_variable written_;  ///< a writer is done
  std::list<BlockedCall> blocked_;   ///< those that end first are first
  std::set<size_t> ready_;           ///< places of those whose logs were added to
  /// What was taken from logs for questions of monitors that have to be answered again, by key and
  /// id.
  std::map<std::pair<uint64_t, uint64_t>, LogSpan> taken_;
  std::atomic<bool> stopping_{false};
  Threads threads_{kMaxThreads, [this](size_t index) { run(index); }};
};

}  // namespace vprocfs
