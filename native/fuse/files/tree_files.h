#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuse/files/files.h"

namespace vprocfs {

class AllFiles;

/// Directories and links of the tree. The same for every container, so the kernel keeps them.
class TreeFiles : public Files {
 public:
  TreeFiles(ServerParts& parts, AllFiles& all) : Files(parts), all_(all) {}

  Answer entry(const Request& r, NodeId node, const ContainerPtr& owner, uint64_t valid_s) override;
  Answer attributes(const Request& r) override;
  Answer lookup(const Request& r) override;
  Answer readdir(const Request& r) override;
  Answer readlink(const Request& r) override;

 private:
  bool is_link(NodeId node) const;
  fuse_attr attributes_of(NodeId node) const;
  Answer lookup_container(const Request& r, const std::string& name);
  Answer lookup_top(const Request& r, const std::string& name, NodeIndex link);
  Answer lookup_process(const Request& r, std::string_view digits);
  Answer lookup_entry(const Request& r, NodeId parent, const TreeEntry& found);
  std::string polled_target(const Request& r, NodeId node, const std::string& path) const;
  /// The containers that the caller may see, ascending.
  std::vector<ContainerId> visible_containers(const Request& r);

  AllFiles& all_;
};

}  // namespace vprocfs
