#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vprocfs {

/// One line of /proc/<pid>/mountinfo.
struct MountEntry {
  uint64_t id = 0, parent = 0;
  std::string device;  ///< "0:57": names the superblock
  std::string root;    ///< what of the file system is mounted
  std::string path;    ///< where, as the process sees it
  std::string type;
  std::string source;
  std::string options;     ///< the superblock's own, with commas between; escapes as they are
  uint64_t peers = 0;      ///< peer group that mounts below it propagate to; 0: none
  bool read_only = false;  ///< this mount, whatever its file system is
};

/// From a line of mountinfo; nothing for one of an unknown shape.
std::optional<MountEntry> parse_mount(std::string_view line);

/// Whether a line of mountinfo is for a mount at "/", at or below a directory "proc" or "sys", or
/// at a "dev" or the kernel's log in it. Other mounts do not matter to us, and there may be any
/// number of them.
bool is_of_kernel_tree(std::string_view line);

/// The mounts of one mount namespace, in the kernel's order: of two at one path, the later is
/// above.
class MountTable {
 public:
  /// What read() keeps beside the mounts of which is_of_kernel_tree() is true.
  struct Filter {
    std::vector<std::string> paths;  ///< mounts at exactly these paths
    bool devices = false;            ///< the devices of all mounts, for has_device()
    uint64_t id = 0;                 ///< the mount with this id, wherever it is
  };

  /// From the text of mountinfo. Lines of an unknown shape are left out.
  static MountTable parse(std::string_view text);

  /// From a file, however large it is. E2BIG: more than `kMaxEntries` mounts, or lines of
  /// more than `kMaxBytes`, would be kept. Any errno of openat(2) or pread(2).
  static Result<MountTable> read(int dir_fd, const std::string& file, const Filter& filter);
  static constexpr size_t kMaxEntries = 16384;
  static constexpr size_t kMaxBytes = size_t{4} << 20;

  const std::vector<MountEntry>& all() const { return entries_; }
  const MountEntry* by_id(uint64_t id) const;
  /// What one sees at exactly this path; nullptr: nothing is mounted there.
  const MountEntry* at(std::string_view path) const;
  bool has_device(std::string_view device) const;

 private:
  std::vector<MountEntry> entries_;
  std::set<std::string, std::less<>> devices_;  ///< of those that are not kept
};

}  // namespace vprocfs
