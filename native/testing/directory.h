#pragma once

#include <cerrno>
#include <string>

#include "base/directory.h"
#include "base/result.h"

namespace vprocfs {

inline Result<Fd> open_directory(const std::string& path) {
  Fd fd = open_directory(AT_FDCWD, path.c_str());
  if (!fd) return Error{errno, path};
  return fd;
}

}  // namespace vprocfs
