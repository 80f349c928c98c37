#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/result.h"

namespace vprocfs {

/// What a handler returns for a request. Its caller gives it to the kernel (Answers::give), and
/// counts it.
class [[nodiscard]] Answer {
 public:
  /// A structure of the protocol.
  template <typename T>
  static Answer of(const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kInlineBytes);
    Answer answer;
    std::memcpy(answer.inline_.data(), &value, sizeof(T));
    answer.size_ = sizeof(T);
    return answer;
  }
  static Answer text(std::string bytes);
  /// A part of what `owner` keeps in memory.
  static Answer part(std::string_view bytes, std::shared_ptr<const void> owner);
  /// Done, with nothing to say.
  static Answer ok() { return Answer(); }

  /// A refusal or a failure; it is counted as one.
  static Answer error(int errno_value);
  /// With what the kernel says of an error in a file of its own.
  static Answer error(const Error& error);
  /// Of a name that leads to a container which was not found: ENOENT only where there is none.
  static Answer no_entry(const Error& error);
  /// An errno that is no failure: it tells the caller something.
  static Answer tell(int errno_value);

  /// The kernel waits for none.
  static Answer none() { return Answer(To::kNobody); }
  /// Given elsewhere, now or later: by what gives the request its turn, or ends its wait.
  static Answer elsewhere() { return Answer(To::kElsewhere); }

  /// Runs `undo` if the caller is gone before it gets the answer.
  Answer or_undo(std::function<void()> undo) && {
    undo_ = std::move(undo);
    return std::move(*this);
  }
  /// Sends `notice` to the kernel before the answer, on the notifier's threads and after everything
  /// posted to `lane` earlier.
  Answer after_notice(uint64_t lane, std::function<void()> notice) && {
    lane_ = lane;
    notice_ = std::move(notice);
    return std::move(*this);
  }

 private:
  friend class Answers;
  enum class To : uint8_t { kKernel, kNobody, kElsewhere };
  static constexpr size_t kInlineBytes = 128;  // fuse_entry_out is the longest

  explicit Answer(To to = To::kKernel) : to_(to) {}
  const void* bytes() const {
    if (owner_) return owned_.data();
    return inline_.data();
  }
  size_t size() const { return owner_ ? owned_.size() : size_; }

  To to_;
  bool counts_as_error_ = false;
  bool source_failed_ = false;
  int errno_ = 0;
  size_t size_ = 0;
  std::array<uint8_t, kInlineBytes> inline_{};
  std::string_view owned_;
  std::shared_ptr<const void> owner_;
  std::function<void()> undo_;
  uint64_t lane_ = 0;
  std::function<void()> notice_;
};

}  // namespace vprocfs
