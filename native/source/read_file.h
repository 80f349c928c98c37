#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

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

  /// Takes in a file that comes in pieces (/proc/cpuinfo, /proc/swaps), from its start to its end.
  /// Returns 0 or an errno: that of pread(2), or EFBIG.
  int read_pieces(int fd);

  /// What the last successful reading found; valid until the next one.
  std::string_view text() const { return std::string_view(room_).substr(0, size_); }

 private:
  bool grow();

  std::string room_;
  size_t size_ = 0;
};

/// The whole content of a file. Any errno of openat(2) or pread(2), or EFBIG.
Result<std::string> read_file(int dir_fd, const std::string& path);

/// The names in a directory but "." and "..", in no order. Any errno of openat(2) or readdir(3).
Result<std::vector<std::string>> list_names(int dir_fd, const std::string& path);

}  // namespace vprocfs
