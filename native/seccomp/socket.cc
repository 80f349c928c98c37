#include "seccomp/socket.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/descriptors.h"

namespace vprocfs {
namespace {

constexpr int kBacklog = 128;
constexpr size_t kMaxFds = 16;

/// Binds without a moment in which others than root could connect.
int bind_private(int fd, const sockaddr_un& address) {
  // fchmod(2) before bind(2) decides on the mode of the file that bind makes.
  if (::fchmod(fd, 0600) != 0) return -1;
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

}  // namespace

Result<Fd> listen_at(const std::string& path, int type) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Error{ENAMETOOLONG, path};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  {
    const Fd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) return Error{errno, path};
    const bool connected = ::connect(probe.get(), generic, sizeof(address)) == 0;
    // EAGAIN: its queue is full. EPROTOTYPE: somebody's of another type.
    if (connected || errno == EAGAIN || errno == EPROTOTYPE) return Error{EADDRINUSE, path};
  }
  struct stat st {};
  if (::lstat(path.c_str(), &st) == 0) {
    if (!S_ISSOCK(st.st_mode)) return Error{ENOTSOCK, path};
    ::unlink(path.c_str());
  }
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd || bind_private(fd.get(), address) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return Error{errno, path};
  }
  return fd;
}

Fd connect_to(const std::string& path, int type) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Fd();
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  return fd && ::connect(fd.get(), generic, sizeof(address)) == 0 ? std::move(fd) : Fd();
}

std::string bound_path(int fd) {
  sockaddr_un address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return std::string(address.sun_path, ::strnlen(address.sun_path, sizeof(address.sun_path)));
}

Fd accept_root(int listener) {
  Fd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  ucred peer{};
  socklen_t size = sizeof(peer);
  const bool root =
      fd && ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
  return root ? std::move(fd) : Fd();
}

Received receive(int socket, void* buffer, size_t bytes, bool peek) {
  const int flags = MSG_DONTWAIT | (peek ? MSG_PEEK : 0);
  Passed passed;
  ssize_t n = 0;
  do {
    n = receive_with(socket, buffer, bytes, passed, kMaxFds, flags);
  } while (n < 0 && errno == EINTR);
  Received out;
  if (n <= 0) {
    if (n < 0 && errno == EAGAIN) out.state = Received::State::kNothing;
    return out;
  }
  for (size_t i = 0; i < passed.count; ++i) out.fds.push_back(std::move(passed.fds[i]));
  out.state = Received::State::kSome;
  out.bytes = static_cast<size_t>(n);
  out.cut = passed.cut;
  return out;
}

}  // namespace vprocfs
