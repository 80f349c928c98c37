#include "keeper/call_passthrough.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/lock_file.h"
#include "base/unix_socket.h"
#include "keeper/passthrough_group.h"
#include "keeper/receipt.h"
#include "seccomp/abi.h"
#include "seccomp/message.h"
#include "seccomp/pending_calls.h"
#include "seccomp/verdict.h"
#include "state/fd_store.h"

namespace vprocfs {
namespace {

static_assert(kPassthroughFds <= kMaxPassedFds);

constexpr int kFirst = STDERR_FILENO + 1;

/// For so long callers wait for another vprocfs that waits for what we hold, and asks every two
/// seconds, rather than see the node's figures, and so do runtimes that start containers; and how
/// often it is looked whether it still does.
constexpr uint64_t kSuccessorMs = 10'000;
constexpr int kLookMs = 100;

struct Held {
  int fd = -1;
  FdKind kind = FdKind::kNone;
};

struct Passthrough {
  char socket[sizeof(sockaddr_un::sun_path)] = {};
  char awaited[sizeof(sockaddr_un::sun_path) + sizeof kAwaitedName] = {};
  Held held[FdStoreTable::kCapacity];
  pollfd polled[FdStoreTable::kCapacity + 1];
  size_t count = 0;
};

Passthrough g_passthrough;

Fd listen_for_successor() {
  const auto address = UnixAddress::at(g_passthrough.socket);
  if (!address) return Fd();
  ::unlink(g_passthrough.socket);
  return address->listen(SOCK_SEQPACKET, 1);
}

seccomp_notif_resp pass(const seccomp_notif& notification) {
  return fallback_verdict(notification.data).response(notification.id);
}

/// Drops a monitor's question if it is about this notification, which a worker was answering when
/// it ended: the monitor would take a second answer for that to its next question. If it has not
/// had the first, it gives up by itself.
void drop_answered_question(int monitor, uint64_t id) {
  char packet[kMaxLxcPacket];
  const ssize_t n = ::recv(monitor, packet, sizeof packet, MSG_DONTWAIT | MSG_PEEK);
  if (n < 0) return;
  const auto asked = parse_lxc_request({packet, static_cast<size_t>(n)});
  if (!asked || asked.value().notification.id != id) return;
  ::recv(monitor, packet, sizeof packet, MSG_DONTWAIT);
}

/// What workers have taken, and none is there to answer: the kernel gives each call to one only.
void pass_pending_calls(const FdStoreTable& fd_store) {
  PendingCalls pending;
  fd_store.for_each([&pending](uint64_t, FdKind kind, int fd) {
    if (kind == FdKind::kPendingCalls && !pending.is_open()) pending.open(fd);
  });
  if (!pending.is_open()) return;
  fd_store.for_each([&pending](uint64_t of, FdKind kind, int fd) {
    if (kind == FdKind::kMonitor) {
      // Its question is still in its socket.
      if (const uint64_t id = pending.last_answered(of)) drop_answered_question(fd, id);
    }
    if (kind != FdKind::kListener && kind != FdKind::kSideListener) return;
    pending.for_each([of, fd](uint64_t key, const seccomp_notif& notification) {
      seccomp_notif_resp response = pass(notification);
      if (key == of) ::ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
    });
  });
}

void pass_call(int listener) {
  seccomp_notif notification{};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) != 0) return;
  seccomp_notif_resp response = pass(notification);
  ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/// Answers a monitor of LXC. False when it says what no monitor says, or
/// has given up the question: it would take the answer for that to its next one (monitors.cc).
bool pass_lxc(int monitor) {
  constexpr size_t kNotify = 2, kFds = 3;
  char packet[kMaxLxcPacket];
  PassedFds passed;
  const ssize_t n = receive_with(monitor, packet, sizeof packet, passed, kFds, MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN;
  const auto parsed = parse_lxc_request({packet, static_cast<size_t>(n)});
  if (!parsed) return false;
  const LxcRequest& asked = parsed.value();
  // LXC before 4.0 sends no notify descriptor.
  const bool waits =
      passed.count < kFds || still_waits(passed.fds[kNotify].get(), asked.notification.id);
  if (!waits || unread_bytes(monitor) != 0) return false;
  const seccomp_notif_resp response = pass(asked.notification);
  std::memcpy(packet + asked.response_at, &response, sizeof response);
  const ssize_t sent = ::send(monitor, packet, asked.answer_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(asked.answer_bytes);
}

void hold(Fd fd, FdKind kind) {
  if (fd && g_passthrough.count < FdStoreTable::kCapacity)
    g_passthrough.held[g_passthrough.count++] = {fd.release(), kind};
}

/// Of what a runtime that starts a container says only the notify descriptor counts, which comes
/// with the first byte; but it must not fail to say the rest. False once it has.
bool hear(int runtime) {
  char text[4096];
  PassedFds passed;
  const ssize_t n = receive_with(runtime, text, sizeof text, passed, kPassthroughFds, MSG_DONTWAIT);
  for (size_t i = 0; i < passed.count; ++i) {
    Fd& fd = passed.fds[i];
    if (is_notify_descriptor(fd.get())) hold(std::move(fd), FdKind::kListener);
  }
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void accept_from(int listening, FdKind kind) {
  Fd peer = accept_root(listening);
  if (peer) hold(std::move(peer), kind);
}

bool send_note(int worker, uint32_t note) {
  return send_with(worker, &note, sizeof note, nullptr, 0, 0) == sizeof note;
}

/// Gives everything to a worker of root's. Each packet has as many kinds as descriptors. False: it
/// did not take it.
bool hand_over(int listening) {
  constexpr timeval kSendWithin{5, 0};
  const Fd peer(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
  if (!peer || !is_root_peer(peer.get())) return false;
  ::setsockopt(peer.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendWithin, sizeof kSendWithin);
  if (!send_note(peer.get(), kReceiptWanted)) return false;
  for (size_t from = 0; from < g_passthrough.count; from += kPassthroughFds) {
    const size_t count = std::min(kPassthroughFds, g_passthrough.count - from);
    FdKind kinds[kPassthroughFds] = {};
    int fds[kPassthroughFds] = {};
    for (size_t i = 0; i < count; ++i) {
      kinds[i] = g_passthrough.held[from + i].kind;
      fds[i] = g_passthrough.held[from + i].fd;
    }
    if (send_with(peer.get(), kinds, count * sizeof(kinds[0]), fds, count, 0) < 0) return false;
  }
  return send_note(peer.get(), kAllPassed) && is_receipt_given(peer.get());
}

size_t containers() {
  size_t n = 0;
  for (size_t i = 0; i < g_passthrough.count; ++i)
    n += is_socket(g_passthrough.held[i].kind) ? 0 : 1;
  return n;
}

/// False when there is nothing more to be done with it.
bool serve_one(const Held& held, short events) {
  if (is_socket(held.kind)) {
    if ((events & POLLIN) == 0) return events == 0;
    accept_from(held.fd, held.kind == FdKind::kOciSocket ? FdKind::kRuntime : FdKind::kMonitor);
    return true;
  }
  if ((events & POLLIN) != 0 && is_runtime(held.kind)) return hear(held.fd);
  if ((events & POLLIN) != 0 && held.kind == FdKind::kListener) pass_call(held.fd);
  if ((events & POLLIN) != 0 && held.kind == FdKind::kMonitor && !pass_lxc(held.fd)) return false;
  return (events & (POLLHUP | POLLERR | POLLNVAL)) == 0;
}

/// Whether another vprocfs waits for what we hold. Where none does any more, it removes what one
/// has left, which may be our own worker.
bool is_awaited() {
  const Fd file = lock_file(g_passthrough.awaited, O_RDONLY, LOCK_EX);
  if (!file) return errno == EWOULDBLOCK;
  // Nobody else removes it while we have the lock.
  ::unlink(g_passthrough.awaited);
  return false;
}

/// Removes what our own worker has left, if it was killed while it waited: it may still hold the
/// lock for a moment.
void remove_what_waited() {
  constexpr int kTries = 20;
  constexpr timespec kMoment{0, 5'000'000};
  for (int i = 0; i < kTries && is_awaited(); ++i) ::nanosleep(&kMoment, nullptr);
}

/// Where our successor finds us, at `socket`, and says that it waits.
void note_place(const char* socket) {
  if (socket == nullptr || std::strlen(socket) >= sizeof g_passthrough.socket) return;
  std::strcpy(g_passthrough.socket, socket);
  const char* name = std::strrchr(socket, '/');
  const auto directory = name == nullptr ? size_t{0} : static_cast<size_t>(name + 1 - socket);
  std::memcpy(g_passthrough.awaited, socket, directory);
  std::strcpy(g_passthrough.awaited + directory, kAwaitedName);
}

/// `ready` is closed when whoever waits for us need not any more.
[[noreturn]] void serve(Fd ready) {
  const Fd listening = listen_for_successor();
  ready.reset();
  const uint64_t patient_until = monotonic_ms() + kSuccessorMs;
  bool waits = static_cast<bool>(listening), taken = false;
  while (!taken) {
    waits = waits && is_awaited() && monotonic_ms() < patient_until;
    if (!waits && containers() == 0) break;
    const size_t count = waits ? 0 : g_passthrough.count;
    for (size_t i = 0; i < count; ++i)
      g_passthrough.polled[i] = {g_passthrough.held[i].fd, POLLIN, 0};
    g_passthrough.polled[count] = {listening.get(), POLLIN, 0};
    if (::poll(g_passthrough.polled, count + 1, waits ? kLookMs : -1) < 0) continue;
    taken = g_passthrough.polled[count].revents != 0 && hand_over(listening.get());
    if (taken) break;
    for (size_t i = 0; i < count; ++i) {
      if (serve_one(g_passthrough.held[i], g_passthrough.polled[i].revents)) continue;
      ::close(g_passthrough.held[i].fd);
      g_passthrough.held[i].fd = -1;
    }
    size_t left = 0;
    for (size_t i = 0; i < g_passthrough.count; ++i) {
      if (g_passthrough.held[i].fd >= 0) g_passthrough.held[left++] = g_passthrough.held[i];
    }
    g_passthrough.count = left;
  }
  for (size_t i = 0; i < g_passthrough.count && !taken; ++i) {
    if (is_socket(g_passthrough.held[i].kind)) unlink_bound(g_passthrough.held[i].fd);
  }
  if (listening) ::unlink(g_passthrough.socket);
  leave_passthrough_group();
  ::_exit(0);
}

/// Nothing else of the keeper's may live on in us: not the connection to the kernel above all.
/// Returns what has become of `ready`.
Fd keep_only_these(int ready) {
  // Not higher than needed: there may be a limit.
  const int above = kFirst + static_cast<int>(g_passthrough.count) + 1;
  for (size_t i = 0; i < g_passthrough.count; ++i) {
    g_passthrough.held[i].fd = ::fcntl(g_passthrough.held[i].fd, F_DUPFD_CLOEXEC, above);
    // Their callers are told that nobody answers, and the mount ends.
    if (g_passthrough.held[i].fd < 0) ::_exit(1);
  }
  const int high = ::fcntl(ready, F_DUPFD_CLOEXEC, above);
  for (size_t i = 0; i < g_passthrough.count; ++i) {
    g_passthrough.held[i].fd = ::dup2(g_passthrough.held[i].fd, kFirst + static_cast<int>(i));
  }
  const int last = kFirst + static_cast<int>(g_passthrough.count);
  Fd kept(::dup2(high, last));
  const int null = ::open("/dev/null", O_RDWR);
  for (int fd = 0; fd < kFirst; ++fd) ::dup2(null, fd);
  close_from(kept ? last + 1 : last);
  return kept;
}

/// Until it is out of the cgroup of our service, of which nothing survives us, and can be found.
void wait_until_ready(const Fd& ready) {
  constexpr int kPatienceMs = 2000;
  pollfd p{ready.get(), POLLIN, 0};
  ::poll(&p, 1, kPatienceMs);
}

}  // namespace

void leave_passthrough(const KeeperOptions& options, const FdStoreTable& fd_store) {
  g_passthrough.count = 0;
  pass_pending_calls(fd_store);
  fd_store.for_each([](uint64_t, FdKind kind, int fd) {
    const bool counts = kind == FdKind::kListener || kind == FdKind::kMonitor || is_runtime(kind) ||
                        is_socket(kind);
    if (counts) g_passthrough.held[g_passthrough.count++] = {fd, kind};
  });
  note_place(options.rest);
  // One that has no socket either never had the place.
  if (g_passthrough.count == 0) return remove_what_waited();
  if (containers() == 0 && !is_awaited()) {
    for (size_t i = 0; i < g_passthrough.count; ++i) unlink_bound(g_passthrough.held[i].fd);
    return;
  }
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) ends[0] = ends[1] = -1;
  Fd seen(ends[0]), ready(ends[1]);
  if (::fork() != 0) {
    ready.reset();
    if (seen) wait_until_ready(seen);
    return;
  }
  // It serves no mount any more: nobody is to take it for one that does.
  for (char* const* word = options.self + 1; *word != nullptr; ++word) {
    std::memset(*word, 0, std::strlen(*word));
  }
  ::setsid();
  ::prctl(PR_SET_NAME, "vprocfs-rest");
  if (::chdir("/") != 0) ::_exit(1);
  enter_passthrough_group();
  ready = keep_only_these(ready.release());
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  serve(std::move(ready));
}

}  // namespace vprocfs
