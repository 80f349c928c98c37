#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace vprocfs::fuzz {

/// What the fuzzer made, taken apart from its front. Past the end every number is 0 and every text
/// empty.
class Input {
 public:
  Input(const uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {}

  bool empty() const { return size_ == 0; }

  template <typename T>
  T number() {
    T value{};
    const size_t n = size_ < sizeof(T) ? size_ : sizeof(T);
    if (n > 0) std::memcpy(&value, bytes_, n);
    drop(n);
    return value;
  }

  /// Up to `most` bytes.
  std::string_view text(size_t most) {
    const size_t n = size_ < most ? size_ : most;
    const std::string_view taken(reinterpret_cast<const char*>(bytes_), n);
    drop(n);
    return taken;
  }

  std::string_view rest() { return text(size_); }

 private:
  void drop(size_t n) {
    bytes_ += n;
    size_ -= n;
  }

  const uint8_t* bytes_;
  size_t size_;
};

}  // namespace vprocfs::fuzz
