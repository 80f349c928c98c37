#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "base/result.h"
#include "source/read_file.h"

namespace vprocfs {

/// Refresh interval for files that are expensive to read or rarely change.
inline constexpr uint64_t kSlowTickUs = 1'000'000;

/// A file of the host that stays open between readings.
class HostFile {
 public:
  HostFile(int dir_fd, std::string path) : dir_fd_(dir_fd), path_(std::move(path)) {}

  /// `pieces`: the kernel may hand it out in several reads.
  Result<std::string_view> read(ReadBuffer& buffer, bool pieces) {
    if (!fd_) {
      auto fd = open_file(dir_fd_, path_);
      if (!fd) return fd.error();
      fd_ = std::move(fd.value());
    }
    const int code = pieces ? buffer.read_pieces(fd_.get()) : buffer.read_record(fd_.get());
    if (code == 0) return buffer.text();
    fd_.reset();
    return Error{code, path_};
  }

  Error malformed() const { return Error{EINVAL, path_}; }

 private:
  int dir_fd_;
  std::string path_;
  Fd fd_;
};

/// The last value of a reading, and when it was taken.
template <typename T>
class Cached {
 public:
  using Value = std::shared_ptr<const T>;

  /// The cached value, or what `read` returns when that is older than `tick_us`. A caller that
  /// comes meanwhile waits for that reading instead of repeating it.
  template <typename Read>
  Result<Value> get(uint64_t now_us, uint64_t tick_us, Read read) {
    return renew(now_us, tick_us, [&](const Value&) -> Result<Value> {
      Result<T> fresh = read();
      if (!fresh) return fresh.error();
      return Value(std::make_shared<const T>(std::move(fresh.value())));
    });
  }

  /// The same with a `read(before)` that returns a Result<Value>, which may be `before` again.
  template <typename Read>
  Result<Value> renew(uint64_t now_us, uint64_t tick_us, Read read) {
    const std::lock_guard<std::mutex> lock(mutex_);
    // A caller that took its time before the last reading is served by it too.
    if (value_ && tick_us > 0 && now_us < at_us_ + tick_us) return value_;
    Result<Value> fresh = read(value_);
    if (!fresh) return fresh;
    value_ = std::move(fresh.value());
    at_us_ = now_us;
    return value_;
  }

  /// However old; nullptr: nothing was read yet.
  Value last() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return value_;
  }

 private:
  std::mutex mutex_;
  Value value_;
  uint64_t at_us_ = 0;
};

/// A file of the host and what it last said.
template <typename T>
class ParsedFile {
 public:
  /// `pieces`: see HostFile::read().
  ParsedFile(int dir_fd, const char* path, bool pieces = true)
      : file_(dir_fd, path), pieces_(pieces) {}

  using Value = std::shared_ptr<const T>;

  /// `parse(text)` gives the value, or nothing where the text makes no sense: EINVAL.
  template <typename Parse>
  Result<Value> get(uint64_t now_us, uint64_t tick_us, Parse parse) {
    return get(now_us, tick_us, parse, [](const T&, std::string_view) { return false; });
  }

  /// The same value again where `is_of(value, text)` says that the file has not changed.
  template <typename Parse, typename IsOf>
  Result<Value> get(uint64_t now_us, uint64_t tick_us, Parse parse, IsOf is_of) {
    return cached_.renew(now_us, tick_us, [&](const Value& before) -> Result<Value> {
      ReadBuffer once;
      const auto text = file_.read(pieces_ ? once : record_, pieces_);
      if (!text) return text.error();
      if (before && is_of(*before, text.value())) return before;
      std::optional<T> value = parse(text.value());
      if (!value) return file_.malformed();
      return Value(std::make_shared<const T>(std::move(*value)));
    });
  }

 private:
  HostFile file_;
  const bool pieces_;
  /// Kept for files that come as one record: with too little room they are read again as a whole.
  ReadBuffer record_;
  Cached<T> cached_;  ///< whose readings come one after the other
};

}  // namespace vprocfs
