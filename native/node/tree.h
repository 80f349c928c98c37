#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "node/node_id.h"
#include "view/view.h"

namespace vprocfs {

/// One name in a directory of the tree.
struct TreeEntry {
  std::string name;
  NodeIndex index = 0;
  const View* view = nullptr;  ///< nullptr: a directory
};

/// A directory below a container's root. The same for every container and for the caller-identified
/// root: built once from the view table.
struct TreeDir {
  NodeIndex index = 0;
  NodeIndex parent = 0;
  std::string path;  ///< "" for the top
  std::vector<TreeEntry> entries;

  const TreeEntry* find(std::string_view name) const;
};

/// The directories that the view table implies. Immutable after construction.
class Tree {
 public:
  /// With the views for which `has(View::path)` is true: what the host lacks is not there.
  explicit Tree(const std::function<bool(const std::string&)>& has);

  /// The top: what stands in a container's root.
  const TreeDir& top() const { return dirs_.front(); }
  /// By index; nullptr for what is not a directory of ours.
  const TreeDir* dir(NodeIndex index) const;
  /// By index; nullptr for what is not a file.
  const View* file(NodeIndex index) const;

  /// The node index of a directory path: derived from the path, so that it never moves.
  static NodeIndex dir_index(std::string_view path);

 private:
  TreeDir& ensure(std::string_view path);
  std::vector<const View*> views_;
  std::vector<TreeDir> dirs_;
};

}  // namespace vprocfs
