#pragma once

#include <cerrno>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "source/cgroup_mounts.h"
#include "source/read_file.h"

namespace vprocfs {

/// One cgroup in one hierarchy, held open: whatever is made later under the same name is another.
class CgroupDir {
 public:
  /// `path` as in /proc/<pid>/cgroup. ENOENT: not there, or outside of our cgroup namespace.
  static Result<std::shared_ptr<const CgroupDir>> open(const Hierarchy& tree,
                                                       const std::string& path);

  int fd() const { return fd_.get(); }

  /// How many ancestors it has, the hierarchy's root included.
  size_t depth() const { return depth_; }

  /// False once the cgroup was removed. One system call; recorded trees live for ever.
  bool alive() const;

  /// "ENODEV: this cgroup is gone".
  Error gone() const { return Error{ENODEV, label_}; }
  Error error(int code, const char* name) const;

  /// Calls `visit(dir_fd, level)` for this cgroup (level 0) and its ancestors up to the root, until
  /// one returns an error. Climbs with "..", so that a renamed ancestor does not mislead it.
  using Visit = std::function<std::optional<Error>(int dir_fd, size_t level)>;
  std::optional<Error> climb(const Visit& visit) const;

 private:
  CgroupDir() = default;

  Fd fd_;
  size_t depth_ = 0;
  bool live_ = false;  ///< a directory of the kernel's, not of a recorded tree
  std::string label_;
};

/// Whether a cgroup was removed before it was opened or while it was being read.
inline bool is_of_removed(const Error& error) {
  return error.code == ENODEV || error.code == ENOENT;
}

/// True for the errnos that say "this file is not there (any more)", which is normal.
bool is_absence(int code);

/// A file of a cgroup that stays open and is read from its start each time.
class OpenCgroupFile {
 public:
  OpenCgroupFile(std::shared_ptr<const CgroupDir> dir, const char* name)
      : dir_(std::move(dir)), name_(name) {}

  /// The content, valid until `buffer` is used again; nothing where the file is not there. Looks
  /// again for one that was not there only when `probe` is set. ENODEV: the cgroup is gone.
  Result<std::optional<std::string_view>> read(ReadBuffer& buffer, bool probe);

  /// The same for files that are never empty but in a dying cgroup: then ENODEV.
  Result<std::optional<std::string_view>> read_figures(ReadBuffer& buffer, bool probe);

 private:
  std::optional<Error> reopen();

  std::shared_ptr<const CgroupDir> dir_;
  const char* name_;
  Fd fd_;
  bool looked_ = false;
};

}  // namespace vprocfs
