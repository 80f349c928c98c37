#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

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

/// (sysDir, number, times) -> at which of these times, ms after its first scan, a tree of sysfs
/// that has not the number is scanned again when it is asked for it.
Result<std::vector<Number>> scan_times(const std::string& dir, uint32_t number,
                                       const std::vector<uint32_t>& times) {
  const auto fd = open_directory(dir);
  const Fd opened(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string root = dir + "/" + SysfsTree::kCpuRoot;
  if (!fd || ::inotify_add_watch(opened.get(), root.c_str(), IN_OPEN) < 0) {
    return Error{errno, root};
  }
  const auto was_opened = [&opened] {
    alignas(inotify_event) char events[4096];
    return ::read(opened.get(), events, sizeof(events)) > 0;
  };
  uint64_t now_ms = 0;
  SysfsTree tree(fd.value().get(), [&now_ms] { return now_ms; });
  static_cast<void>(tree.path(number));
  static_cast<void>(was_opened());
  std::vector<Number> scanned;
  for (const uint32_t time_ms : times) {
    now_ms = time_ms;
    static_cast<void>(tree.path(number));
    if (was_opened()) scanned.emplace_back(time_ms);
  }
  return scanned;
}

}  // namespace

void add_trees(Napi::Object& exports) {
  add<list_views>(exports, "views");
  add<memory_keys>(exports, "memoryKeys");
  add<tree_paths>(exports, "treePaths");
  add<number_paths>(exports, "numberPaths");
  add<scan_times>(exports, "scanTimes");
}

}  // namespace vprocfs
