#include "node/tree.h"

#include <algorithm>
#include <utility>

namespace vprocfs {
namespace {

uint32_t hash_of(std::string_view path) {
  uint32_t hash = 2166136261u;
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash ^ (hash >> 14);
}

struct Split {
  std::string_view parent, name;
};

/// The directory of a path, "" for the top, and its last name.
Split split(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

const TreeEntry* TreeDir::find(std::string_view name) const {
  for (const auto& entry : entries) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

NodeIndex Tree::dir_index(std::string_view path) {
  return static_cast<NodeIndex>(kFirstDirIndex + hash_of(path) % kDirIndexes);
}

Tree::Tree(const Has& has, const std::function<bool(const View&)>& elsewhere) {
  dirs_.push_back(TreeDir{kContainerRootIndex, kContainerRootIndex, "", {}});
  // No view is in this directory: all its files are mirrored.
  if (has("sys/devices/system/node")) ensure("sys/devices/system/node");
  for (const View* view = views_begin(); view != views_end(); ++view) {
    if (has(std::string(view->path))) add(*view);
  }
  if (elsewhere) add_links(dirs_.front(), elsewhere);
}

Tree Tree::of_polled(const Has& has, bool logs) {
  Tree tree([&has](const std::string& path) {
    const View* const view = find_view(path);
    return view != nullptr && is_polled(*view) && has(path);
  });
  for (const View* view : kLogViews) {
    if (logs) tree.add(*view);
  }
  return tree;
}

void Tree::add(const View& view) {
  views_.push_back(&view);
  const auto [parent, name] = split(view.path);
  ensure(parent).entries.push_back(
      TreeEntry{std::string(name), static_cast<NodeIndex>(kFirstFileIndex + view.index), &view});
}

bool Tree::all_elsewhere(const TreeEntry& entry,
                         const std::function<bool(const View&)>& elsewhere) const {
  if (entry.view != nullptr) return elsewhere(*entry.view);
  const TreeDir* const below = dir(entry.index);
  return below != nullptr && !below->entries.empty() &&
         std::all_of(below->entries.begin(), below->entries.end(),
                     [&](const TreeEntry& e) { return all_elsewhere(e, elsewhere); });
}

void Tree::add_links(TreeDir& in, const std::function<bool(const View&)>& elsewhere) {
  std::vector<TreeEntry> links;
  for (TreeEntry& entry : in.entries) {
    // proc and sys themselves are links of another kind to those in a container.
    if (in.path.empty() || !all_elsewhere(entry, elsewhere)) {
      if (entry.view == nullptr) {
        const auto below = std::find_if(dirs_.begin(), dirs_.end(),
                                        [&](const TreeDir& d) { return d.index == entry.index; });
        if (below != dirs_.end()) add_links(*below, elsewhere);
      }
      continue;
    }
    const std::string path = in.path + "/" + entry.name;
    TreeEntry link;
    link.name = entry.name;
    link.index = static_cast<NodeIndex>(kFirstLinkIndex + hash_of(path) % kLinkIndexes);
    link.link = true;
    links_.push_back({link.index, path});
    entry.name.insert(0, ".");
    entry.hidden = true;
    links.push_back(std::move(link));
  }
  for (TreeEntry& link : links) in.entries.push_back(std::move(link));
}

TreeDir& Tree::ensure(std::string_view path) {
  for (auto& dir : dirs_) {
    if (dir.path == path) return dir;
  }
  const auto [above, name] = split(path);
  const NodeIndex index = dir_index(path);
  TreeDir& parent = ensure(above);
  parent.entries.push_back(TreeEntry{std::string(name), index, nullptr});
  const NodeIndex parent_index = parent.index;
  dirs_.push_back(TreeDir{index, parent_index, std::string(path), {}});
  return dirs_.back();
}

Tree::Found Tree::find(std::string_view path) const {
  for (const auto& dir : dirs_) {
    if (dir.path == path) return {&dir, nullptr};
  }
  for (const View* view : views_) {
    if (view->path == path) return {nullptr, view};
  }
  return {};
}

const TreeDir* Tree::dir(NodeIndex index) const {
  for (const auto& dir : dirs_) {
    if (dir.index == index) return &dir;
  }
  return nullptr;
}

const std::string* Tree::link(NodeIndex index) const {
  for (const auto& link : links_) {
    if (link.index == index) return &link.path;
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
