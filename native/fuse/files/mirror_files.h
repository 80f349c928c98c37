#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>

#include "container/mirror.h"
#include "fuse/files/container_files.h"
#include "fuse/files/files.h"
#include "fuse/files/tree_files.h"

namespace vprocfs {

/// The directories of the host's sysfs that are mirrored, and all that is below them. A file's text
/// is held for each open file.
class MirrorFiles : public Files {
 public:
  /// `mirror` numbers paths: one for a connection. `directories` serves what stands in mirrored
  /// directories without being mirrored.
  MirrorFiles(ServerParts& parts, Mirror& mirror, TreeFiles& directories)
      : Files(parts), mirror_(mirror), directories_(directories) {}

  Answer entry(const Request& r, NodeId root, const ContainerPtr& owner, uint64_t valid_s) override;
  Answer attributes(const Request& r) override;
  Answer truncate(const Request& r) override;
  Answer access(const Request& r) override;
  Answer lookup(const Request& r) override;
  Answer opendir(const Request& r) override;
  Answer readdir(const Request& r) override;
  Answer readlink(const Request& r) override;
  Answer refuse_creation(const Request& r) override;
  Answer refuse_name(const Request& r) override;
  Answer open(const Request& r) override;
  Answer read(const Request& r) override;
  Answer write(const Request& r) override;

 protected:
  /// What GETATTR has: `out`, or what a contract has to say of the size and its age.
  virtual Answer complete_attributes(const Request& r, NodeId node, const std::string& path,
                                     const fuse_attr_out& out);
  /// The same for LOOKUP. `may_vanish`: the name is shown only to some.
  virtual void complete_entry(NodeId node, const ContainerPtr& container, const std::string& path,
                              bool may_vanish, fuse_entry_out& out);
  /// The path in sysfs of a node that is mirrored, or of a mirrored directory of the tree.
  std::optional<std::string> path_of(NodeId node);
  Result<std::string> text_of(const std::string& path, const ContainerPtr& container);

 private:
  static Mirror::Ask ask_of(const ContainerPtr& container);
  static fuse_attr mirror_attr(NodeId node, const struct stat& from);
  /// Whether the caller may use a file of sysfs as it could natively.
  bool may_use(const Request& r, const struct stat& file, int mask);
  bool may_reach(const Request& r, const std::string& path);
  Answer found_entry(NodeId parent, const ContainerPtr& container, const std::string& path);

  Mirror& mirror_;
  TreeFiles& directories_;
};

/// The same in contract `tick`: the kernel caches each file of a container for a tick.
class TickMirrorFiles : public MirrorFiles {
 public:
  using MirrorFiles::MirrorFiles;

  Answer open(const Request& r) override;
  Answer read(const Request& r) override;

 protected:
  Answer complete_attributes(const Request& r, NodeId node, const std::string& path,
                             const fuse_attr_out& out) override;
  void complete_entry(NodeId node, const ContainerPtr& container, const std::string& path,
                      bool may_vanish, fuse_entry_out& out) override;

 private:
  /// What the page cache is to have of a file.
  Result<CachedTextPtr> snapshot(NodeId node, const ContainerPtr& container,
                                 const std::string& path, bool any_age);
  /// Returns when the snapshot was taken, CLOCK_BOOTTIME in µs; now if it cannot be read.
  uint64_t fill_attributes(NodeId node, const ContainerPtr& container, const std::string& path,
                           bool any_age, fuse_attr& attr);
};

}  // namespace vprocfs
