// What becomes of one call.

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "seccomp/agent.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS  // Linux 6.6
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

namespace vprocfs {
namespace {

// SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: caller and answerer take turns on one CPU.
constexpr unsigned long kSyncWakeUp = 1;

constexpr Verdict kPassed{};

}  // namespace

void Agent::on_runtime(const SourcePtr& source) {
  char buffer[16384];
  for (;;) {
    Received got = receive(source->fd.get(), buffer, sizeof buffer, false);
    if (got.state == Received::State::kNothing) return rearm(source->key, source->fd.get());
    const bool ended = got.state == Received::State::kEnd;
    source->text.append(buffer, got.bytes);
    for (Fd& fd : got.fds) source->fds.push_back(std::move(fd));
    const auto found = parse_oci_state(source->text);
    const bool may_grow = !found && found.error().code == EAGAIN && !ended && !got.cut &&
                          source->fds.size() <= kMaxOciFds;
    if (may_grow) continue;
    if (found && found.value().listener < source->fds.size()) {
      Fd listener = std::move(source->fds[found.value().listener]);
      // Only a notify descriptor takes this; older ones than Linux 6.6 take nothing of the kind.
      ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, kSyncWakeUp);
      uint64_t nobody = 0;
      const bool is_listener =
          ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &nobody) == 0 || errno == ENOENT;
      if (is_listener) {
        add(Kind::kListener, std::move(listener), 0, false);
        return remove(*source);
      }
    }
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    return remove(*source);
  }
}

void Agent::on_listener(const SourcePtr& source, size_t index) {
  Ledger::Entry& entry = ledger_.hand(index);
  entry = Ledger::Entry{};
  entry.key = source->key;
  if (::ioctl(source->fd.get(), SECCOMP_IOCTL_NOTIF_RECV, &entry.notification) != 0) {
    // ENOENT: the caller was killed meanwhile.
    if (errno == ENOENT || errno == EINTR) return rearm(source->key, source->fd.get());
    return remove(*source);
  }
  const seccomp_notif notification = entry.notification;
  answer_listener(source, notification, index);
}

void Agent::resume(const Ledger::Entry& entry, size_t index) {
  const SourcePtr source = find(entry.key);
  if (!source || source->kind != Kind::kListener) return;
  counters_.resumed.fetch_add(1, std::memory_order_relaxed);
  answer_listener(source, entry.notification, index);
}

void Agent::answer_listener(const SourcePtr& source, const seccomp_notif& notification,
                            size_t index) {
  Hand& hand = hands_[index];
  std::shared_ptr<Container> who;
  Verdict verdict;
  const auto release = [this, source] {
    source->stuck = true;
    rearm(source->key, source->fd.get());
  };
  hand.begin(
      boottime_us(),
      [this, source, notification, release] {
        reply(*source, notification, kPassed);
        release();
      },
      release);
  watch_hands();
  if (!source->stuck) {
    const std::function<bool()> claim = [&hand] { return hand.claim(); };
    verdict = answerer_.answer({notification, source->fd.get(), -1, claim}, who);
  }
  if (verdict.kind == Verdict::Kind::kPass && !hand.claim()) verdict.kind = Verdict::Kind::kNone;
  if (verdict.kind != Verdict::Kind::kNone) reply(*source, notification, verdict);
  const Hand::End end = hand.finish();
  ledger_.hand(index) = Ledger::Entry{};
  go_on(*source, who, end);
}

void Agent::go_on(Source& source, const std::shared_ptr<Container>& who, Hand::End end) {
  if (end != Hand::End::kAnswered) {
    // It was let go on long ago, and this was what it was stuck in.
    source.stuck = false;
    return;
  }
  Budget& budget = who ? who->tenant().calls() : source.budget;
  const uint64_t wait_us = budget.take(boottime_us());
  if (wait_us == 0) return rearm(source.key, source.fd.get());
  counters_.paced.fetch_add(1, std::memory_order_relaxed);
  defer(source, wait_us);
}

void Agent::count(const Verdict& verdict) {
  auto& counter = verdict.kind == Verdict::Kind::kPass ? counters_.passed : counters_.answered;
  counter.fetch_add(1, std::memory_order_relaxed);
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
  if (ledger_.answering(source.key) != id) return false;
  // It is not known whether the worker before us had sent its answer: it had when it is still
  // unread, or when the monitor has passed it on.
  int unread = 0;
  return (::ioctl(source.fd.get(), SIOCOUTQ, &unread) == 0 && unread > 0) ||
         ::ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) != 0;
}

bool Agent::reply_lxc(const Source& source, std::string packet, const LxcRequest& request,
                      const Verdict& verdict, size_t index) {
  const seccomp_notif_resp response = verdict.response(request.notification.id);
  std::memcpy(packet.data() + request.response_at, &response, sizeof response);
  Ledger::Entry& entry = ledger_.hand(index);
  entry.key = source.key;
  entry.answering = request.notification.id;
  const ssize_t sent =
      ::send(source.fd.get(), packet.data(), request.answer_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  // Only now: until it was answered it stays where the next worker would find it.
  char rest[1];
  ::recv(source.fd.get(), rest, sizeof rest, MSG_DONTWAIT | MSG_TRUNC);
  entry = Ledger::Entry{};
  if (sent == static_cast<ssize_t>(request.answer_bytes)) {
    count(verdict);
    return true;
  }
  return false;
}

void Agent::on_monitor(const SourcePtr& source, size_t index) {
  std::string packet(kMaxLxcPacket, '\0');
  Received got = receive(source->fd.get(), packet.data(), packet.size(), true);
  if (got.state == Received::State::kNothing) return rearm(source->key, source->fd.get());
  if (got.state == Received::State::kEnd) return remove(*source);
  packet.resize(got.bytes);
  const auto request = parse_lxc_request(packet);
  constexpr size_t kMemory = 1, kNotify = 2, kFds = 3;
  if (!request || got.cut || got.fds.size() != kFds) {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    return remove(*source);
  }
  const seccomp_notif& notification = request.value().notification;
  const int listener = got.fds[kNotify].get();
  if (std::exchange(source->resumed, false)) {
    const bool answered = was_answered(*source, notification.id, listener);
    char rest[1];
    if (answered) ::recv(source->fd.get(), rest, sizeof rest, MSG_DONTWAIT | MSG_TRUNC);
    // Only now: a worker that dies before leaves the question to the next one.
    ledger_.settle_answer(source->key);
    if (answered) return rearm(source->key, source->fd.get());
  }
  Hand& hand = hands_[index];
  std::shared_ptr<Container> who;
  const auto answer = [this, source, packet, asked = request.value(), index](const Verdict& how) {
    return reply_lxc(*source, packet, asked, how, index);
  };
  // A monitor asks one thing at a time, and the packet stays in its socket until it is answered:
  // while that is being done there is nothing else to be taken, and this not by another thread.
  hand.begin(
      boottime_us(),
      [this, source, answer] {
        if (!answer(kPassed)) return remove(*source);
        source->stuck = true;
        rearm(source->key, source->fd.get());
      },
      nullptr);
  watch_hands();
  Verdict verdict;
  if (!source->stuck) {
    const std::function<bool()> claim = [&hand] { return hand.claim(); };
    verdict = answerer_.answer({notification, listener, got.fds[kMemory].get(), claim}, who);
  }
  bool sent = true;
  // A monitor waits for its answer even when the caller does not any more.
  if (hand.claim()) {
    if (verdict.kind == Verdict::Kind::kNone) verdict.kind = Verdict::Kind::kPass;
    sent = answer(verdict);
  }
  const Hand::End end = hand.finish();
  // A monitor that does not read has no use for another answer.
  if (!sent) return remove(*source);
  go_on(*source, who, end);
}

}  // namespace vprocfs
