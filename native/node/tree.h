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
  const View* view = nullptr;  ///< nullptr: a directory, or a link
  bool link = false;           ///< a link to the file that can be polled, in the other mount
  bool hidden = false;         ///< can be looked up but is not listed: a link stands for it
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
  using Has = std::function<bool(const std::string&)>;

  /// The views for which `has(View::path)` is true: files that the host lacks are not there. A file
  /// for which `elsewhere` is true, or a directory of such files only, becomes a link to the same
  /// path in another mount. It stays here as well, hidden, under its name with a dot before it.
  explicit Tree(const Has& has, const std::function<bool(const View&)>& elsewhere = nullptr);
  /// The tree of files that are polled: the views among these for which `has` is true, and with
  /// `logs` the files of kernel logs.
  static Tree of_polled(const Has& has, bool logs);

  /// The top: what stands in a container's root.
  const TreeDir& top() const { return dirs_.front(); }
  /// What is at a path below the top: one of both, or neither.
  struct Found {
    const TreeDir* dir = nullptr;
    const View* view = nullptr;
  };
  Found find(std::string_view path) const;
  /// By index; nullptr for what is not a directory of ours.
  const TreeDir* dir(NodeIndex index) const;
  /// By index; nullptr for what is not a file.
  const View* file(NodeIndex index) const;
  /// Where a link leads to, by its index: a path like "proc/pressure". nullptr for what is none.
  const std::string* link(NodeIndex index) const;

  /// The node index of a directory path: derived from the path, so that it never moves.
  static NodeIndex dir_index(std::string_view path);

 private:
  struct Link {
    NodeIndex index = 0;
    std::string path;
  };
  void add(const View& view);
  TreeDir& ensure(std::string_view path);
  bool all_elsewhere(const TreeEntry& entry,
                     const std::function<bool(const View&)>& elsewhere) const;
  void add_links(TreeDir& dir, const std::function<bool(const View&)>& elsewhere);
  std::vector<const View*> views_;
  std::vector<TreeDir> dirs_;
  std::vector<Link> links_;
};

}  // namespace vprocfs
