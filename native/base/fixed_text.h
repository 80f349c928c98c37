#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace vprocfs {

/// A text in `N` bytes that grows at its end. What has no room is cut off. No allocation.
template <size_t N>
class FixedText {
 public:
  void append(const char* bytes, size_t count) {
    const size_t taken = std::min(count, N - size_);
    std::memcpy(bytes_ + size_, bytes, taken);
    size_ += taken;
  }
  void append(std::string_view text) { append(text.data(), text.size()); }

  std::string_view text() const { return {bytes_, size_}; }

 private:
  char bytes_[N];
  size_t size_ = 0;
};

}  // namespace vprocfs
