#include "attach/tree_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/affix.h"
#include "base/directory.h"

namespace vprocfs {
namespace {

constexpr int kMaxDepth = 6;
constexpr size_t kMaxFiles = 256;

struct Name {
  std::string name;
  unsigned char type = DT_UNKNOWN;
};

/// A tree that files are listed of.
struct Tree {
  int fd;
  int polled_fd;  ///< the tree that its links lead to; -1: there is none
  bool polled;    ///< this is the tree of the second mount
};

Result<std::vector<Name>> names_in(int container_fd, const std::string& path) {
  std::vector<Name> names;
  const int failed = for_each_entry(open_directory(container_fd, path.c_str(), O_NOFOLLOW),
                                    [&names](const dirent& entry) {
                                      // Hidden files are found through their links.
                                      if (entry.d_name[0] == '.') return true;
                                      names.push_back({entry.d_name, entry.d_type});
                                      return true;
                                    });
  if (failed != 0) return Error{failed, path};
  return names;
}

/// True for a directory that is mounted as a whole: the lists of CPUs and of nodes.
bool is_whole(int fd, const std::string& path, const std::string& source) {
  struct stat found {};
  return starts_with(path, "sys/devices/system/") &&
         ::fstatat(fd, (source + "/possible").c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0;
}

bool is_directory(int fd, const std::string& path) {
  struct stat found {};
  return ::fstatat(fd, path.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(found.st_mode);
}

Result<bool> collect(const Tree& tree, const std::string& path, const std::string& source,
                     int depth, std::vector<TreeFile>& out);

/// Appends what a link leads to, or the hidden file `beside` it if that cannot be reached.
Result<bool> collect_link(const Tree& tree, const std::string& path, const std::string& beside,
                          int depth, std::vector<TreeFile>& out) {
  const bool elsewhere = tree.polled_fd >= 0 && !tree.polled;
  const Tree from{elsewhere ? tree.polled_fd : tree.fd, -1, elsewhere};
  const std::string& source = elsewhere ? path : beside;
  if (is_directory(from.fd, source)) return collect(from, path, source, depth, out);
  out.push_back({path, false, from.polled, source == path ? "" : source});
  return true;
}

/// Appends what is at or below the directory `path`, which stands at `source` of its tree.
Result<bool> collect(const Tree& tree, const std::string& path, const std::string& source,
                     int depth, std::vector<TreeFile>& out) {
  if (is_whole(tree.fd, path, source)) {
    out.push_back({path, true, false, ""});
    return true;
  }
  auto names = names_in(tree.fd, source);
  if (!names) return names.error();
  for (const auto& entry : names.value()) {
    if (out.size() >= kMaxFiles) return true;
    const std::string below = path + "/" + entry.name;
    const std::string its = source + "/" + entry.name;
    Result<bool> done = true;
    if (entry.type == DT_LNK) {
      done = collect_link(tree, below, source + "/." + entry.name, depth + 1, out);
    } else if (entry.type != DT_DIR) {
      out.push_back({below, false, tree.polled, its == below ? "" : its});
    } else if (depth < kMaxDepth) {
      done = collect(tree, below, its, depth + 1, out);
    }
    if (!done) return done;
  }
  return true;
}

}  // namespace

Result<std::vector<TreeFile>> list_tree(int container_fd, int polled_fd) {
  std::vector<TreeFile> files;
  for (const char* top : {"proc", "sys"}) {
    auto done = collect({container_fd, polled_fd, false}, top, top, 0, files);
    if (!done) return done.error();
  }
  if (polled_fd < 0) return files;
  std::vector<TreeFile> polled;
  for (const char* top : {"proc", "dev"}) {
    auto done = collect({polled_fd, -1, true}, top, top, 0, polled);
    // Without kernel logs it has no dev.
    if (!done && done.error().code != ENOENT) return done.error();
  }
  for (TreeFile& file : polled) {
    const bool known = std::any_of(files.begin(), files.end(),
                                   [&](const TreeFile& one) { return one.path == file.path; });
    if (!known) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace vprocfs
