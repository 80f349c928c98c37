// One call from its notification to its reply.

#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "seccomp/abi.h"
#include "seccomp/agent.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS  // Linux 6.6
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

namespace vprocfs {
namespace {

// SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: caller and answerer take turns on one CPU.
constexpr unsigned long kSyncWakeUp = 1;

/// For a call that could not be answered within AgentOptions::patience_us.
constexpr Verdict kTooLate = Verdict::fails(EAGAIN);

/// For so long a question of LXC's monitor waits at most: the monitor itself waits for 30 s.
constexpr uint64_t kMonitorPatienceUs = 25'000'000;

/// How soon a call that could not be answered is tried again.
constexpr uint64_t kAgainUs = 20'000;

/// LXC's monitor passes this answer on, logs that the kernel refuses it, and takes the next call
/// (seccomp_notify_handler() of its src/lxc/seccomp.c, 4.0 to 6.0).
constexpr Verdict kReleaseFromMonitor{Verdict::Kind::kReleaseFromMonitor, 0, 0};

}  // namespace

/// A runtime sends the state of its container once, perhaps in several messages, with its
/// descriptors at the first byte. The kernel tells which of them is the listener, so the state is
/// not read.
void Agent::on_runtime(const SourcePtr& source) {
  char byte = 0;
  // The message stays in the socket, which the keeper holds too: if we die before the keeper has
  // the listener, the next worker finds it there.
  Received got = receive(source->fd.get(), &byte, sizeof byte, true);
  if (got.state == Received::State::kNothing) return rearm(source->key, source->fd.get());
  const auto found = std::find_if(got.fds.begin(), got.fds.end(),
                                  [](const Fd& fd) { return is_notify_descriptor(fd.get()); });
  // This process may open no more descriptors at the moment.
  if (got.cut && got.fds.empty()) return defer(*source, kAgainUs);
  if (found == got.fds.end()) {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    return remove(*source);
  }
  // Fails before Linux 6.6; then answers take a little longer.
  ::ioctl(found->get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, kSyncWakeUp);
  become_listener(*source, std::move(*found));
}

/// Reads and drops what a runtime sends after its listener: if nobody read it, its send would fail.
void Agent::on_draining_runtime(const Source& source) {
  char buffer[4096];
  const Received got = receive(source.fd.get(), buffer, sizeof buffer, false);
  if (got.state == Received::State::kEnd) return remove(source);
  rearm(source.key, source.fd.get());
}

/// Whether a call that is received now could be parked.
bool Agent::has_room() const {
  const std::lock_guard lock(mutex_);
  return pending_.has_room();
}

/// Receives a call. Returns an errno value, or 0. ENOENT: there is none.
int Agent::take_call(Source& source, seccomp_notif& notification) {
  const int fd = source.fd.get();
  std::unique_lock taking(source.taking, std::defer_lock);
  if (source.inherited) {
    // The source was armed, and is armed again when the last worker's call was answered: two
    // threads may be here. The kernel would block the second one until there is another call.
    taking.lock();
    pollfd p{fd, POLLIN, 0};
    if (::poll(&p, 1, 0) == 0) return ENOENT;
  }
  return ::ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &notification) == 0 ? 0 : errno;
}

/// A source has a call.
void Agent::on_call(const SourcePtr& source, size_t index) {
  // A call of another tenant may change it.
  const uint64_t tenant = source->tenant;
  if (!begin_turn(tenant, *source)) return;
  source->kind == Kind::kMonitor ? on_monitor(source, index) : on_listener(source, index);
  leave_turn(tenant, index);
}

void Agent::on_listener(const SourcePtr& source, size_t index) {
  if (!has_room()) return defer(*source, kAgainUs);
  PendingCalls::Entry& entry = pending_.in_flight(index);
  entry = PendingCalls::Entry{};
  entry.key = source->key;
  if (const int failed = take_call(*source, entry.notification); failed != 0) {
    // ENOENT: the caller was killed before we received its call.
    if (failed == ENOENT || failed == EINTR) return rearm(source->key, source->fd.get());
    return remove(*source);
  }
  answer_listener(source, index);
}

/// Has this thread answer a call that was parked, blocked, or left by an earlier worker.
void Agent::resume(const PendingCalls::Entry& entry, size_t index) {
  const SourcePtr source = find(entry.key);
  const bool is_listener =
      source && (source->kind == Kind::kListener || source->kind == Kind::kSideListener);
  pending_.in_flight(index) = is_listener ? entry : PendingCalls::Entry{};
  if (is_listener) answer_listener(source, index);
}

/// Answers the call in this thread's slot.
void Agent::answer_listener(const SourcePtr& source, size_t index) {
  const seccomp_notif notification = pending_.in_flight(index).notification;
  std::shared_ptr<Container> who;
  std::unique_ptr<MonitorRequest> no_question;
  const auto verdict = decide(source, notification, source->fd.get(), who, no_question, index);
  if (verdict) {
    reply(*source, notification, *verdict);
    end_call(source, who, index);
  }
  // It may have had the turn without writing anything.
  if (who) end_turn(who->tenant().id().packed(), index);
}

/// How a call ends. Nothing: it goes on, with a writer or among the parked or blocked calls.
std::optional<Verdict> Agent::decide(const SourcePtr& source, const seccomp_notif& notification,
                                     int listener_fd, std::shared_ptr<Container>& who,
                                     std::unique_ptr<MonitorRequest>& asked, size_t index) {
  if (is_poisoned(source->key, notification.id)) {
    counters_.late.fetch_add(1, std::memory_order_relaxed);
    return fallback_verdict(notification.data);
  }
  // A tenant that is known has a turn, and so one thread that it may keep waiting. Not half of the
  // threads, and none for a caller that nobody has found yet.
  const bool is_known = source->tenant != 0;
  const size_t patient = is_known ? patient_.fetch_add(1, std::memory_order_relaxed) : 0;
  const bool is_patient = is_known && patient < kMaxThreads / 2;
  CallAnswer answer = answerer_.answer(notification, listener_fd, is_patient, who);
  if (is_known) patient_.fetch_sub(1, std::memory_order_relaxed);
  if (who && is_of_too_many(*source, who->tenant().id().packed())) {
    // The kernel has its callers go on with ENOSYS.
    pending_.in_flight(index) = PendingCalls::Entry{};
    remove(*source);
    return std::nullopt;
  }
  charge(*source, who, answer.extra_calls);
  switch (begin_answer(answer, source, who, asked, index)) {
    case Progress::kStarted:
    case Progress::kWait:
      return std::nullopt;
    case Progress::kPass:
      return fallback_verdict(notification.data);
    case Progress::kReply:
      return answer.reply;
    case Progress::kEmpty:
      if (asked) {
        // All other calls of the container wait for the monitor, so it must not wait for this one.
        const bool waits = still_waits(listener_fd, notification.id);
        if (waits && block_beside_monitor(*asked, who, index)) return kReleaseFromMonitor;
      } else if (block(source, who, index)) {
        return std::nullopt;
      }
      counters_.failed.fetch_add(1, std::memory_order_relaxed);
      return kTooLate;
    case Progress::kLater:
      break;
  }
  // A caller that is gone is found in no container either: nobody must wait for it.
  if (!still_waits(listener_fd, notification.id)) return fallback_verdict(notification.data);
  // A call that was blocked is not tried again: its source handles other calls by now.
  if (!asked && pending_.in_flight(index).blocked != 0) return Verdict::fails(EINTR);
  if (try_later(*source, asked != nullptr, index)) return std::nullopt;
  return kTooLate;
}

Agent::Progress Agent::begin_answer(CallAnswer& answer, const SourcePtr& source,
                                    const std::shared_ptr<Container>& who,
                                    std::unique_ptr<MonitorRequest>& asked, size_t index) {
  switch (answer.kind) {
    case CallAnswer::Kind::kPass:
      return Progress::kPass;
    case CallAnswer::Kind::kLater:
      return Progress::kLater;
    case CallAnswer::Kind::kReply:
      return Progress::kReply;
    case CallAnswer::Kind::kWait:
      // An earlier worker or a writer that was killed may have taken text for this call.
      if (!has_taken(*source, asked.get(), index)) return Progress::kEmpty;
      break;
    case CallAnswer::Kind::kWrite:
    case CallAnswer::Kind::kLog:
      break;
  }
  return start_write(source, who, answer, asked, index);
}

bool Agent::has_taken(const Source& source, const MonitorRequest* asked, size_t index) const {
  if (asked == nullptr) return pending_.in_flight(index).log.kind() != LogSpan::kNone;
  return source.taken.kind() != LogSpan::kNone &&
         source.taken_for == asked->request.notification.id;
}

/// Has the call in this thread's slot, or a monitor's question, tried again a little later. False:
/// it has waited too long, or there is no room.
bool Agent::try_later(Source& source, bool is_monitor, size_t index) {
  const uint64_t now = boottime_us();
  if (source.waits_since_us == 0) {
    source.waits_since_us = now;
    counters_.waited.fetch_add(1, std::memory_order_relaxed);
  }
  // A monitor is answered before it gives up by itself.
  const uint64_t patience_us =
      is_monitor ? std::min(options_.patience_us, kMonitorPatienceUs) : options_.patience_us;
  const bool too_late = now >= source.waits_since_us + patience_us;
  if (!too_late && is_monitor) {
    // The question is still in the monitor's socket.
    defer(source, kAgainUs);
    return true;
  }
  if (!too_late && put_aside(kAgainUs, index)) return true;
  source.waits_since_us = 0;
  counters_.failed.fetch_add(1, std::memory_order_relaxed);
  return false;
}

bool Agent::put_aside(uint64_t wait_us, size_t index) {
  const std::lock_guard lock(mutex_);
  const auto place = pending_.park(pending_.in_flight(index));
  if (!place) return false;
  pending_.in_flight(index) = PendingCalls::Entry{};
  later_.emplace(boottime_us() + wait_us, *place);
  arm_pace_timer_locked();
  return true;
}

/// Moves a call that was put aside until now into this thread's slot. False: there is none.
bool Agent::take_due_locked(uint64_t now_us, size_t index) {
  if (later_.empty() || later_.begin()->first > now_us) return false;
  const size_t place = later_.begin()->second;
  later_.erase(later_.begin());
  PendingCalls::move(pending_.parked(place), pending_.in_flight(index));
  return true;
}

void Agent::resume_in_flight(size_t index) {
  const PendingCalls::Entry entry = pending_.in_flight(index);
  const SourcePtr source = find(entry.key);
  uint64_t tenant = source ? source->tenant.load() : 0;
  if (!begin_turn_of_call(tenant, index)) return;
  resume(entry, index);
  leave_turn(tenant, index);
}

void Agent::end_call(const SourcePtr& source, const std::shared_ptr<Container>& who, size_t index) {
  const bool was_blocked = pending_.in_flight(index).blocked != 0;
  pending_.in_flight(index) = PendingCalls::Entry{};
  if (!was_blocked) source->waits_since_us = 0;
  charge_and_rearm(*source, who, 1, !was_blocked);
}

uint64_t Agent::charge(Source& source, const std::shared_ptr<Container>& who, uint32_t calls) {
  Budget& budget = who ? who->tenant().calls() : source.budget;
  const uint64_t now = boottime_us();
  uint64_t wait_us = 0;
  for (uint32_t i = 0; i < calls; ++i) {
    wait_us = budget.take(now);
    if (wait_us != 0) counters_.paced.fetch_add(1, std::memory_order_relaxed);
  }
  return wait_us;
}

/// `was_disarmed`: the source took no other call meanwhile, and does from now on.
void Agent::charge_and_rearm(Source& source, const std::shared_ptr<Container>& who, uint32_t calls,
                             bool was_disarmed) {
  const uint64_t wait_us = charge(source, who, calls);
  if (!was_disarmed) return;
  if (wait_us == 0) return rearm(source.key, source.fd.get());
  defer(source, wait_us);
}

void Agent::count(const Verdict& verdict) {
  if (verdict.kind == Verdict::Kind::kReleaseFromMonitor) return;
  auto& counter = verdict.kind == Verdict::Kind::kPass ? counters_.passed : counters_.answered;
  counter.fetch_add(1, std::memory_order_relaxed);
  if (verdict.error == EFAULT) counters_.faults.fetch_add(1, std::memory_order_relaxed);
}

void Agent::reply(const Source& source, const seccomp_notif& notification, const Verdict& verdict) {
  seccomp_notif_resp response = verdict.response(notification.id);
  if (::ioctl(source.fd.get(), SECCOMP_IOCTL_NOTIF_SEND, &response) == 0) return count(verdict);
  counters_.gone.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace vprocfs
