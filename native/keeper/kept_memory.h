#pragma once

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <utility>

#include "base/fd.h"

namespace vprocfs {

/// Memory that the next keeper goes on with: its descriptor is handed on.
class KeptMemory {
 public:
  KeptMemory() = default;
  ~KeptMemory() { drop(); }
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;

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
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (at == MAP_FAILED) return false;
    drop();
    fd_ = std::move(fd);
    at_ = at;
    bytes_ = bytes;
    return true;
  }

  /// Holds nothing from then on.
  void drop() {
    if (at_ != nullptr) ::munmap(at_, bytes_);
    at_ = nullptr;
    fd_.reset();
  }

  int fd() const { return fd_.get(); }
  void* at() const { return at_; }

 private:
  Fd fd_;
  void* at_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace vprocfs
