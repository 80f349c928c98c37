#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"

namespace vprocfs {

/// One name in a directory of the host's sysfs.
struct SysfsEntry {
  std::string name;
  uint32_t type = 0;    ///< S_IFDIR, S_IFREG or S_IFLNK
  uint32_t number = 0;  ///< of its path
};

/// Two directories of the host's sysfs, devices/system/cpu and devices/system/node, and a number
/// for every path below them. Thread-safe.
///
/// A number is a hash of the path (23 bits). If several paths have the same hash, all but one get
/// the next free number. Numbers are assigned in the order of a scan of the whole host tree, which
/// is made before the first number is assigned or looked up. So any process that sees the same tree
/// assigns the same numbers, and a path keeps its number for ever, unless CPUs whose paths collide
/// with it (4 paths in 1,000 on a host with 16 CPUs) were taken offline before a restart.
///
/// Paths are relative to sysfs's root. Holds about 100 bytes per path of the host, whatever is
/// asked.
class SysfsTree {
 public:
  static constexpr uint32_t kNumberBits = 23;
  static constexpr const char* kCpuRoot = "devices/system/cpu";
  static constexpr const char* kNodeRoot = "devices/system/node";

  /// A second path of every cpuN, for those who see its directory as the kernel leaves it of a CPU
  /// that is offline: "online" (empty here where the CPU has none), "uevent" and links. It has
  /// numbers of its own, so that a kernel that has looked up names in the one finds none of them in
  /// the other.
  static std::string bare_cpu(uint32_t cpu);

  /// Borrows the descriptor of a sysfs root. `now_ms`: a clock.
  explicit SysfsTree(int sysfs_fd, std::function<uint64_t()> now_ms = clock_ms)
      : fd_(sysfs_fd), now_ms_(std::move(now_ms)) {}

  /// Names that nobody is shown: memory blocks (thousands of links that tell how much memory the
  /// host has), and what a CPU that is offline lacks.
  static bool hidden(const std::string& directory, const std::string& name);

  /// The number of a path that exists. Nothing when there are too many (2^20).
  std::optional<uint32_t> number(const std::string& path);
  /// The path with that number; nothing when the host has none.
  /// For one that was not there the whole tree is scanned again, at most once a second, and ever
  /// less often, down to once an hour, as long as it stays away.
  std::optional<std::string> path(uint32_t number);

  /// Does not follow a symlink at its end. Any errno of fstatat(2).
  Result<struct stat> stat(const std::string& path) const;
  /// What stands in a directory, sorted by number, without "." and ".." and what is hidden.
  Result<std::vector<SysfsEntry>> list(const std::string& path);
  /// Where a symlink leads to.
  Result<std::string> link(const std::string& path) const;
  /// The content of an attribute. EFBIG beyond 1 MiB.
  Result<std::string> read(const std::string& path) const;

 private:
  static uint64_t clock_ms();
  struct Name {
    std::string name;
    uint32_t type;
  };
  Result<std::vector<Name>> names(const std::string& path) const;
  /// Is told of a path. False: the scan is to end.
  using Visit = std::function<bool(const std::string& path)>;
  bool scan(const Visit& visit) const;
  bool scan_below(const std::string& path, unsigned depth, const Visit& visit) const;
  /// The scan before everything else.
  void begin_locked();
  std::optional<uint32_t> number_locked(const std::string& path);
  std::optional<std::string> path_locked(uint32_t number) const;
  /// Takes note of a number that a scan has not found.
  void rest_locked(uint32_t number);
  bool rests_locked(uint32_t number) const;

  /// When it is looked for a number again that a scan has not found, and how long after the last
  /// time that is.
  struct Rest {
    uint64_t until_ms = 0;
    uint64_t length_ms = 0;
  };

  const int fd_;
  const std::function<uint64_t()> now_ms_;
  std::mutex scan_mutex_;  ///< of whoever scans again; taken before the other one
  std::mutex mutex_;       ///< guards what follows
  bool scanned_ = false;
  uint64_t scanned_ms_ = 0;
  std::unordered_map<uint32_t, std::string> paths_;
  std::unordered_map<uint32_t, Rest> absent_;
};

}  // namespace vprocfs
