#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <memory>

namespace vprocfs {

/// Owns pages of memory that can be read and written.
class Mapping {
 public:
  Mapping() = default;
  /// The first `bytes` of a file, shared with all who map them. Empty, with errno, on failure.
  static Mapping of_file(int fd, size_t bytes) { return Mapping(bytes, MAP_SHARED, fd); }
  /// Zeros of our own. Empty, with errno, on failure.
  static Mapping of_zeros(size_t bytes) { return Mapping(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1); }

  explicit operator bool() const { return pages_ != nullptr; }
  /// What is there; nullptr when it is empty.
  template <typename T>
  T* as() const {
    return static_cast<T*>(pages_.get());
  }
  /// Bytes; 0 when it is empty.
  size_t size() const { return pages_ ? pages_.get_deleter().bytes : 0; }

 private:
  struct Unmap {
    size_t bytes;
    void operator()(void* at) const { ::munmap(at, bytes); }
  };

  Mapping(size_t bytes, int flags, int fd) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (at != MAP_FAILED) pages_ = std::unique_ptr<void, Unmap>(at, Unmap{bytes});
  }

  std::unique_ptr<void, Unmap> pages_;
};

}  // namespace vprocfs
