#include "source/cgroup_mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "base/directory.h"
#include "source/mount_table.h"
#include "source/parse.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr uint32_t bit(Controller controller) { return 1u << static_cast<unsigned>(controller); }

/// The controller that v1 calls `name`.
std::optional<Controller> v1_controller(std::string_view name) {
  for (size_t i = 0; i < kControllerCount; ++i) {
    if (kControllers[i].v1 == name) return static_cast<Controller>(i);
  }
  return std::nullopt;
}

uint32_t v1_bit(std::string_view name) {
  const auto controller = v1_controller(name);
  return controller ? bit(*controller) : 0;
}

uint32_t v2_bits(std::string_view text) {
  uint32_t bits = bit(Controller::kCpuacct);
  for (text = trim(text); !text.empty();) {
    const std::string_view name = take_word(text);
    for (size_t i = 0; i < kControllerCount; ++i) {
      if (kControllers[i].v2 == name) bits |= bit(static_cast<Controller>(i));
    }
  }
  return bits;
}

uint32_t v2_bits_now(int root_fd) {
  const auto text = read_file(root_fd, "cgroup.controllers");
  return v2_bits(text ? std::string_view(text.value()) : std::string_view());
}

/// Splits at commas.
template <typename F>
void for_each_item(std::string_view list, F item) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    item(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
}

bool has_magic(int fd, bool v2) {
  struct statfs fs {};
  if (::fstatfs(fd, &fs) != 0) return false;
  return static_cast<unsigned long>(fs.f_type) ==
         static_cast<unsigned long>(v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
}

/// The hierarchy that a line of mountinfo says is mounted; nothing when it is none, or one of v1 of
/// which nothing is read.
std::optional<Hierarchy> hierarchy_of(std::string_view line) {
  auto entry = parse_mount(line);
  if (!entry || entry->root != "/") return std::nullopt;
  if (entry->type != "cgroup" && entry->type != "cgroup2") return std::nullopt;
  Hierarchy found;
  found.v2 = entry->type == "cgroup2";
  found.mount = std::move(entry->path);
  if (found.v2) return found;
  for_each_item(entry->options, [&](std::string_view item) { found.controllers |= v1_bit(item); });
  if (found.controllers == 0) return std::nullopt;
  return found;
}

bool is_known(const std::vector<Hierarchy>& all, const Hierarchy& one) {
  return std::any_of(all.begin(), all.end(), [&](const Hierarchy& other) {
    return other.v2 == one.v2 && (one.v2 || other.controllers == one.controllers);
  });
}

}  // namespace

Result<CgroupMounts> CgroupMounts::discover(int procfs_fd) {
  const auto text = read_file(procfs_fd, "self/mountinfo");
  if (!text) return text.error();
  CgroupMounts mounts;
  std::optional<Error> shortage;
  for_each_line(text.value(), [&](std::string_view line) {
    auto found = hierarchy_of(line);
    if (!found || is_known(mounts.hierarchies_, *found)) return;
    found->root = open_directory(AT_FDCWD, found->mount.c_str());
    if (!found->root && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
      shortage = Error{errno, found->mount};
    }
    // Something else may be mounted over it, or it may be out of our reach.
    if (!found->root || !has_magic(found->root.get(), found->v2)) return;
    if (found->v2) found->controllers = v2_bits_now(found->root.get());
    mounts.hierarchies_.push_back(std::move(*found));
  });
  // Its containers would be taken for others, or for none.
  if (shortage) return *shortage;
  return mounts;
}

const Hierarchy* CgroupMounts::v2() const {
  for (const auto& tree : hierarchies_) {
    if (tree.v2) return &tree;
  }
  return nullptr;
}

const Hierarchy* CgroupMounts::tree_of(std::optional<Controller> v1) const {
  if (!v1) return v2();
  for (const auto& tree : hierarchies_) {
    if (!tree.v2 && (tree.controllers & bit(*v1)) != 0) return &tree;
  }
  return nullptr;
}

const Hierarchy* CgroupMounts::of(Controller controller) const {
  if (const Hierarchy* v1 = tree_of(controller)) return v1;
  const Hierarchy* tree = v2();
  if (tree == nullptr) return nullptr;
  if (controller == Controller::kCpuacct) return tree;
  return (v2_bits_now(tree->root.get()) & bit(controller)) != 0 ? tree : nullptr;
}

Result<CgroupPaths> CgroupPaths::parse(const std::string& text) {
  CgroupPaths paths;
  bool malformed = false;
  for_each_line(text, [&](std::string_view line) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos || line.substr(second + 1, 1) != "/") {
      malformed = true;
      return;
    }
    const std::string_view names = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (names.empty()) paths.v2 = path;
    for_each_item(names, [&](std::string_view name) {
      const auto controller = v1_controller(name);
      if (controller) paths.v1[static_cast<size_t>(*controller)] = path;
    });
  });
  if (malformed) return Error{EINVAL, "cgroup"};
  return paths;
}

bool CgroupPaths::has_v1() const {
  return std::any_of(v1.begin(), v1.end(), [](const std::string& path) { return !path.empty(); });
}

const std::string& CgroupPaths::of(const CgroupMounts& mounts, Controller controller) const {
  static const std::string none;
  const Hierarchy* tree = mounts.of(controller);
  if (tree == nullptr) return none;
  return in(tree->v2 ? std::nullopt : std::optional(controller));
}

}  // namespace vprocfs
