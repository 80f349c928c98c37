#include "keeper/notify.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/descriptors.h"
#include "base/fd.h"
#include "base/unix_socket.h"

namespace vprocfs {
namespace {

/// Whether the supervisor, or the kernel, is only short of something for a moment.
bool passes(int error) {
  return error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == EMFILE ||
         error == ENFILE || error == ETOOMANYREFS;
}

}  // namespace

bool has_supervisor() { return std::getenv("NOTIFY_SOCKET") != nullptr; }

bool notify_supervisor(const char* text, int fd) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return true;
  const auto address = UnixAddress::named(path);
  if (!address) return true;
  const Fd socket = unix_socket(SOCK_DGRAM);
  if (!socket) return false;
  if (!address->connect(socket.get())) return !passes(errno);
  const ssize_t sent =
      send_with(socket.get(), text, std::strlen(text), &fd, fd >= 0 ? 1 : 0, MSG_DONTWAIT);
  return sent >= 0 || !passes(errno);
}

}  // namespace vprocfs
