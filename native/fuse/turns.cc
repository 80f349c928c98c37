#include "fuse/turns.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/clock.h"

namespace vprocfs {
namespace {

/// How often one that has waited does so once more: by then it is known what its kind takes.
constexpr uint32_t kMaxRepeatWaits = 3;

/// How often at_once() looks whether a container is still busy, after 1, 2, 4, 4, ... ms: an eighth
/// of a second in all, longer than sources take, and short for whoever waits for a directory
/// because one blocks.
constexpr uint32_t kLooks = 33, kLongestShift = 2;
constexpr uint64_t kFirstLookUs = 1000;
/// Requests of one tenant that may wait when at_once() lets one more wait.
constexpr uint64_t kFewWaiting = 64;

}  // namespace

/// A request that waits for its container's turn.
struct Turns::WaitingRequest : GateWaiter {
  WaitingRequest(Turns& t, const Request& r, ContainerPtr c, Work w)
      : turns(t),
        bytes(r.bytes(), r.bytes() + r.size()),
        taken_ns(r.taken_ns()),
        container(std::move(c)),
        work(std::move(w)) {
    container->tenant().resources().note(Resource::kWaiting, weight());
  }
  ~WaitingRequest() override { container->tenant().resources().give(Resource::kWaiting, weight()); }
  /// A long one counts as several.
  uint64_t weight() const { return 1 + bytes.size() / 1024; }
  Request request(CpuLaps* laps = nullptr) const {
    return Request(bytes.data(), bytes.size(), taken_ns, laps).paid_by(container);
  }
  /// A tenant's gate is that of all connections: whoever leaves it may be of another one.
  Turns& turns;
  std::vector<uint8_t> bytes;
  uint64_t taken_ns;
  ContainerPtr container;
  Work work;
  bool on_shared_thread = false;  ///< see Request
  bool is_aside = false;          ///< see in_turn_aside()
};

Result<bool> Turns::start() {
  const auto started = delayed_.start();
  return started ? spare_.start() : started;
}

void Turns::stop() {
  hurry();
  // In their time: who looks again whether a container is busy would give up at once. What it does
  // may be left to the other one.
  spare_.stop();
  delayed_.stop();
}

void Turns::leave() {
  leaves_.store(true, std::memory_order_relaxed);
  hurry();
  spare_.hurry();
}

void Turns::reinforce() {
  delayed_.reinforce();
  spare_.reinforce();
}

size_t Turns::waiting() const {
  const std::lock_guard lock(waiting_mutex_);
  return waiting_.size();
}

void Turns::wait_for_turn(const Request& r, const ContainerPtr& container) {
  answers_.counters.deferred.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(waiting_mutex_);
  WaitingCopies& parked = waiting_[r.header().unique];
  parked.container = container;
  parked.info = r.info();
  ++parked.copies;
}

bool Turns::stop_waiting(const Request& r, bool* interrupted) {
  const std::lock_guard lock(waiting_mutex_);
  const auto it = waiting_.find(r.header().unique);
  if (it == waiting_.end()) return false;
  if (interrupted != nullptr) *interrupted = it->second.interrupted;
  if (--it->second.copies == 0) waiting_.erase(it);
  return true;
}

bool Turns::may_wait(const ContainerPtr& container) {
  TenantResources& resources = container->tenant().resources();
  if (!resources.spent(Resource::kWaiting)) return true;
  resources.refuse(Resource::kWaiting);
  return false;
}

Answer Turns::at_gate(const Request& r, const ContainerPtr& container, const Work& work) {
  if (!container) return work(r);
  container->requests.fetch_add(1, std::memory_order_relaxed);
  return pass_gate(r, container, work, {});
}

Answer Turns::in_turn(const Request& r, const ContainerPtr& container, const Work& work) {
  if (!container) return work(r);
  container->requests.fetch_add(1, std::memory_order_relaxed);
  const uint64_t wait_us = container->tenant().renders().take(boottime_us());
  const Passage passage{true, false};
  return wait_us == 0 ? pass_gate(r, container, work, passage)
                      : pass_gate_in(wait_us, r, container, work, passage);
}

Answer Turns::in_turn_aside(const Request& r, const ContainerPtr& container, const Work& work) {
  container->requests.fetch_add(1, std::memory_order_relaxed);
  const uint64_t wait_us = container->tenant().renders().take(boottime_us());
  return pass_gate_in(wait_us, r, container, work, {true, true});
}

Answer Turns::at_once(const Request& r, const ContainerPtr& container, const Work& work) {
  if (!container) return work(r);
  container->requests.fetch_add(1, std::memory_order_relaxed);
  return unless_busy(r, container, work, 0);
}

Answer Turns::unless_busy(const Request& r, const ContainerPtr& container, const Work& work,
                          uint32_t looks) {
  if (!container->busy()) return work(r);
  Tenant& tenant = container->tenant();
  const bool may_wait = tenant.resources().used(Resource::kWaiting) < kFewWaiting;
  if (looks == kLooks || !may_wait) return Answer::error(EAGAIN);
  Loan nothing{&tenant.cpu(), kFirstLookUs << std::min(looks, kLongestShift)};
  nothing.is_paced = false;
  return later(spare_, r, container, nothing,
               [this, container, work, looks](const Request& request) {
                 return unless_busy(request, container, work, looks + 1);
               });
}

Answer Turns::pass_gate_in(uint64_t wait_us, const Request& r, const ContainerPtr& container,
                           const Work& work, Passage passage) {
  Loan nothing{&container->tenant().cpu(), wait_us};
  nothing.has_render = passage.has_render;
  const auto pass = [this, container, work, passage](const Request& request) {
    return pass_gate(request, container, work, passage);
  };
  return later(delayed_, r, container, nothing, pass);
}

bool Turns::is_contended(Tenant& tenant) {
  if (!tenant.contended_cpu().is_low()) return false;
  const uint64_t now_us = boottime_us();
  CpuContention& contention = tenant.contention();
  if (contention.claim(now_us)) {
    const auto outermost = registry_.by_id(tenant.id());
    const auto used_us = outermost ? outermost.value()->used_cpu_us() : std::nullopt;
    contention.note(CpuContention::use_of(host_, tenant, used_us),
                    [&] { tenant.start_contention(now_us); });
  }
  return contention.any(now_us);
}

Turns::Loan Turns::borrow(Tenant& tenant) {
  // Each borrows what one usually takes, so that they come due one after the other.
  const uint64_t lap_us = tenant.usual_lap_us();
  const bool contended = is_contended(tenant);
  Budget& budget = contended ? tenant.contended_cpu() : tenant.cpu();
  const uint64_t lent_us = contended ? tenant.counted_us(lap_us) : lap_us;
  return {&budget, budget.lend(boottime_us(), lent_us), lent_us};
}

Answer Turns::in_budget(const Request& r, const ContainerPtr& container, const Work& work) {
  Loan loan = borrow(container->tenant());
  loan.again = kMaxRepeatWaits;
  return loan.wait_us == 0 ? work(r) : later(delayed_, r, container, loan, work);
}

Answer Turns::on_spare_thread(const Request& r, const ContainerPtr& container, const Work& work) {
  Loan loan = borrow(container->tenant());
  if (loan.wait_us == 0) return work(r);
  loan.wait_us = 0;
  return later(spare_, r, container, loan, work);
}

Answer Turns::later(DelayedWork& queue, const Request& r, const ContainerPtr& container,
                    const Loan& loan, Work work) {
  if (!may_wait(container)) {
    // Otherwise those that are refused would have those that come after them wait.
    loan.budget->give(loan.lent_us);
    if (loan.has_render) container->tenant().renders().give_back();
    return Answer::error(ENOMEM);
  }
  if (loan.is_paced && loan.wait_us + loan.lent_us != 0) {
    answers_.counters.paced.fetch_add(1, std::memory_order_relaxed);
  }
  wait_for_turn(r, container);
  auto waiting = std::make_shared<WaitingRequest>(*this, r, container, std::move(work));
  waiting->on_shared_thread = &queue == &spare_;
  const auto ticket = queue.post(boottime_us() + loan.wait_us, when_due(std::move(waiting), loan));
  if (&queue == &delayed_) {
    Budget* const renders = loan.has_render ? &container->tenant().renders() : nullptr;
    note_delay(r.header().unique, {ticket, loan.budget, loan.lent_us, renders});
  }
  return Answer::elsewhere();
}

void Turns::note_delay(uint64_t unique, const Delay& delay) {
  {
    const std::lock_guard lock(waiting_mutex_);
    const auto it = waiting_.find(unique);
    if (it != waiting_.end()) {
      it->second.delay = delay;
      return;
    }
  }
  cancel(delay);
}

void Turns::cancel(const Delay& delay) {
  // The work keeps the container, and with it the budgets.
  const auto work = delayed_.cancel(delay.ticket);
  if (!work) return;
  delay.budget->give(delay.lent_us);
  if (delay.renders != nullptr) delay.renders->give_back();
}

DelayedWork::Work Turns::when_due(std::shared_ptr<WaitingRequest> waiting, const Loan& loan) {
  return [this, waiting = std::move(waiting), loan](CpuLaps& laps) {
    Tenant& tenant = waiting->container->tenant();
    tenant.begin_lap(laps);
    loan.budget->give(loan.lent_us);
    const bool waits = wait_again(waiting, loan);
    if (!waits) {
      // An INTERRUPT may have answered it meanwhile.
      const Request own = waiting->request(&laps);
      const Request request = waiting->on_shared_thread ? own.on_shared_thread() : own.aside();
      const bool is_wanted = stop_waiting(request) && !leaves_.load(std::memory_order_relaxed);
      if (is_wanted) answers_.give(request.info(), waiting->work(request));
    }
    tenant.charge_lap(laps, !waits);
  };
}

bool Turns::wait_again(const std::shared_ptr<WaitingRequest>& one, const Loan& before) {
  if (before.again == 0 || !before.budget->is_exceeded(boottime_us())) return false;
  if (!container_of(one->request().header().unique)) return false;
  Loan loan = borrow(one->container->tenant());
  loan.again = before.again - 1;
  if (loan.wait_us == 0) return false;
  const auto ticket =
      delayed_.post_unless_stopping(boottime_us() + loan.wait_us, when_due(one, loan));
  const bool waits = ticket != DelayedWork::Ticket();
  if (waits) {
    note_delay(one->request().header().unique, {ticket, loan.budget, loan.lent_us, nullptr});
  } else {
    loan.budget->give(loan.lent_us);
  }
  return waits;
}

Answer Turns::pass_gate(const Request& r, const ContainerPtr& container, const Work& work,
                        Passage passage) {
  const bool is_others = r.payer() != nullptr && &(*r.payer())->tenant() != &container->tenant();
  // Its source may block.
  if (is_others && r.is_on_shared_thread()) return pass_gate_in(0, r, container, work, passage);
  Gate& gate = container->tenant().gate();
  const uint64_t container_key = container->id().packed();
  bool waits = false;
  const bool mine = gate.enter(container_key, [&]() -> std::unique_ptr<GateWaiter> {
    if (!may_wait(container)) return nullptr;
    waits = true;
    wait_for_turn(r, container);
    auto waiting = std::make_unique<WaitingRequest>(*this, r, container, work);
    waiting->is_aside = passage.is_aside;
    return waiting;
  });
  if (!mine && !waits && passage.has_render) container->tenant().renders().give_back();
  if (!mine) return waits ? Answer::elsewhere() : Answer::error(ENOMEM);
  answer_in_turn(r, work);
  if (r.is_on_shared_thread()) {
    hand_off_gate(container->tenant());
  } else {
    leave_gate(container->tenant(), r.laps(), r.is_aside());
  }
  return Answer::elsewhere();
}

void Turns::leave_gate(Tenant& tenant, CpuLaps* laps, bool is_aside) {
  while (std::unique_ptr<GateWaiter> next = tenant.gate().leave()) {
    const auto& waiting = static_cast<const WaitingRequest&>(*next);
    // Few threads take requests. None of them is held by work that may wait for long, nor by what
    // the threads of another connection bring without end.
    const bool may_hold = waiting.is_aside || &waiting.turns != this;
    if (may_hold && !is_aside) return serve_aside(std::move(next));
    // Each is charged by itself: this loop goes on for as long as others come.
    if (laps != nullptr) {
      tenant.charge_lap(*laps);
      tenant.begin_lap(*laps);
    }
    waiting.turns.take_turn(waiting);
  }
}

void Turns::hand_off_gate(Tenant& tenant) {
  std::shared_ptr<GateWaiter> next = tenant.gate().leave();
  if (next) serve_aside(std::move(next));
}

void Turns::serve_aside(std::shared_ptr<GateWaiter> next) {
  // Threads of this connection also for a request of another one: they end after those that take
  // requests here.
  delayed_.post(boottime_us(), [this, next = std::move(next)](CpuLaps& laps) {
    const auto& waiting = static_cast<const WaitingRequest&>(*next);
    Tenant& payer = waiting.container->tenant();
    payer.begin_lap(laps);
    waiting.turns.take_turn(waiting);
    leave_gate(payer, &laps, true);
    payer.charge_lap(laps);
  });
}

void Turns::take_turn(const WaitingRequest& waiting) {
  const Request request = waiting.request();
  bool interrupted = false;
  if (!stop_waiting(request, &interrupted) || leaves_.load(std::memory_order_relaxed)) return;
  answer_in_turn(request, waiting.work, interrupted);
}

void Turns::answer_in_turn(const Request& r, const Work& work, bool interrupted) {
  {
    const std::lock_guard lock(in_turn_mutex_);
    in_turn_.push_back(Caller::of(r.header(), interrupted));
  }
  answers_.give(r.info(), work(r));
  const std::lock_guard lock(in_turn_mutex_);
  const auto its = [&r](const Caller& one) { return one.request == r.identity(); };
  // The newest first: most take the least time. Copies of a request are alike.
  const auto at = std::find_if(in_turn_.rbegin(), in_turn_.rend(), its);
  // Its answer may wait for a notice from now on.
  if (at->interrupted) answers_.unsettled.begin_to_look(at->request);
  *at = in_turn_.back();
  in_turn_.pop_back();
}

Turns::ContainerPtr Turns::container_of(uint64_t unique) const {
  const std::lock_guard lock(waiting_mutex_);
  const auto it = waiting_.find(unique);
  return it == waiting_.end() ? nullptr : it->second.container.lock();
}

void Turns::leave_queue(const Container& container, uint64_t unique) {
  const auto of_request = [&](const GateWaiter& waiter) {
    const auto& waiting = static_cast<const WaitingRequest&>(waiter);
    return &waiting.turns == this && waiting.request().header().unique == unique;
  };
  container.tenant().gate().remove(container.id().packed(), of_request);
}

}  // namespace vprocfs
