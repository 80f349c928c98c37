#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string_view>

#include "base/fd.h"

namespace vprocfs {

/// Writes to an existing file with one write(2), as the kernel's files need it. False: not all was
/// written.
/// Allocates nothing.
inline bool write_text(int directory, const char* path, std::string_view text) {
  const Fd file(::openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOCTTY));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace vprocfs
