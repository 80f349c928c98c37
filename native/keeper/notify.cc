#include "keeper/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/descriptors.h"
#include "base/fd.h"

namespace vprocfs {

bool has_supervisor() { return std::getenv("NOTIFY_SOCKET") != nullptr; }

bool notify_supervisor(const char* text, int fd) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return true;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length == 0 || length >= sizeof(address.sun_path)) return true;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (!socket) return false;
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return true;
  const ssize_t sent =
      send_with(socket.get(), text, std::strlen(text), &fd, fd >= 0 ? 1 : 0, MSG_DONTWAIT);
  return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != ETOOMANYREFS);
}

}  // namespace vprocfs
