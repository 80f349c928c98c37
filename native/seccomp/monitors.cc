// Questions of LXC's monitors about calls, and the answers to them.

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <ctime>
#include <utility>

#include "seccomp/agent.h"

namespace vprocfs {
namespace {

/// Takes the question that was peeked at out of the monitor's socket.
void discard_question(int monitor_fd) {
  char rest[1];
  ::recv(monitor_fd, rest, sizeof rest, MSG_DONTWAIT | MSG_TRUNC);
}

}  // namespace

/// Whether the worker before us had answered the question with this id when it ended.
bool Agent::was_answered(const Source& source, uint64_t id, int listener_fd) const {
  const PendingCalls::Entry* former = pending_.answering(source.key);
  if (former == nullptr || former->answering != id) return false;
  if (former->sent != 0) return true;
  // That worker died while it sent its answer. It was sent if the monitor has yet to read it, or if
  // the call ends soon: the monitor passes an answer on at once.
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

/// Answers a monitor's question. False: the monitor does not read the answer.
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
  // Only now: until it is answered, the question stays where the next worker finds it.
  discard_question(source.fd.get());
  entry = PendingCalls::Entry{};
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

/// Drops the first question of a monitor that we inherited if it was answered. False: it was not.
bool Agent::drop_answered_question(const Source& source, const MonitorRequest& asked) {
  const int listener_fd = asked.fds[MonitorRequest::kNotify].get();
  const bool answered = was_answered(source, asked.request.notification.id, listener_fd);
  if (answered) discard_question(source.fd.get());
  // Only now: a worker that dies before this leaves the question to the next one.
  const std::lock_guard lock(mutex_);
  pending_.settle_answer(source.key);
  return answered;
}

void Agent::on_monitor(const SourcePtr& source, size_t index) {
  auto asked = read_question(*source);
  if (!asked) return;
  if (std::exchange(source->resumed, false) && drop_answered_question(*source, *asked)) {
    return rearm(source->key, source->fd.get());
  }
  const int listener_fd = asked->fds[MonitorRequest::kNotify].get();
  std::shared_ptr<Container> who;
  const auto verdict = decide(source, asked->request.notification, listener_fd, who, asked, index);
  if (!verdict) return;
  // A monitor that does not read this answer would not read another one.
  if (!reply_lxc(*source, *asked, *verdict, index)) return remove(*source);
  end_call(source, who, index);
}

}  // namespace vprocfs
