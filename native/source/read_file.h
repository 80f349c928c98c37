#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// No file that is read here is larger: beyond it EFBIG.
inline constexpr size_t kMaxFileBytes = size_t{64} << 20;

/// Opens for reading, O_CLOEXEC. `path` is relative to `dir_fd`. Any errno of openat(2).
Result<Fd> open_file(int dir_fd, const std::string& path);

/// Room for the content of one file, used again from reading to reading. Not thread-safe.
class ReadBuffer {
 public:
  /// Takes in a file that the kernel shows as one record (cgroup and sysfs files, /proc/meminfo,
  /// /proc/stat), from its start: a short read is the end, so this is one system call. With too
  /// little room the file is read again as a whole, so that the text is never of two moments.
  /// Returns 0 or an errno: that of pread(2), or EFBIG.
  int read_record(int fd);

  /// Takes in a file that comes in pieces (/proc/cpuinfo), from its start to its end.
  /// Returns 0 or an errno: that of pread(2), or EFBIG.
  int read_pieces(int fd);

  /// What the last successful reading found; valid until the next one.
  std::string_view text() const { return std::string_view(room_).substr(0, size_); }

 private:
  bool grow();

  std::string room_;
  size_t size_ = 0;
};

/// Cuts a text that comes in pieces into lines. Not thread-safe.
class LineCutter {
 public:
  /// What is longer is cut off: no line that somebody else writes costs more room than this.
  static constexpr size_t kLongest = size_t{64} << 10;

  /// Takes in the next piece, and calls `line(std::string_view)` for every line that is whole now.
  template <typename F>
  void feed(std::string_view piece, F line) {
    for (size_t end = piece.find('\n'); end != piece.npos; end = piece.find('\n')) {
      const std::string_view first = piece.substr(0, end);
      if (begun_.empty()) {
        line(first.substr(0, kLongest));
      } else {
        append(first);
        line(std::string_view(begun_));
        begun_.clear();
      }
      piece.remove_prefix(end + 1);
    }
    append(piece);
  }

 private:
  void append(std::string_view text) { begun_.append(text.substr(0, kLongest - begun_.size())); }

  std::string begun_;  ///< of a line whose end has not come
};

/// How far a text that a container makes is read: as long as it has had less than this.
struct ReadBounds {
  size_t bytes = SIZE_MAX;
  uint64_t cpu_us = UINT64_MAX;  ///< of the calling thread; looked at between pieces
  uint64_t us = UINT64_MAX;      ///< with what it waits; a container can hold its table's lock
};

/// What is read of a mount table at once. For each line the kernel walks through all mounts below
/// that one: if n are piled up on one point, n lines take n * n steps, and only time bounds that.
/// The kernel makes larger pieces where lines are long.
inline constexpr size_t kTablePiece = 4096;

/// Reads a text from its start to its end piece by piece, however long it is, and calls
/// `line(std::string_view)` for every line; one without a newline at the end is none. `buffer` is
/// for the pieces. Returns 0, the errno of pread(2), or where the bounds end it EFBIG or ETIME.
template <typename F>
int for_each_line_of(int fd, std::string& buffer, F line, const ReadBounds& bounds = {});

/// The whole content of a file. Any errno of openat(2) or pread(2), or EFBIG.
Result<std::string> read_file(int dir_fd, const std::string& path);

/// The names in a directory but "." and "..", in no order. Any errno of openat(2) or readdir(3).
Result<std::vector<std::string>> list_names(int dir_fd, const std::string& path);

/// Reads a piece of a file: pread(2) that signals do not end.
ssize_t read_piece(int fd, char* to, size_t size, size_t offset);

/// Reads `size` bytes, or fewer where the file ends before that. As pread(2) otherwise: -1 and
/// errno.
ssize_t read_up_to(int fd, char* to, size_t size, size_t offset);

/// Appends what read(2) brings to `text`, until the end or until `text` has `max_bytes` or more.
/// Returns 0 or the errno of read(2).
int read_stream(int fd, size_t max_bytes, std::string& text);

/// Where a symbolic link leads. Any errno of readlinkat(2).
Result<std::string> read_link(int dir_fd, const std::string& path);

template <typename F>
int for_each_line_of(int fd, std::string& buffer, F line, const ReadBounds& bounds) {
  if (buffer.size() < kTablePiece) buffer.resize(kTablePiece);
  LineCutter cutter;
  const uint64_t begin = clock_us(CLOCK_THREAD_CPUTIME_ID);
  const uint64_t begin_us = monotonic_us();
  for (size_t offset = 0; offset < bounds.bytes;) {
    if (clock_us(CLOCK_THREAD_CPUTIME_ID) - begin >= bounds.cpu_us) return ETIME;
    if (monotonic_us() - begin_us >= bounds.us) return ETIME;
    const ssize_t n = read_piece(fd, buffer.data(), buffer.size(), offset);
    if (n < 0) return errno;
    if (n == 0) return 0;
    cutter.feed(std::string_view(buffer.data(), static_cast<size_t>(n)), line);
    offset += static_cast<size_t>(n);
  }
  return EFBIG;
}

}  // namespace vprocfs
