#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "container/registry.h"
#include "fuse/answers.h"
#include "fuse/caller.h"
#include "fuse/delayed_work.h"
#include "fuse/protocol.h"

namespace vprocfs {

/// Runs each tenant's requests one at a time and within its budget; the others wait without a
/// thread. Answers requests whose callers were killed while they waited. Thread-safe.
class Turns {
 public:
  using ContainerPtr = std::shared_ptr<Container>;
  using Work = std::function<Answer(const Request&)>;

  /// Borrows all.
  Turns(Answers& answers, Registry& registry, HostSource& host)
      : answers_(answers), registry_(registry), host_(host) {}
  /// Its threads use all that it has until they end.
  ~Turns() { stop(); }

  /// Starts and ends the threads that do what has to wait.
  Result<bool> start();
  void stop();
  /// From now on no request waits for its container's budget.
  void hurry() { delayed_.hurry(); }
  /// From now on what waits is not answered: the kernel asks the next worker again. Before stop().
  void leave();
  /// See Threads.
  void reinforce();

  /// Runs `work` while the container's tenant has CPU time left, and else as soon as it has.
  Answer in_budget(const Request& r, const ContainerPtr& container, const Work& work);
  /// For requests that cannot wait that long, because others may wait for the same directory: runs
  /// `work` as soon as one of a few threads, which do this for all tenants, is free.
  Answer on_spare_thread(const Request& r, const ContainerPtr& container, const Work& work);
  /// Runs `work` when it is this container's turn, and gives its answer before the turn ends. At
  /// once for the host.
  Answer in_turn(const Request& r, const ContainerPtr& container, const Work& work);
  /// The same on another thread than the caller's, for work that may wait for what its container
  /// controls: threads that take requests are few. Not for the host.
  Answer in_turn_aside(const Request& r, const ContainerPtr& container, const Work& work);
  /// For requests during which the kernel holds the lock of a directory that others share, so that
  /// they must wait for nothing that a tenant can make long: neither for its turn nor for its
  /// budget of renders. While something else is made for the container it waits, and holds no
  /// thread; the answer is EAGAIN if that takes too long, or others of the tenant wait already.
  Answer at_once(const Request& r, const ContainerPtr& container, const Work& work);
  /// in_turn() for what makes nothing anew: it takes its turn, and counts against no budget.
  Answer at_gate(const Request& r, const ContainerPtr& container, const Work& work);

  /// The caller of a request got a signal. The request is answered when that kills the caller, be
  /// it now or later.
  void interrupt(uint64_t unique);
  /// Has the kernel send an INTERRUPT again, whose own `unique` this is.
  void interrupt_again(uint64_t unique);
  /// The container of a waiting request; nullptr if it is not waiting.
  ContainerPtr container_of(uint64_t unique) const;
  /// Answers a waiting request with EINTR. False if it is not waiting.
  bool answer_interrupted(uint64_t unique);
  /// The caller of a request that is waiting or being worked on, or whose answer waits for its
  /// notice.
  std::optional<Caller> caller_of(uint64_t unique) const;

  /// Requests that wait for their turn, or for their container's budget.
  size_t waiting() const;

 private:
  struct WaitingRequest;

  /// False when its tenant has too many requests that wait.
  static bool may_wait(const ContainerPtr& container);
  /// Whether others want the CPUs, and the tenant has used up its part of them.
  bool is_contended(Tenant& tenant);
  /// Budget lent to a waiting request.
  struct Loan {
    Budget* budget = nullptr;
    uint64_t wait_us = 0;
    uint64_t lent_us = 0;     ///< to be given back when it has waited
    uint32_t again = 0;       ///< how often it may have to wait once more
    bool has_render = false;  ///< one of the budget of renders, to be given back if it is refused
    bool is_paced = true;     ///< it waits for a budget
  };
  /// For its next request. With nothing to wait for nothing is lent.
  Loan borrow(Tenant& tenant);
  /// Runs `work`, which gives the answer or makes it, in `loan.wait_us`; holds no thread until
  /// then.
  Answer later(DelayedWork& queue, const Request& r, const ContainerPtr& container,
               const Loan& loan, Work work);
  /// at_once() after so many `looks`.
  Answer unless_busy(const Request& r, const ContainerPtr& container, const Work& work,
                     uint32_t looks);
  /// The work to run when the delay is over.
  DelayedWork::Work when_due(std::shared_ptr<WaitingRequest> waiting, const Loan& loan);
  /// Delays a request again if earlier requests used up the budget. False if it is to run now.
  bool wait_again(const std::shared_ptr<WaitingRequest>& one, const Loan& before);
  void wait_for_turn(const Request& r, const ContainerPtr& container);
  /// The entry in `delayed_` of a waiting request, and the budget lent to it.
  struct Delay {
    DelayedWork::Ticket ticket;
    Budget* budget = nullptr;
    uint64_t lent_us = 0;
    Budget* renders = nullptr;  ///< of which it has taken one; nullptr: it has not
  };
  /// Takes note of what a request waits for. If that was answered meanwhile, it waits no more.
  void note_delay(uint64_t unique, const Delay& delay);
  /// Cancels the delay of an answered request.
  void cancel(const Delay& delay);
  /// One copy stops waiting, to be answered. False when it was answered meanwhile. `interrupted`:
  /// as of WaitingCopies.
  bool stop_waiting(const Request& r, bool* interrupted = nullptr);
  /// Takes a request out of its container's queue at the gate, if it waits there.
  void leave_queue(const Container& container, uint64_t unique);
  /// How a request passes its tenant's gate.
  struct Passage {
    bool has_render = false;  ///< of the budget of renders; given back if it is refused
    bool is_aside = false;    ///< see in_turn_aside()
  };
  Answer pass_gate(const Request& r, const ContainerPtr& container, const Work& work,
                   Passage passage);
  /// The same after `wait_us`, on another thread.
  Answer pass_gate_in(uint64_t wait_us, const Request& r, const ContainerPtr& container,
                      const Work& work, Passage passage);
  /// Leaves the gate, and serves those who wait there, one after the other. `is_aside`: as of
  /// Request.
  void leave_gate(Tenant& tenant, CpuLaps* laps, bool is_aside);
  /// Leaves the gate, and has another thread serve those that wait there.
  void hand_off_gate(Tenant& tenant);
  /// Has another thread serve `next`, whose turn it is, and those that wait after it.
  void serve_aside(std::shared_ptr<GateWaiter> next);
  /// Answers what had to wait, in the turn of its tenant.
  void take_turn(const WaitingRequest& waiting);
  /// Does the work of a request whose turn it is, and gives its answer. `interrupted`: as of
  /// Caller.
  void answer_in_turn(const Request& r, const Work& work, bool interrupted = false);
  /// Notes that a check whether the caller of a request was killed is under way. False if that is
  /// noted already.
  bool begin_to_look(uint64_t unique);
  /// Answers a request whose caller has been killed. The kernel reports only the first signal, so
  /// later ones are looked for after `again_us`, and then less and less often. `was_found`: the
  /// last check found the request.
  void release_killed(uint64_t unique, uint64_t again_us, bool was_found);

  Answers& answers_;
  Registry& registry_;
  HostSource& host_;
  DelayedWork delayed_;
  DelayedWork spare_{8};  ///< see on_spare_thread()
  mutable std::mutex waiting_mutex_;
  /// One request that waits, or several copies of it: the kernel resends what it thinks lost, and
  /// takes only the answer to the copy that came last.
  struct WaitingCopies {
    std::weak_ptr<Container> container;
    RequestInfo info;
    uint32_t copies = 0;
    bool interrupted = false;  ///< a check whether its caller was killed is under way
    Delay delay;               ///< of the copy that came last
  };
  std::unordered_map<uint64_t, WaitingCopies> waiting_;  ///< by unique
  mutable std::mutex in_turn_mutex_;
  std::atomic<bool> leaves_{false};
  std::vector<Caller> in_turn_;  ///< whose turn it is: one for each thread at most
};

}  // namespace vprocfs
