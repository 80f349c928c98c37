#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "attach/mount_owners.h"
#include "attach/options.h"
#include "attach/report.h"
#include "attach/steps.h"
#include "attach/target.h"
#include "attach/tree_files.h"
#include "base/fd.h"

namespace vprocfs {

/// The tree of a container, of which files are mounted.
struct ContainerTree {
  std::string id;
  Fd own, polled;  ///< directories; the second of files that can be polled
  std::vector<TreeFile> files;
};

/// Decides what to do in a container's mount namespace, and reports for each file what becomes of
/// it. Changes nothing. Borrows all its arguments.
class Planner {
 public:
  Planner(const Options& options, const MountOwners& owners, const ContainerTree& tree,
          Target& target, Report& report)
      : options_(options), owners_(owners), tree_(tree), target_(target), report_(report) {}

  /// To have the files below the root that Target::root() has found.
  void attach(const std::string& root);
  /// To take all away that is ours.
  void detach();
  /// To unmount clean copies that have more than the namespace's own file systems, such as those
  /// that the restricted namespace of a service inherits.
  void plan_exposed();
  Plan& plan() { return plan_; }

  /// Opens directory and leaf of a place; false when it is not there.
  bool open_place(const std::string& path, Step& step);

 private:
  void note(const std::string& path, FileState state, const std::string& reason = "");
  /// The directory, which is opened once for all that is in it. Empty with errno set.
  Directory directory_at(const std::string& path);
  /// The mount that a descriptor is on, as mountinfo has it.
  const MountEntry* mount_of(int fd, unsigned& mode);
  const MountEntry* mount_with(uint64_t id);
  /// True when it is one of a procfs, or else of a sysfs, that belongs to the container.
  bool is_place(const std::string& path, const Directory& parent, bool in_proc);
  /// True when the runtime is about to mask it, or something above it.
  bool is_masked(const std::string& file) const;
  Top classify(const MountEntry& top, const TreeFile& file) const {
    return owners_.classify(target_.mounts(), top, file, tree_.id);
  }
  void plan_root(const std::string& root);
  /// True when a root has files of an LXCFS that are to stay.
  bool has_lxcfs(const std::string& root) const;
  /// A container has files of only one of the two, because their figures disagree. If those of
  /// LXCFS stay, ours are unmounted and none are added.
  void plan_lxcfs(const std::string& root);
  /// LXCFS's hook binds all that it finds in proc/, whole directories too. True
  /// when one is there, and its files are settled with it.
  bool plan_cover(const std::string& root, const TreeFile& directory);
  /// Mounts that are about to be hidden by a whole directory, and would come to
  /// light again.
  void plan_hidden(const std::string& directory);
  void plan_file(const std::string& root, const TreeFile& file);
  /// Over the kernel's log in the container's own /dev, or where there is none.
  void plan_log_node(const std::string& root, const std::string& path, const TreeFile& file);
  void plan_new_log_node(const std::string& path, const TreeFile& file, const MountEntry& dev,
                         Step step);
  /// An LXCFS's files over one of ours that serves: true when it is enough to
  /// take them away.
  bool plan_uncover(const std::string& path, const TreeFile& file, const Step& top);
  /// What is mounted below a directory, or will be, when it is or gets covered
  /// by us. False with the reason noted: it cannot be kept as it is.
  bool plan_below(const std::string& path, const TreeFile& file, Top seen, uint64_t mount,
                  Step& step);
  /// The kernel drops mounts from a name that the file system reports as gone, such as a CPU that
  /// is no longer shown. When the name comes back, the mounts that still exist below the cover are
  /// restored.
  void plan_lost(const std::string& path, const CoveredMounts& covered, const Step& cover);
  /// Has a procfs and a sysfs that were fully visible stay so.
  void plan_clean(const std::string& root);
  /// True when the file system there would be fully visible but for what is ours.
  bool was_visible(const std::string& root, const std::string& at, const std::string& type) const;
  /// True when something of ours is, or will be, mounted below the path.
  bool covers_any(const std::string& path) const;
  /// True when clean copies are there, and stay.
  bool has_clean(const std::string& root) const;
  void decide(const std::string& path, const TreeFile& file, Top seen, Step step);
  void plan_unmount(const MountEntry& mount, FileState done = FileState::kDetached);

  const Options& options_;
  const MountOwners& owners_;
  const ContainerTree& tree_;
  Target& target_;
  Report& report_;
  Plan plan_;
  std::map<std::string, Directory> directories_;  ///< as they were in `generation_`
  unsigned generation_ = 0;
  Directory place_;  ///< the last of which is_place() was true
  int refreshes_ = 0;
};

}  // namespace vprocfs
