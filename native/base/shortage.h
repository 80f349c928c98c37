#pragma once

#include <cerrno>

namespace vprocfs {

/// True for errors that a lack of descriptors, memory or the like causes, which may end: what could
/// not be opened for such a reason is not absent.
inline bool is_shortage(int code) {
  return code == EMFILE || code == ENFILE || code == ENOMEM || code == ENOBUFS || code == ENOSPC ||
         code == EAGAIN;
}

}  // namespace vprocfs
