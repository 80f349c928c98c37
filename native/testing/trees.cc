#include <unistd.h>

#include "node/tree.h"
#include "source/sysfs_tree.h"
#include "testing/directory.h"
#include "testing/parts.h"
#include "testing/values.h"
#include "view/view.h"

namespace vprocfs {
namespace {

/// () -> the files of the view table
std::vector<Napi::Value> list_views(Napi::Env env) {
  constexpr uint32_t kTimes = kNeedCpuReport | kNeedClock | kNeedTasks | kNeedLoad |
                              kNeedPressureCpu | kNeedPressureMemory | kNeedPressureIo |
                              kNeedPressureIrq;
  std::vector<Napi::Value> out;
  for (const View* view = views_begin(); view != views_end(); ++view) {
    out.push_back(JsObject(env)
                      .set("index", view->index)
                      .set("path", view->path)
                      .set("mode", view->mode)
                      .set("changes", view->changes == Changes::kAlways ? "always" : "with-limits")
                      .set("hasTimes", (view->needs & kTimes) != 0));
  }
  return out;
}

/// () -> keys of memory.stat that are read: [v2's, v1's or null].
std::vector<std::vector<std::optional<std::string>>> memory_keys() {
  return {
#define VPROCFS_MEMORY_KEY(key) {#key, std::nullopt},
#define VPROCFS_MEMORY_KEY_OF(key, v1_key) {#key, #v1_key},
#include "facts/memory_keys.def"
  };
}

/// (caseDir) -> every path of the tree that a host has which lacks the files that a recorded one
/// lacks: directories, and below them files.
std::vector<std::string> tree_paths(const std::string& dir) {
  const Tree tree(
      [&dir](const std::string& path) { return ::access((dir + "/" + path).c_str(), F_OK) == 0; });
  std::vector<std::string> paths;
  std::vector<const TreeDir*> left{&tree.top()};
  while (!left.empty()) {
    const TreeDir& at = *left.back();
    left.pop_back();
    for (const TreeEntry& entry : at.entries) {
      paths.push_back(at.path.empty() ? entry.name : at.path + "/" + entry.name);
      const TreeDir* below = entry.view == nullptr ? tree.dir(entry.index) : nullptr;
      if (below != nullptr) left.push_back(below);
    }
  }
  return paths;
}

/// (sysDir, paths) -> the numbers of paths of a tree of sysfs, and what they lead back to in a tree
/// that has not given them out.
Result<std::vector<Napi::Value>> number_paths(Napi::Env env, const std::string& dir,
                                              const std::vector<std::string>& paths) {
  const auto fd = open_directory(dir);
  if (!fd) return fd.error();
  SysfsTree first(fd.value().get()), second(fd.value().get());
  std::vector<Napi::Value> out;
  for (const std::string& path : paths) {
    const auto number = first.number(path);
    out.push_back(JsObject(env)
                      .set("number", number ? Number(*number) : Number(-1))
                      .set("path", number ? second.path(*number).value_or("") : std::string()));
  }
  return out;
}

}  // namespace

void add_trees(Napi::Object& exports) {
  add<list_views>(exports, "views");
  add<memory_keys>(exports, "memoryKeys");
  add<tree_paths>(exports, "treePaths");
  add<number_paths>(exports, "numberPaths");
}

}  // namespace vprocfs
