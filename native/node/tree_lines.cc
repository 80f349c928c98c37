#include "node/tree_lines.h"

#include "base/affix.h"

namespace vprocfs {
namespace {

using Lines = std::vector<std::string>;

/// Complete lists of the kernel's, which are mounted as a whole.
bool is_whole(const TreeDir& dir, const std::string& path) {
  return path == "sys/devices/system/node" ||
         (starts_with(path, "sys/") && dir.find("possible") != nullptr);
}

/// Appends what is in a directory that containers see at `path`, and that stands at `source`.
void add(const Tree& tree, const TreeDir& dir, const std::string& path, const std::string& source,
         Lines& out) {
  if (is_whole(dir, path)) return out.push_back("directory " + path);
  for (const TreeEntry& entry : dir.entries) {
    // The hidden entry beside the link is listed instead.
    if (entry.link) continue;
    const std::string shown = path + "/" + entry.name.substr(entry.hidden ? 1 : 0);
    const std::string its = source + "/" + entry.name;
    if (const TreeDir* below = tree.dir(entry.index); below != nullptr && entry.view == nullptr) {
      add(tree, *below, shown, its, out);
    } else {
      out.push_back(shown == its ? "file " + shown : "link " + shown + " " + its);
    }
  }
}

Lines lines_of(const Tree& tree) {
  Lines lines;
  for (const TreeEntry& entry : tree.top().entries) {
    if (const TreeDir* dir = tree.dir(entry.index)) add(tree, *dir, dir->path, dir->path, lines);
  }
  return lines;
}

}  // namespace

std::vector<std::string> tree_lines(const Tree& tree, const Tree* polled) {
  Lines lines = lines_of(tree);
  if (polled == nullptr) return lines;
  for (const std::string& line : lines_of(*polled)) {
    const std::string path = line.substr(line.find(' ') + 1);
    if (tree.find(path).view == nullptr) lines.push_back("log " + path);
  }
  return lines;
}

}  // namespace vprocfs
