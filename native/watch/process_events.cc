#include "watch/process_events.h"

#include <arpa/inet.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace vprocfs {
namespace {

constexpr size_t kConnectorAt = NLMSG_HDRLEN;
constexpr size_t kEventAt = kConnectorAt + sizeof(cn_msg);
// PROC_EVENT_EXEC and PROC_EVENT_COREDUMP; the enumeration has moved between headers.
constexpr uint32_t kExec = 0x2, kCoredump = 0x40000000;
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

bool subscribe(int fd) {
  alignas(nlmsghdr) unsigned char message[kEventAt + sizeof(uint32_t)] = {};
  nlmsghdr header{};
  header.nlmsg_len = sizeof message;
  header.nlmsg_type = NLMSG_DONE;
  cn_msg connector{};
  connector.id.idx = CN_IDX_PROC;
  connector.id.val = CN_VAL_PROC;
  connector.len = sizeof(uint32_t);
  const uint32_t listen = PROC_CN_MCAST_LISTEN;
  std::memcpy(message, &header, sizeof header);
  std::memcpy(message + kConnectorAt, &connector, sizeof connector);
  std::memcpy(message + kEventAt, &listen, sizeof listen);
  return ::send(fd, message, sizeof message, 0) == static_cast<ssize_t>(sizeof message);
}

}  // namespace

Result<ProcessEvents> ProcessEvents::open(Kind kind) {
  ProcessEvents events;
  events.kind_ = kind;
  events.socket_ =
      Fd(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR));
  const int fd = events.socket_.get();
  if (fd < 0) return Error{errno, "process connector"};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kRoomBytes, sizeof kRoomBytes);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = CN_IDX_PROC;
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (!filter(fd, number_of(kind)) || ::bind(fd, generic, sizeof address) != 0 || !subscribe(fd)) {
    return Error{errno, "process connector"};
  }
  return events;
}

ProcessEvents::Event ProcessEvents::next() const {
  alignas(nlmsghdr) unsigned char message[1024];
  for (;;) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    const ssize_t n = ::recvfrom(socket_.get(), message, sizeof message, 0,
                                 reinterpret_cast<sockaddr*>(&from), &from_size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return {errno == ENOBUFS ? -1 : 0, 0};
    proc_event event;
    constexpr size_t kMinBytes =
        kEventAt + offsetof(proc_event, event_data) + sizeof(event.event_data.exec);
    // Ignores messages of other processes.
    if (from.nl_pid != 0 || static_cast<size_t>(n) < kMinBytes) continue;
    std::memset(&event, 0, sizeof event);
    std::memcpy(&event, message + kEventAt,
                std::min(sizeof event, static_cast<size_t>(n) - kEventAt));
    if (static_cast<uint32_t>(event.what) != number_of(kind_)) continue;
    const pid_t pid = kind_ == Kind::kExec ? event.event_data.exec.process_tgid
                                           : event.event_data.coredump.process_pid;
    return {pid, event.timestamp_ns / 1000};
  }
}

}  // namespace vprocfs
