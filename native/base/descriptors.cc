#include "base/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace vprocfs {
namespace {

/// What most processes may have.
constexpr rlim_t kUsualLimit = 1024;

/// close_from() where the kernel does not do it, before Linux 5.9. The kernel's list goes by
/// number, so nothing is missed where something is closed meanwhile.
void close_each_from(int first) {
  const Fd directory(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  alignas(dirent64) char entries[4096];
  for (;;) {
    // getdents64(2) itself: opendir(3) allocates.
    const long n = ::syscall(SYS_getdents64, directory.get(), entries, sizeof entries);
    if (n <= 0) return;
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      at += entry->d_reclen;
      const int fd = entry->d_name[0] == '.' ? -1 : std::atoi(entry->d_name);
      if (fd >= first && fd != directory.get()) ::close(fd);
    }
  }
}

}  // namespace

ssize_t send_with(int socket, const void* data, size_t bytes, const int* fds, size_t count,
                  int flags) {
  iovec part{const_cast<void*>(data), bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxPassedFds * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  }
  return ::sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

ssize_t receive_with(int socket, void* data, size_t bytes, PassedFds& out, size_t max_fds,
                     int flags) {
  for (size_t i = 0; i < out.count; ++i) out.fds[i].reset();
  out.count = 0;
  out.cut = false;
  iovec part{data, bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxPassedFds * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  // Without the padding, in which there would be room for one more.
  message.msg_controllen = CMSG_LEN(max_fds * sizeof(int));
  const ssize_t n = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  if (n < 0) return n;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count && out.count < out.fds.size(); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      out.fds[out.count++] = Fd(fd);
    }
  }
  out.cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  return n;
}

uint64_t descriptor_limit() {
  rlimit limit{kUsualLimit, kUsualLimit};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  return descriptor_limit();
}

int first_reserved_descriptor() {
  const uint64_t limit = descriptor_limit();
  return static_cast<int>(std::min<uint64_t>(limit - limit / 4, INT_MAX));
}

void close_from(int first) {
  if (::syscall(SYS_close_range, first, UINT_MAX, 0) != 0) close_each_from(first);
}

}  // namespace vprocfs
