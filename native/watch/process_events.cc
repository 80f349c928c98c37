#include "watch/process_events.h"

#include <arpa/inet.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>

#include "base/clock.h"

namespace vprocfs {
namespace {

constexpr size_t kConnectorAt = NLMSG_HDRLEN;
constexpr size_t kEventAt = kConnectorAt + sizeof(cn_msg);
// PROC_EVENT_NONE, PROC_EVENT_EXEC and PROC_EVENT_COREDUMP; the enumeration has moved between
// headers.
constexpr uint32_t kAnswer = 0, kExec = 0x2, kCoredump = 0x40000000;
constexpr int kRoomBytes = 4 << 20;

uint32_t number_of(ProcessEvents::Kind kind) {
  return kind == ProcessEvents::Kind::kExec ? kExec : kCoredump;
}

/// Passes only messages about one kind of events.
bool filter(int fd, uint32_t what) {
  sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, kEventAt},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, htonl(what)},
      {BPF_RET | BPF_K, 0, 0, 0xffffffff},
      {BPF_RET | BPF_K, 0, 0, 0},
  };
  const sock_fprog program{sizeof(code) / sizeof(code[0]), code};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

/// Begins or ends that the kernel sends events. Its answer has the number after `number`.
bool send_wish(int fd, proc_cn_mcast_op wish, uint32_t number) {
  alignas(nlmsghdr) unsigned char message[kEventAt + sizeof(uint32_t)] = {};
  nlmsghdr header{};
  header.nlmsg_len = sizeof message;
  header.nlmsg_type = NLMSG_DONE;
  cn_msg connector{};
  connector.id.idx = CN_IDX_PROC;
  connector.id.val = CN_VAL_PROC;
  connector.ack = number;
  connector.len = sizeof(uint32_t);
  const uint32_t operation = wish;
  std::memcpy(message, &header, sizeof header);
  std::memcpy(message + kConnectorAt, &connector, sizeof connector);
  std::memcpy(message + kEventAt, &operation, sizeof operation);
  return ::send(fd, message, sizeof message, 0) == static_cast<ssize_t>(sizeof message);
}

/// A socket on which only messages about one kind of events come. Empty with errno set.
Fd open_socket(uint32_t what) {
  Fd fd(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR));
  if (!fd) return fd;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kRoomBytes, sizeof kRoomBytes);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = CN_IDX_PROC;
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (filter(fd.get(), what) && ::bind(fd.get(), generic, sizeof address) == 0) return fd;
  const int code = errno;
  fd.reset();
  errno = code;
  return fd;
}

/// The next message of the kernel's. False with errno set: there is none.
bool receive(int fd, cn_msg& head, proc_event& event) {
  alignas(nlmsghdr) unsigned char message[1024];
  for (;;) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    const ssize_t n =
        ::recvfrom(fd, message, sizeof message, 0, reinterpret_cast<sockaddr*>(&from), &from_size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    constexpr size_t kMinBytes =
        kEventAt + offsetof(proc_event, event_data) + sizeof(event.event_data.exec);
    // Ignores messages of other processes.
    if (from.nl_pid != 0 || static_cast<size_t>(n) < kMinBytes) continue;
    std::memcpy(&head, message + kConnectorAt, sizeof head);
    std::memset(&event, 0, sizeof event);
    std::memcpy(&event, message + kEventAt,
                std::min(sizeof event, static_cast<size_t>(n) - kEventAt));
    return true;
  }
}

/// What the kernel has answered to the wish with a number, an errno value or 0. Nothing: it has not
/// until then.
std::optional<int> wait_for_answer(int fd, uint32_t number, uint64_t until_ms) {
  for (bool late = false; !late;) {
    // Before it reads: an answer may have come while this thread had no CPU.
    const uint64_t now = monotonic_ms();
    late = now >= until_ms;
    cn_msg head;
    proc_event event;
    if (receive(fd, head, event)) {
      // Others get answers as well.
      if (head.ack == number + 1) return static_cast<int>(event.event_data.ack.err);
    } else if (!late) {
      pollfd p{fd, POLLIN, 0};
      ::poll(&p, 1, static_cast<int>(until_ms - now));
    }
  }
  return std::nullopt;
}

/// Whether the kernel sends events to this process: 0, or an errno value. It takes the wish of one
/// that is to have none and says nothing, as does a kernel without CONFIG_PROC_EVENTS. All others
/// get an answer, unless memory is short.
int ask_whether_it_sends() {
  constexpr int kAttempts = 3, kWaitMs = 50;
  const Fd fd = open_socket(kAnswer);
  sockaddr_nl own{};
  socklen_t size = sizeof own;
  if (!fd || ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size) != 0) return errno;
  std::optional<int> found;
  for (int i = 0; i < kAttempts && !found; ++i) {
    if (!send_wish(fd.get(), PROC_CN_MCAST_LISTEN, own.nl_pid)) return errno;
    found = wait_for_answer(fd.get(), own.nl_pid, monotonic_ms() + kWaitMs);
  }
  send_wish(fd.get(), PROC_CN_MCAST_IGNORE, own.nl_pid);
  return found.value_or(EOPNOTSUPP);
}

}  // namespace

Result<ProcessEvents> ProcessEvents::open(Kind kind) {
  ProcessEvents events;
  events.kind_ = kind;
  events.socket_ = open_socket(number_of(kind));
  const int fd = events.socket_.get();
  if (fd < 0 || !send_wish(fd, PROC_CN_MCAST_LISTEN, 0)) return Error{errno, "process connector"};
  // Through another socket: what happens meanwhile waits in this one.
  const int refused = ask_whether_it_sends();
  if (refused != 0) return Error{refused, "process connector"};
  return events;
}

ProcessEvents::Event ProcessEvents::next() const {
  cn_msg head;
  proc_event event;
  while (receive(socket_.get(), head, event)) {
    if (static_cast<uint32_t>(event.what) != number_of(kind_)) continue;
    const pid_t pid = kind_ == Kind::kExec ? event.event_data.exec.process_tgid
                                           : event.event_data.coredump.process_pid;
    return {pid, event.timestamp_ns / 1000};
  }
  return {errno == ENOBUFS ? -1 : 0, 0};
}

}  // namespace vprocfs
