#pragma once

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <utility>

#include "base/fd.h"
#include "base/mapping.h"

namespace vprocfs {

/// Memory that is handed over to the next keeper, by its descriptor.
class HandoverMemory {
 public:
  HandoverMemory() = default;
  // Who has it points into it.
  HandoverMemory(const HandoverMemory&) = delete;
  HandoverMemory& operator=(const HandoverMemory&) = delete;

  /// `fd`: an earlier keeper's; empty: makes zeros. False when there is no memory, or when an
  /// earlier one's has not `bytes` bytes: then it holds nothing.
  bool open(Fd fd, const char* name, size_t bytes) {
    const bool inherited = static_cast<bool>(fd);
    if (!inherited) fd = Fd(::memfd_create(name, MFD_CLOEXEC));
    const auto size = static_cast<off_t>(bytes);
    struct stat st {};
    if (!fd || (!inherited && ::ftruncate(fd.get(), size) != 0) || ::fstat(fd.get(), &st) != 0 ||
        st.st_size != size) {
      return false;
    }
    auto pages = Mapping::of_file(fd.get(), bytes);
    if (!pages) return false;
    fd_ = std::move(fd);
    pages_ = std::move(pages);
    return true;
  }

  /// Holds nothing from then on.
  void drop() {
    pages_ = Mapping();
    fd_.reset();
  }

  int fd() const { return fd_.get(); }
  template <typename T>
  T* as() const {
    return pages_.as<T>();
  }

 private:
  Fd fd_;
  Mapping pages_;
};

}  // namespace vprocfs
