// Questions of LXC's monitors about calls, and the answers to them.
//
// A monitor waits for 30 s (lxc_seccomp_setup_proxy() of LXC's src/lxc/seccomp.c). Then it has the
// call fail with ENOSYS, but stays connected, and takes a late answer for that to its next
// question: it only logs that the id is another one. From then on every call would get the verdict
// about the one before it. So a monitor that may have given up is disconnected, not answered. It
// connects again with its next question.

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <ctime>
#include <utility>

#include "base/clock.h"
#include "seccomp/abi.h"
#include "seccomp/agent.h"

namespace vprocfs {
namespace {

/// Takes the question that was peeked at out of the monitor's socket.
void discard_question(int monitor_fd) {
  char rest[1];
  ::recv(monitor_fd, rest, sizeof rest, MSG_DONTWAIT | MSG_TRUNC);
}

}  // namespace

Agent::Former Agent::former_answer(const Source& source, uint64_t id, int listener_fd) const {
  const PendingCalls::Entry* former = pending_.answering(source.key);
  if (former == nullptr || former->answering != id) return Former::kNothing;
  if (former->sent != 0) return Former::kAnswered;
  // That worker died while it sent its answer. It was sent if the monitor has yet to read it, or if
  // the call ends soon: the monitor passes an answer on at once. A call that the monitor was
  // released from does not end, so there it is not known.
  constexpr int kAttempts = 200;
  constexpr timespec kPause{0, 1'000'000};
  for (int i = 0; i < kAttempts; ++i) {
    int unread = 0;
    if (::ioctl(source.fd.get(), SIOCOUTQ, &unread) == 0 && unread > 0) return Former::kAnswered;
    if (!still_waits(listener_fd, id)) return Former::kAnswered;
    ::nanosleep(&kPause, nullptr);
  }
  return Former::kUnknown;
}

/// Whether the monitor may have given up the question, or has asked another one since.
bool Agent::has_given_up(const Source& source, const MonitorRequest& asked) {
  // Earlier than the monitor itself does.
  constexpr uint64_t kAnswerWithinUs = 28'000'000;
  if (unread_bytes(source.fd.get()) > asked.packet.size()) return true;
  if (!source.inherited || source.is_heard) {
    return boottime_us() > source.asked_us + kAnswerWithinUs;
  }
  // It may have asked long before we were there.
  return !still_waits(asked.fds[MonitorRequest::kNotify].get(), asked.request.notification.id);
}

/// Answers a monitor's question. False: the monitor does not wait for the answer, and it must not
/// get another one either.
bool Agent::reply_lxc(Source& source, const MonitorRequest& asked, const Verdict& verdict,
                      size_t index) {
  PendingCalls::Entry& entry = pending_.in_flight(index);
  if (has_given_up(source, asked)) {
    entry = PendingCalls::Entry{};
    return false;
  }
  std::string packet = asked.packet;
  const LxcRequest& request = asked.request;
  const seccomp_notif_resp response = verdict.response(request.notification.id);
  std::memcpy(packet.data() + request.response_at, &response, sizeof response);
  entry.key = source.key;
  entry.answering = request.notification.id;
  const ssize_t sent =
      ::send(source.fd.get(), packet.data(), request.answer_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  entry.sent = 1;
  // Only now: until it is answered, the question stays where the next worker finds it.
  discard_question(source.fd.get());
  entry = PendingCalls::Entry{};
  source.is_heard = true;
  source.asked_id = 0;
  const bool is_sent = sent == static_cast<ssize_t>(request.answer_bytes);
  if (is_sent) count(verdict);
  return is_sent;
}

/// Reads a monitor's question, which stays in its socket until it is answered. nullptr: there is
/// none; the source is armed again, or removed if the monitor has ended or breaks the protocol.
std::unique_ptr<Agent::MonitorRequest> Agent::read_question(const Source& source) {
  auto asked = std::make_unique<MonitorRequest>();
  asked->packet.resize(kMaxLxcPacket);
  Received got = receive(source.fd.get(), asked->packet.data(), asked->packet.size(), true);
  if (got.state == Received::State::kNothing) {
    rearm(source.key, source.fd.get());
    return nullptr;
  }
  if (got.state == Received::State::kEnd) {
    remove(source);
    return nullptr;
  }
  asked->packet.resize(got.bytes);
  const auto request = parse_lxc_request(asked->packet);
  if (!request || got.cut || got.fds.size() != MonitorRequest::kFds) {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    remove(source);
    return nullptr;
  }
  asked->request = request.value();
  asked->fds = std::move(got.fds);
  return asked;
}

/// Whether the first question of a monitor that we inherited has to be answered. If it was
/// answered, drops it and has the next one taken; removes the monitor if that is not known.
bool Agent::is_question_open(const Source& source, const MonitorRequest& asked) {
  const int listener_fd = asked.fds[MonitorRequest::kNotify].get();
  const Former former = former_answer(source, asked.request.notification.id, listener_fd);
  if (former == Former::kAnswered) discard_question(source.fd.get());
  // A second answer would be taken for that to the next question.
  if (former == Former::kUnknown) remove(source);
  {
    // Only now: a worker that dies before this leaves the question to the next one.
    const std::lock_guard lock(mutex_);
    pending_.settle_answer(source.key);
  }
  if (former == Former::kAnswered) rearm(source.key, source.fd.get());
  return former == Former::kNothing;
}

void Agent::on_monitor(const SourcePtr& source, size_t index) {
  auto asked = read_question(*source);
  if (!asked) return;
  if (std::exchange(source->resumed, false) && !is_question_open(*source, *asked)) return;
  const uint64_t id = asked->request.notification.id;
  if (source->asked_id.exchange(id) != id) source->asked_us = boottime_us();
  const int listener_fd = asked->fds[MonitorRequest::kNotify].get();
  std::shared_ptr<Container> who;
  const auto verdict = decide(source, asked->request.notification, listener_fd, who, asked, index);
  if (verdict && reply_lxc(*source, *asked, *verdict, index)) {
    end_call(source, who, index);
  } else if (verdict) {
    // A monitor that does not read this answer would not read another one.
    remove(*source);
  }
  // It may have had the turn without writing anything.
  if (who) end_turn(who->tenant().id().packed(), index);
}

}  // namespace vprocfs
