#include "attach/tree_files.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace vprocfs {
namespace {

constexpr int kMaxDepth = 6;
constexpr size_t kMaxFiles = 256;

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

struct Name {
  std::string name;
  bool directory = false;
};

Result<std::vector<Name>> names_in(int container_fd, const std::string& path) {
  Fd fd(::openat(container_fd, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return Error{errno, path};
  const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(fd.get()));
  if (!dir) return Error{errno, path};
  fd.release();
  std::vector<Name> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] != '.') names.push_back({entry->d_name, entry->d_type == DT_DIR});
  }
  if (errno != 0) return Error{errno, path};
  return names;
}

/// Appends what is at or below the directory `path`.
Result<bool> collect(int container_fd, const std::string& path, int depth,
                     std::vector<TreeFile>& out) {
  auto names = names_in(container_fd, path);
  if (!names) return names.error();
  const auto& all = names.value();
  const bool whole =
      path.compare(0, 4, "sys/") == 0 &&
      std::any_of(all.begin(), all.end(), [](const Name& n) { return n.name == "possible"; });
  if (whole) {
    out.push_back({path, true});
    return true;
  }
  for (const auto& entry : all) {
    if (out.size() >= kMaxFiles) return true;
    const std::string below = path + "/" + entry.name;
    if (!entry.directory) {
      out.push_back({below, false});
    } else if (depth < kMaxDepth) {
      auto done = collect(container_fd, below, depth + 1, out);
      if (!done) return done;
    }
  }
  return true;
}

}  // namespace

Result<std::vector<TreeFile>> list_tree(int container_fd) {
  std::vector<TreeFile> files;
  for (const char* top : {"proc", "sys"}) {
    auto done = collect(container_fd, top, 0, files);
    if (!done) return done.error();
  }
  return files;
}

}  // namespace vprocfs
