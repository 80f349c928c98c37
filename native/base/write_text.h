#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string_view>

#include "base/fd.h"

namespace vprocfs {

/// Writes into a file that is there, as the kernel's are, at once. False: not all was taken.
/// Allocates nothing.
inline bool write_text(int directory, const char* path, std::string_view text) {
  const Fd file(::openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOCTTY));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace vprocfs
