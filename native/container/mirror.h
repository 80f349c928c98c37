#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "facts/facts.h"
#include "source/host_source.h"
#include "source/sysfs_tree.h"

namespace vprocfs {

/// The directories of the host's sysfs that every container has: what stands below them is the
/// host's, read-only, but for the CPUs and nodes that a container is not shown and the files that
/// have a rule (view/mirrors.def). Paths are relative to sysfs's root. Thread-safe.
class Mirror {
 public:
  /// Gathers facts of whoever asks; nothing (nullptr) stands for the host, which sees all as it is.
  using Ask = std::function<Result<Facts>(uint32_t needs)>;

  explicit Mirror(HostSource& host) : tree_(host.sysfs_fd()) {}

  /// The path in sysfs of a mirrored directory of the tree ("sys/devices/system/cpu"); nothing for
  /// other directories.
  static std::optional<std::string> root(std::string_view tree_path);

  /// The path in sysfs of what is at or below a mirrored directory of the tree. Nothing for other
  /// paths, and for those with "." and ".." in them.
  static std::optional<std::string> below_root(std::string_view tree_path);

  /// Where a path leads, for those who know only a path: see place(). Names above it that are not
  /// shown, and what is below them, are not there. ENOENT.
  Result<std::string> resolve(const std::string& path, const Ask& ask) const;

  /// How figures that change by themselves change a file's length, which has to be kept where the
  /// page cache serves it (view/stable.h).
  enum class Growth : uint8_t {
    kNone,
    kBeyondColumns,  ///< only where figures outgrow their columns
    kAny,
  };
  static Growth growth(std::string_view path);

  /// Whether the last name of `path` is shown only to some.
  static bool depends(const std::string& path);
  /// Where it leads: to itself, to a directory that is bare (SysfsTree::bare_cpu), or nowhere. The
  /// names above it are not looked at.
  Result<std::optional<std::string>> place(const std::string& path, const Ask& ask) const;

  Result<struct stat> stat(const std::string& path) const { return tree_.stat(path); }
  Result<std::string> link(const std::string& path) const { return tree_.link(path); }
  /// What is shown in a directory, sorted by number.
  Result<std::vector<SysfsEntry>> list(const std::string& path, const Ask& ask);
  /// The content of a file.
  Result<std::string> text(const std::string& path, const Ask& ask) const;

  std::optional<uint32_t> number(const std::string& path) { return tree_.number(path); }
  std::optional<std::string> path(uint32_t number) { return tree_.path(number); }

 private:
  bool shows_entry(const std::string& path, const Facts& facts) const;
  std::optional<std::string> place_entry(const std::string& path, const Facts& facts) const;
  SysfsTree tree_;
};

/// Whether somebody may use a file as `mask` (R_OK, W_OK, X_OK) says, by owner, group and others as
/// the kernel decides it (fs/namei.c). Root of the initial user namespace lacks only execution that
/// nobody has; that of another one is nobody special. `in_group` is asked only where it matters.
bool may_access(const struct stat& file, uint32_t uid, uint32_t gid, int mask,
                const std::function<bool()>& in_group);

}  // namespace vprocfs
