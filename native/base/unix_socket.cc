#include "base/unix_socket.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/descriptors.h"

namespace vprocfs {
namespace {

constexpr int kBacklog = 128;
constexpr size_t kMaxFds = 16;

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

/// Binds without a moment in which others than root could connect.
int bind_private(int fd, const sockaddr* address, socklen_t size) {
  // fchmod(2) before bind(2) decides on the mode of the file that bind makes.
  return ::fchmod(fd, 0600) != 0 ? -1 : ::bind(fd, address, size);
}

}  // namespace

Fd unix_socket(int type) { return Fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)); }

std::optional<UnixAddress> UnixAddress::at(std::string_view path) {
  UnixAddress out;
  out.address_.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(out.address_.sun_path)) return std::nullopt;
  path.copy(out.address_.sun_path, path.size());
  out.size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return out;
}

std::optional<UnixAddress> UnixAddress::named(std::string_view name) {
  auto out = at(name);
  if (out && name.front() == '@') out->address_.sun_path[0] = '\0';
  return out;
}

UnixAddress UnixAddress::of(int socket) {
  UnixAddress out;
  out.size_ = sizeof(out.address_) - 1;
  auto* const address = reinterpret_cast<sockaddr*>(&out.address_);
  return ::getsockname(socket, address, &out.size_) == 0 ? out : UnixAddress();
}

bool UnixAddress::connect(int socket) const {
  return ::connect(socket, generic(address_), size_) == 0;
}

Fd UnixAddress::listen(int type, int backlog) const {
  Fd fd = unix_socket(type | SOCK_NONBLOCK);
  const bool listens = fd && bind_private(fd.get(), generic(address_), size_) == 0 &&
                       ::listen(fd.get(), backlog) == 0;
  return listens ? std::move(fd) : Fd();
}

Result<Fd> listen_at(const std::string& path, int type) {
  const auto address = UnixAddress::at(path);
  if (!address) return Error{ENAMETOOLONG, path};
  {
    const Fd probe = unix_socket(type | SOCK_NONBLOCK);
    if (!probe) return Error{errno, path};
    const bool connected = address->connect(probe.get());
    // EAGAIN: the listener's queue is full. EPROTOTYPE: somebody listens with another type.
    if (connected || errno == EAGAIN || errno == EPROTOTYPE) return Error{EADDRINUSE, path};
  }
  struct stat st {};
  if (::lstat(path.c_str(), &st) == 0) {
    if (!S_ISSOCK(st.st_mode)) return Error{ENOTSOCK, path};
    ::unlink(path.c_str());
  }
  Fd fd = address->listen(type, kBacklog);
  if (!fd) return Error{errno, path};
  return fd;
}

void unlink_bound(int socket) {
  const UnixAddress address = UnixAddress::of(socket);
  if (address.path()[0] != '\0') ::unlink(address.path());
}

bool is_root_peer(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
}

Fd accept_root(int listener) {
  Fd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  return fd && is_root_peer(fd.get()) ? std::move(fd) : Fd();
}

size_t unread_bytes(int socket) {
  int bytes = 0;
  return ::ioctl(socket, FIONREAD, &bytes) == 0 && bytes > 0 ? static_cast<size_t>(bytes) : 0;
}

Received receive(int socket, void* buffer, size_t bytes, bool peek) {
  const int flags = MSG_DONTWAIT | (peek ? MSG_PEEK : 0);
  PassedFds passed;
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
