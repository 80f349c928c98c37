#pragma once

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "base/fd.h"

namespace vprocfs {

/// Opens a directory to read its entries. `more_flags` are added to those of openat(2).
inline Fd open_directory(int at, const char* path, int more_flags = 0) {
  return Fd(::openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | more_flags));
}

/// Calls `visit(const dirent&)` for each entry but "." and "..", until it returns false. Returns 0,
/// or the errno of opening or reading; `directory` may be empty, then errno says why.
template <typename Visit>
int for_each_entry(Fd directory, Visit visit) {
  struct Close {
    void operator()(DIR* open) const { ::closedir(open); }
  };
  const std::unique_ptr<DIR, Close> open(directory ? ::fdopendir(directory.get()) : nullptr);
  if (!open) return errno;
  directory.release();
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(open.get());
    if (entry == nullptr) return errno;
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && !visit(*entry)) return 0;
  }
}

}  // namespace vprocfs
