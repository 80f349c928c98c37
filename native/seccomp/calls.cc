// What becomes of one call.

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
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

/// Where no answer was to be had within patience.
constexpr Verdict kTooLate = Verdict::fails(EAGAIN);

/// How long after it could not be answered a call is tried again.
constexpr uint64_t kAgainUs = 20'000;

/// To LXC's monitor, which passes it on, logs that the kernel refuses it, and takes the next call
/// (seccomp_notify_handler() of its src/lxc/seccomp.c, 4.0 to 6.0).
constexpr Verdict kReleaseFromMonitor{Verdict::Kind::kReleaseFromMonitor, 0, 0};

}  // namespace

/// A runtime sends the state of its container once, with its descriptors at the first byte, though
/// maybe in several messages. The kernel tells which of them is the one: the state is not read.
void Agent::on_runtime(const SourcePtr& source) {
  char byte = 0;
  // It stays in the socket, which the keeper has too: should we die before the keeper has the
  // descriptor, the next worker takes it from there.
  Received got = receive(source->fd.get(), &byte, sizeof byte, true);
  if (got.state == Received::State::kNothing) return rearm(source->key, source->fd.get());
  const auto found = std::find_if(got.fds.begin(), got.fds.end(),
                                  [](const Fd& fd) { return is_notify_descriptor(fd.get()); });
  // More than this process may have open at the moment.
  if (got.cut && got.fds.empty()) return defer(*source, kAgainUs);
  if (found == got.fds.end()) {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    return remove(*source);
  }
  // Those of kernels before Linux 6.6 do not take it.
  ::ioctl(found->get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, kSyncWakeUp);
  become_listener(*source, std::move(*found));
}

/// What a runtime says beside its listener is of no use, but it must not fail to say it.
void Agent::on_draining_runtime(const Source& source) {
  char buffer[4096];
  const Received got = receive(source.fd.get(), buffer, sizeof buffer, false);
  if (got.state == Received::State::kEnd) return remove(source);
  rearm(source.key, source.fd.get());
}

/// One that is taken must have a place to wait in.
bool Agent::has_room() const {
  const std::lock_guard lock(mutex_);
  return pending_.has_room();
}

/// Returns an errno value, or 0. ENOENT: there is none.
int Agent::take_call(Source& source, seccomp_notif& notification) {
  const int fd = source.fd.get();
  std::unique_lock taking(source.taking, std::defer_lock);
  if (source.inherited) {
    // Once a call that the worker before us took has been answered, two threads may be here. The
    // kernel would have the second one wait for a call that may never come.
    taking.lock();
    pollfd p{fd, POLLIN, 0};
    if (::poll(&p, 1, 0) == 0) return ENOENT;
  }
  return ::ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &notification) == 0 ? 0 : errno;
}

void Agent::on_listener(const SourcePtr& source, size_t index) {
  if (wait_for_turn(*source)) return;
  if (!has_room()) return defer(*source, kAgainUs);
  PendingCalls::Entry& entry = pending_.in_flight(index);
  entry = PendingCalls::Entry{};
  entry.key = source->key;
  if (const int failed = take_call(*source, entry.notification); failed != 0) {
    // ENOENT: the caller was killed meanwhile.
    if (failed == ENOENT || failed == EINTR) return rearm(source->key, source->fd.get());
    return remove(*source);
  }
  answer_listener(source, index);
}

void Agent::resume(const PendingCalls::Entry& entry, size_t index) {
  const SourcePtr source = find(entry.key);
  const bool is_listener =
      source && (source->kind == Kind::kListener || source->kind == Kind::kSideListener);
  pending_.in_flight(index) = is_listener ? entry : PendingCalls::Entry{};
  if (is_listener) answer_listener(source, index);
}

/// Answers the call that this thread works on.
void Agent::answer_listener(const SourcePtr& source, size_t index) {
  const seccomp_notif notification = pending_.in_flight(index).notification;
  const bool was_blocked = pending_.in_flight(index).blocked != 0;
  std::shared_ptr<Container> who;
  Verdict verdict = fallback_verdict(notification.data);
  if (is_poisoned(source->key, notification.id)) {
    counters_.late.fetch_add(1, std::memory_order_relaxed);
  } else {
    CallAnswer answer = answerer_.answer(notification, source->fd.get(), who);
    charge(*source, who, answer.calls);
    std::unique_ptr<MonitorRequest> nobody;
    const WriteOutcome outcome = outcome_for(answer, source, who, nobody, index);
    if (outcome == WriteOutcome::kStarted || outcome == WriteOutcome::kWait) return;
    if (outcome == WriteOutcome::kReply) verdict = *answer.reply;
    if (outcome == WriteOutcome::kEmpty) {
      if (block(source, who, index)) return;
      verdict = kTooLate;
    }
    // Of a caller that is gone no container is found either: others are not to wait for that.
    if (outcome == WriteOutcome::kLater && still_waits(source->fd.get(), notification.id)) {
      // Its source is not its any more.
      if (!was_blocked && wait_for_answer(*source, false, index)) return;
      verdict = was_blocked ? Verdict::fails(EINTR) : kTooLate;
    }
  }
  reply(*source, notification, verdict);
  end_call(source, who, index);
}

Agent::WriteOutcome Agent::outcome_for(CallAnswer& answer, const SourcePtr& source,
                                       const std::shared_ptr<Container>& who,
                                       std::unique_ptr<MonitorRequest>& asked, size_t index) {
  if (answer.later) return WriteOutcome::kLater;
  if (answer.reply) return WriteOutcome::kReply;
  // What a worker before us, or a writer that was killed, has taken for it is there.
  if (answer.waits && !has_taken(*source, asked.get(), index)) return WriteOutcome::kEmpty;
  const bool has_bytes = answer.log || !answer.bytes.empty();
  return has_bytes ? start_write(source, who, answer, asked, index) : WriteOutcome::kPass;
}

bool Agent::has_taken(const Source& source, const MonitorRequest* asked, size_t index) const {
  if (asked == nullptr) return pending_.in_flight(index).log.kind() != LogSpan::kNone;
  const std::lock_guard lock(mutex_);
  return taken_.count({source.key, asked->request.notification.id}) != 0;
}

/// Has the call that this thread works on, or a monitor's question, tried again after a moment:
/// its caller waits as a reader of files does. False: it has waited for long enough.
bool Agent::wait_for_answer(Source& source, bool is_monitor, size_t index) {
  const uint64_t now = boottime_us();
  if (source.waits_since_us == 0) {
    source.waits_since_us = now;
    counters_.waited.fetch_add(1, std::memory_order_relaxed);
  }
  const bool too_late = now >= source.waits_since_us + options_.patience_us;
  if (!too_late && is_monitor) {
    // The question is still in its socket.
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
  arm_pace_timer();
  return true;
}

/// Takes a call that was put aside until now for this thread to work on. False: there is none.
bool Agent::take_due_locked(uint64_t now_us, size_t index) {
  if (later_.empty() || later_.begin()->first > now_us) return false;
  const size_t place = later_.begin()->second;
  later_.erase(later_.begin());
  PendingCalls::move(pending_.parked(place), pending_.in_flight(index));
  return true;
}

void Agent::resume_in_flight(size_t index) {
  const PendingCalls::Entry entry = pending_.in_flight(index);
  resume(entry, index);
}

void Agent::end_call(const SourcePtr& source, const std::shared_ptr<Container>& who, size_t index) {
  const bool was_blocked = pending_.in_flight(index).blocked != 0;
  pending_.in_flight(index) = PendingCalls::Entry{};
  if (!was_blocked) source->waits_since_us = 0;
  go_on(*source, who, 1, !was_blocked);
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

/// `rearms`: the source waits for that, and not only its budget is charged.
void Agent::go_on(Source& source, const std::shared_ptr<Container>& who, uint32_t calls,
                  bool rearms) {
  const uint64_t wait_us = charge(source, who, calls);
  if (!rearms) return;
  if (wait_us == 0) return rearm(source.key, source.fd.get());
  defer(source, wait_us);
}

void Agent::count(const Verdict& verdict) {
  if (verdict.kind == Verdict::Kind::kReleaseFromMonitor) return;
  auto& counter = verdict.kind == Verdict::Kind::kPass ? counters_.passed : counters_.answered;
  counter.fetch_add(1, std::memory_order_relaxed);
  if (verdict.error == EFAULT) counters_.faults.fetch_add(1, std::memory_order_relaxed);
}

bool Agent::reply(const Source& source, const seccomp_notif& notification, const Verdict& verdict) {
  seccomp_notif_resp response = verdict.response(notification.id);
  if (::ioctl(source.fd.get(), SECCOMP_IOCTL_NOTIF_SEND, &response) == 0) {
    count(verdict);
    return true;
  }
  counters_.gone.fetch_add(1, std::memory_order_relaxed);
  return false;
}

bool Agent::was_answered(const Source& source, uint64_t id, int listener_fd) const {
  const PendingCalls::Entry* former = pending_.answering(source.key);
  if (former == nullptr || former->answering != id) return false;
  if (former->sent != 0) return true;
  // The worker before us died while it sent its answer. It had sent it when it is still unread, or
  // when the monitor passes it on, which it does at once.
  constexpr int kAttempts = 200;
  constexpr timespec kPause{0, 1'000'000};
  for (int i = 0; i < kAttempts; ++i) {
    int unread = 0;
    if (::ioctl(source.fd.get(), SIOCOUTQ, &unread) == 0 && unread > 0) return true;
    if (::ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) != 0) return true;
    ::nanosleep(&kPause, nullptr);
  }
  return false;
}

bool Agent::reply_lxc(const Source& source, const MonitorRequest& asked, const Verdict& verdict,
                      size_t index) {
  std::string packet = asked.packet;
  const LxcRequest& request = asked.request;
  const seccomp_notif_resp response = verdict.response(request.notification.id);
  std::memcpy(packet.data() + request.response_at, &response, sizeof response);
  PendingCalls::Entry& entry = pending_.in_flight(index);
  entry.key = source.key;
  entry.answering = request.notification.id;
  const ssize_t sent =
      ::send(source.fd.get(), packet.data(), request.answer_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  entry.sent = 1;
  // Only now: until it was answered it stays where the next worker would find it.
  char rest[1];
  ::recv(source.fd.get(), rest, sizeof rest, MSG_DONTWAIT | MSG_TRUNC);
  entry = PendingCalls::Entry{};
  if (sent == static_cast<ssize_t>(request.answer_bytes)) {
    count(verdict);
    return true;
  }
  return false;
}

void Agent::on_monitor(const SourcePtr& source, size_t index) {
  auto asked = std::make_unique<MonitorRequest>();
  asked->packet.resize(kMaxLxcPacket);
  Received got = receive(source->fd.get(), asked->packet.data(), asked->packet.size(), true);
  if (got.state == Received::State::kNothing) return rearm(source->key, source->fd.get());
  if (got.state == Received::State::kEnd) return remove(*source);
  asked->packet.resize(got.bytes);
  const auto request = parse_lxc_request(asked->packet);
  if (!request || got.cut || got.fds.size() != MonitorRequest::kFds) {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    return remove(*source);
  }
  asked->request = request.value();
  asked->fds = std::move(got.fds);
  const seccomp_notif& notification = asked->request.notification;
  if (std::exchange(source->resumed, false)) {
    const bool answered =
        was_answered(*source, notification.id, asked->fds[MonitorRequest::kNotify].get());
    char rest[1];
    if (answered) ::recv(source->fd.get(), rest, sizeof rest, MSG_DONTWAIT | MSG_TRUNC);
    // Only now: a worker that dies before leaves the question to the next one.
    {
      const std::lock_guard lock(mutex_);
      pending_.settle_answer(source->key);
    }
    if (answered) return rearm(source->key, source->fd.get());
  }
  std::shared_ptr<Container> who;
  Verdict verdict = fallback_verdict(notification.data);
  const int listener = asked->fds[MonitorRequest::kNotify].get();
  // A monitor asks one thing at a time, and the packet stays in its socket until it is answered.
  if (is_poisoned(source->key, notification.id)) {
    counters_.late.fetch_add(1, std::memory_order_relaxed);
  } else {
    CallAnswer answer = answerer_.answer(notification, listener, who);
    charge(*source, who, answer.calls);
    const WriteOutcome outcome = outcome_for(answer, source, who, asked, index);
    if (outcome == WriteOutcome::kStarted || outcome == WriteOutcome::kWait) return;
    if (outcome == WriteOutcome::kReply) verdict = *answer.reply;
    if (outcome == WriteOutcome::kEmpty) {
      // All other calls of the container wait for the monitor: it is not to wait for this one.
      const bool waits = still_waits(listener, notification.id);
      verdict = waits && block_beside_monitor(*source, *asked, who, index) ? kReleaseFromMonitor
                                                                           : kTooLate;
    }
    if (outcome == WriteOutcome::kLater && still_waits(listener, notification.id)) {
      if (wait_for_answer(*source, true, index)) return;
      verdict = kTooLate;
    }
  }
  // A monitor that does not read has no use for another answer.
  if (!reply_lxc(*source, *asked, verdict, index)) return remove(*source);
  end_call(source, who, index);
}

}  // namespace vprocfs
