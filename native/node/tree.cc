#include "node/tree.h"

namespace vprocfs {

const TreeEntry* TreeDir::find(std::string_view name) const {
  for (const auto& entry : entries) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

NodeIndex Tree::dir_index(std::string_view path) {
  uint32_t hash = 2166136261u;
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return static_cast<NodeIndex>(kFirstDirIndex + (hash ^ (hash >> 14)) % kDirIndexes);
}

Tree::Tree(const std::function<bool(const std::string&)>& has) {
  dirs_.push_back(TreeDir{kContainerRootIndex, kContainerRootIndex, "", {}});
  // All of it is the host's: no view implies it.
  if (has("sys/devices/system/node")) ensure("sys/devices/system/node");
  for (const View* view = views_begin(); view != views_end(); ++view) {
    if (!has(std::string(view->path))) continue;
    views_.push_back(view);
    const size_t slash = view->path.rfind('/');
    const std::string_view parent =
        slash == std::string_view::npos ? std::string_view() : view->path.substr(0, slash);
    const std::string_view name =
        view->path.substr(slash == std::string_view::npos ? 0 : slash + 1);
    ensure(parent).entries.push_back(
        TreeEntry{std::string(name), static_cast<NodeIndex>(kFirstFileIndex + view->index), view});
  }
}

TreeDir& Tree::ensure(std::string_view path) {
  for (auto& dir : dirs_) {
    if (dir.path == path) return dir;
  }
  const size_t slash = path.rfind('/');
  const std::string_view above =
      slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  const std::string_view name = path.substr(slash == std::string_view::npos ? 0 : slash + 1);
  const NodeIndex index = dir_index(path);
  TreeDir& parent = ensure(above);
  parent.entries.push_back(TreeEntry{std::string(name), index, nullptr});
  const NodeIndex parent_index = parent.index;
  dirs_.push_back(TreeDir{index, parent_index, std::string(path), {}});
  return dirs_.back();
}

const TreeDir* Tree::dir(NodeIndex index) const {
  for (const auto& dir : dirs_) {
    if (dir.index == index) return &dir;
  }
  return nullptr;
}

const View* Tree::file(NodeIndex index) const {
  if (index < kFirstFileIndex || index >= kFirstDirIndex) return nullptr;
  for (const View* view : views_) {
    if (view->index == index - kFirstFileIndex) return view;
  }
  return nullptr;
}

}  // namespace vprocfs
