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
#include <optional>
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
  uint64_t calls_per_second = 0;      ///< from one source in no known container; 0: no limit
  uint64_t patience_us = 10'000'000;  ///< how long a call waits for an answer before it fails
  Answerer::Options answers;
  /// Called by any thread when Agent::listen_problem() has changed; may be empty.
  std::function<void()> on_listen_problem;
};

/// Answers the system calls that containers' seccomp filters hand over: those of OCI runtimes come
/// through one notify descriptor per container, those of LXC through its monitors. Runs its own
/// threads, which never wait for a caller's memory. Writers do that (Writers), at most one for each
/// tenant: the tenant's turn.
///
/// Every source is armed for one event (EPOLLONESHOT), so only one thread works on it at a time. It
/// is armed again when its call has ended, when the call was blocked, or after a pause when it is
/// over its budget. A thread works on the call in its slot (PendingCalls::in_flight()), whose
/// number is `index`. Functions that end in _locked are called with mutex_ held.
class Agent {
 public:
  /// `fd_store` may be nullptr: calls then end with ENOSYS when this process does.
  Agent(AgentOptions options, Registry& registry, FdStore* fd_store);
  ~Agent() { stop(false); }

  /// Listens, and takes over what the worker before us had: `stored` is all that is in the store.
  Result<bool> prepare(std::vector<FdStore::Entry> stored);
  /// Answers calls from now on. After prepare(). Error: no thread can be started.
  Result<bool> start() { return threads_.start(kThreads); }
  /// Answers what is in flight and ends all threads. `for_good`: there will be no next worker.
  void stop(bool for_good);
  /// See Threads.
  void reinforce() { threads_.reinforce(); }

  const CallCounters& counters() const { return counters_; }
  /// Why runtimes cannot hand calls over at the moment, such as another vprocfs that still listens;
  /// empty when they can. The agent tries again by itself.
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
    /// The tenant of its last call: while that tenant's turn is in use, no call is received. 0: not
    /// known.
    std::atomic<uint64_t> tenant{0};
    const bool inherited;  ///< from the worker before us
    bool resumed;          ///< inherited, and not read from yet
    std::mutex taking;     ///< of an inherited one: held while a call is received
    /// Since when its call waits for an answer that cannot be had (CLOCK_BOOTTIME); 0: none does.
    std::atomic<uint64_t> waits_since_us{0};
    /// kMonitor: the id of its present question, 0 if there is none, and when that was first read
    /// (CLOCK_BOOTTIME).
    std::atomic<uint64_t> asked_id{0};
    uint64_t asked_us = 0;
    bool is_heard = false;  ///< kMonitor: we have answered a question of it
    /// kMonitor: what was taken from a log for its present question, if that has to be answered
    /// again because its writer was killed; and the id of that question's call.
    LogSpan taken;
    uint64_t taken_for = 0;
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

  /// The call that a writer works on.
  struct Writing {
    SourcePtr source;
    std::shared_ptr<Container> who;
    std::unique_ptr<MonitorRequest> asked;  ///< nullptr: it did not come from a monitor
  };

  /// A call that waits for its container's log to be added to.
  struct BlockedCall {
    uint64_t key = 0;  ///< of its source
    ContainerId container;
    uint64_t tenant = 0;
    uint64_t until_us = 0;  ///< CLOCK_BOOTTIME
    size_t place = 0;       ///< among the pending calls
  };

  /// The one thread that looks for a tenant's answers, the one writer that it may have, and what
  /// waits for them.
  struct Turn {
    bool answering = false;  ///< a thread has it
    bool taken = false;      ///< the tenant has a writer, in `slot`
    bool stuck = false;      ///< that was killed and does not end: nobody waits for it
    bool checked = false;    ///< among `checks_`
    size_t slot = 0;
    std::deque<uint64_t> sources;  ///< keys of sources to arm, one after the other
    std::deque<size_t> parked;     ///< places of parked calls

    bool in_use() const { return answering || (taken && !stuck); }
  };

  // sources.cc
  Result<bool> adopt_all(std::vector<FdStore::Entry> stored);
  Result<bool> open_pending_calls(const std::vector<FdStore::Entry>& stored);
  /// False also for kinds that only keepers of other versions know.
  static bool is_source(Kind kind);
  /// Listens on the sockets, and tries again later while another vprocfs does.
  void try_to_listen();
  Result<bool> listen(Kind kind, const char* name, int type);
  void accept(const Source& source);
  void drop_oldest_runtimes();
  /// Adds a source and returns its key; `key` 0: a new one.
  uint64_t add(Kind kind, Fd fd, uint64_t key, bool resumed);
  void become_listener(const Source& runtime, Fd listener);
  void remove(const Source& source);
  SourcePtr find(uint64_t key) const;
  uint64_t new_key();

  // successor.cc: what a vprocfs that ends hands over
  /// Tells the other vprocfs that we wait for its place, so that it lets no call go to the kernel
  /// meanwhile; stop_awaiting_place() ends that.
  void await_place();
  void stop_awaiting_place();
  bool is_taken(const FdStore::Entry& one) const;
  void adopt_passed_through();

  // agent.cc: threads and timers
  void rearm(uint64_t key, int fd) const;
  /// `at_us`: CLOCK_BOOTTIME.
  static void arm(const Fd& timer, uint64_t at_us);
  /// Arms a source again after `wait_us`.
  void defer(const Source& source, uint64_t wait_us);
  void arm_pace_timer_locked();
  void on_pace_timer(size_t index);
  void on_watch_timer(size_t index);
  bool is_writing_locked() const;
  void watch_writers_locked();
  void watch_end(size_t slot, int pidfd);
  void run(size_t index);
  void handle(uint64_t key, uint32_t events, size_t index);

  // calls.cc: one call
  void on_runtime(const SourcePtr& source);
  void on_draining_runtime(const Source& source);
  bool has_room() const;
  static int take_call(Source& source, seccomp_notif& notification);
  void on_call(const SourcePtr& source, size_t index);
  void on_listener(const SourcePtr& source, size_t index);
  void resume(const PendingCalls::Entry& entry, size_t index);
  void answer_listener(const SourcePtr& source, size_t index);
  std::optional<Verdict> decide(const SourcePtr& source, const seccomp_notif& notification,
                                int listener_fd, std::shared_ptr<Container>& who,
                                std::unique_ptr<MonitorRequest>& asked, size_t index);
  /// How far an answer has come.
  enum class Progress : uint8_t {
    kStarted,  ///< a writer has it
    kWait,     ///< the call waits for its tenant's turn
    kPass,     ///< none: the call gets its fallback_verdict()
    kReply,    ///< nothing is to be written: the call gets CallAnswer::reply
    kEmpty,    ///< there is nothing in the container's log
    kLater,    ///< the answer, or a writer for it, cannot be had at the moment
  };
  Progress begin_answer(CallAnswer& answer, const SourcePtr& source,
                        const std::shared_ptr<Container>& who,
                        std::unique_ptr<MonitorRequest>& asked, size_t index);
  bool has_taken(const Source& source, const MonitorRequest* asked, size_t index) const;
  void end_call(const SourcePtr& source, const std::shared_ptr<Container>& who, size_t index);
  bool try_later(Source& source, bool is_monitor, size_t index);
  /// Parks this thread's call and has it resumed after `wait_us`. False: there is no room.
  bool put_aside(uint64_t wait_us, size_t index);
  bool take_due_locked(uint64_t now_us, size_t index);
  void resume_in_flight(size_t index);
  void reply(const Source& source, const seccomp_notif& notification, const Verdict& verdict);
  void count(const Verdict& verdict);
  /// Charges the tenant, or the source if `who` is nullptr, for `calls`. Returns how many µs it has
  /// to wait until it is within its budget again.
  uint64_t charge(Source& source, const std::shared_ptr<Container>& who, uint32_t calls);
  void charge_and_rearm(Source& source, const std::shared_ptr<Container>& who, uint32_t calls,
                        bool was_disarmed);

  // monitors.cc: questions of LXC's monitors
  void on_monitor(const SourcePtr& source, size_t index);
  std::unique_ptr<MonitorRequest> read_question(const Source& source);
  /// What the worker before us did about the question that it left.
  enum class Former : uint8_t {
    kNothing,
    kAnswered,
    kUnknown,  ///< it died while it answered, and may have or not
  };
  Former former_answer(const Source& source, uint64_t id, int listener_fd) const;
  bool is_question_open(const Source& source, const MonitorRequest& asked);
  static bool has_given_up(const Source& source, const MonitorRequest& asked);
  bool reply_lxc(Source& source, const MonitorRequest& asked, const Verdict& verdict, size_t index);

  // blocked_calls.cc: calls that wait for a log
  size_t count_blocked_locked(uint64_t tenant);
  bool block(const SourcePtr& source, const std::shared_ptr<Container>& who, size_t index);
  SourcePtr side_listener(const MonitorRequest& asked, uint64_t tenant);
  bool block_beside_monitor(const MonitorRequest& asked, const std::shared_ptr<Container>& who,
                            size_t index);
  void adopt_blocked();
  void drop_idle_side_listeners();
  void resume_blocked(size_t index);
  bool take_blocked_locked(size_t place, size_t index);
  bool take_ready(size_t index);
  void on_log(ContainerId id);
  void on_log_ready(size_t index);
  void end_blocked(size_t index);
  void forget_blocked_locked(uint64_t key);

  // turns.cc: tenants' turns
  bool is_of_too_many(Source& source, uint64_t tenant) const;
  bool begin_turn(uint64_t tenant, const Source& source);
  bool begin_turn_of_call(uint64_t& tenant, size_t index);
  void queue_source_locked(uint64_t tenant, uint64_t key);
  void arm_next_locked(Turn& turn);
  void check_turns_locked(uint64_t now_us);
  void forget_idle_turn_locked(uint64_t tenant);
  void leave_turn(uint64_t tenant, size_t index);
  void end_turn(uint64_t tenant, size_t index);

  // writing.cc: calls whose answers writers write
  Progress start_write(const SourcePtr& source, const std::shared_ptr<Container>& who,
                       CallAnswer& answer, std::unique_ptr<MonitorRequest>& asked, size_t index);
  Progress take_turn(const Source& source, uint64_t tenant, bool is_monitor, size_t index,
                     size_t& slot_index);
  void undo_turn_locked(uint64_t tenant, size_t slot_index);
  static void keep_taken(Source& monitor, PendingCalls::Entry& call);
  Progress join_turn_locked(uint64_t tenant, const Source& source, bool is_monitor, size_t index);
  void fill(size_t slot_index, const Source& source, const CallAnswer& answer,
            const MonitorRequest* asked, const PendingCalls::Entry& call);
  bool fill_from_log(size_t slot_index, CallAnswer& answer, ContainerId container, int listener_fd,
                     PendingCalls::Entry& call);
  bool is_poisoned(uint64_t key, uint64_t id) const { return poisoned_.count({key, id}) != 0; }
  void on_written(size_t index);
  void finish(size_t slot, WriterSlot::End end, size_t index);
  void answer_again(const Writing& was, uint32_t calls, size_t index);
  void park_for_next_worker(size_t index);
  /// Whether the call in the thread's slot has to stay there for the next worker.
  bool keeps_call(size_t index) const;
  void on_writer_end(size_t slot, size_t index);
  void check_writers(size_t index);
  void count(const WriterSlot& slot);
  void adopt_writers();
  void finish_writes();
  void leave_writers(bool for_good);
  void leave_call(size_t slot);

  static constexpr size_t kThreads = 2, kMaxThreads = PendingCalls::kThreadSlots;

  const AgentOptions options_;
  Registry& registry_;
  FdStore* const fd_store_;
  CallCounters counters_;
  const Answerer answerer_;
  PendingCalls pending_;
  // What earlier workers left; the first thread resumes it.
  std::vector<PendingCalls::Leftover> leftovers_;
  std::set<std::pair<uint64_t, uint64_t>> poisoned_;  ///< key and id of their poisoned calls
  std::vector<size_t> blocked_before_;                ///< places of their blocked calls
  Epoll epoll_;
  Wake stop_, log_ready_;
  Fd pace_timer_, watch_timer_, listen_timer_;
  uint64_t listen_wait_us_ = 0;  ///< how long try_to_listen() waits before it tries again
  Fd awaited_;                   ///< see await_place()
  size_t log_token_ = 0;
  mutable std::mutex mutex_;  ///< guards what follows, and which places for pending calls are free
  std::unordered_map<uint64_t, SourcePtr> sources_;
  std::string listen_problem_;
  std::multimap<uint64_t, uint64_t> paced_;  ///< when to arm which source: CLOCK_BOOTTIME, key
  std::multimap<uint64_t, size_t> later_;    ///< when to resume which parked call: likewise, place
  uint64_t last_key_ = 0;
  Writers writers_;
  std::array<Writing, PendingCalls::kWriterSlots> writing_;
  std::unordered_map<uint64_t, Turn> turns_;  ///< by tenant
  std::multimap<uint64_t, uint64_t> checks_;  ///< when to look after whose turn, as `paced_`
  bool watching_ = false;
  std::condition_variable written_;  ///< a writer is done
  std::list<BlockedCall> blocked_;   ///< by `until_us`
  std::set<size_t> ready_;           ///< places of those whose logs were added to
  std::atomic<size_t> patient_{0};   ///< threads that look for an answer however long it takes
  std::atomic<bool> stopping_{false};
  Threads threads_{kMaxThreads, [this](size_t index) { run(index); }};
};

}  // namespace vprocfs
