#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vprocfs {

/// One line of /proc/<pid>/mountinfo.
struct MountEntry {
  uint64_t id = 0, parent = 0;
  std::string device;  ///< "0:57": names the superblock
  std::string root;    ///< what of the file system is mounted
  std::string path;    ///< where, as the process sees it
  std::string type;
  std::string source;
  uint64_t peers = 0;  ///< peer group that mounts below it propagate to; 0: none
};

/// The mounts of one mount namespace, in the kernel's order: of two at one path, the later is
/// above.
class MountTable {
 public:
  /// From the text of mountinfo. Lines of an unknown shape are left out.
  static MountTable parse(std::string_view text);

  const std::vector<MountEntry>& all() const { return entries_; }
  const MountEntry* by_id(uint64_t id) const;
  /// What one sees at exactly this path; nullptr: nothing is mounted there.
  const MountEntry* at(std::string_view path) const;
  bool has_device(std::string_view device) const;

 private:
  std::vector<MountEntry> entries_;
};

}  // namespace vprocfs
