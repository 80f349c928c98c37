#include "attach/planner.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "attach/kernel.h"
#include "attach/log_node.h"
#include "base/affix.h"

namespace vprocfs {
namespace {

constexpr int kMaxRefreshes = 3;

std::string why_not_opened(int code) {
  if (code == ELOOP) return "the path has a symlink";
  if (code == EXDEV) return "something else is mounted along the path";
  if (code == EAGAIN) return "on a file system that the container may serve itself";
  return explain(code);
}

bool is_on(const Fd& fd, bool in_proc) {
  struct statfs fs {};
  return ::fstatfs(fd.get(), &fs) == 0 &&
         fs.f_type == static_cast<decltype(fs.f_type)>(in_proc ? PROC_SUPER_MAGIC : SYSFS_MAGIC);
}

/// Whether a path is where files of ours may be below a root directory.
bool is_place_below(const std::string& root, const std::string& path) {
  return starts_with(path, root + "/proc/") || starts_with(path, root + "/sys/devices/system/") ||
         path == root + "/" + std::string(kLogNode);
}

bool is_of_log(const std::string& path) {
  return is_log_node(path) || ends_with(path, "/proc/kmsg");
}

bool is_place_of_ours(const std::string& path) {
  return path.find("/proc/") != path.npos || path.find("/sys/devices/system/") != path.npos ||
         is_log_node(path);
}

}  // namespace

void Planner::attach(const std::string& root) {
  if (!options_.replace_lxcfs && has_lxcfs(root)) return plan_lxcfs(root);
  plan_root(root);
  plan_clean(root);
}

void Planner::detach() {
  const auto& mounts = target_.mounts().all();
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    if (options_.only_logs && !is_of_log(mount->path)) continue;
    if (owners_.is_ours(*mount) && !owners_.is_others(*mount) && is_place_of_ours(mount->path)) {
      plan_unmount(*mount);
    }
  }
}

void Planner::note(const std::string& path, FileState state, const std::string& reason) {
  report_.files.push_back({path, state, reason});
}

Directory Planner::directory_at(const std::string& path) {
  if (generation_ != target_.generation()) directories_.clear();
  generation_ = target_.generation();
  const auto found = directories_.find(path);
  if (found != directories_.end()) return found->second;
  auto opened = target_.open_directory(path);
  if (opened) directories_.emplace(path, opened);
  return opened;
}

bool Planner::open_place(const std::string& path, Step& step) {
  const size_t slash = path.rfind('/');
  step.name = path.substr(slash + 1);
  step.parent = directory_at(path.substr(0, slash));
  if (step.parent) step.leaf = Target::open_leaf(*step.parent, step.name);
  if (step.leaf) return true;
  const int code = errno;
  step.absent = step.parent && code == ENOENT;
  if (code != ENOENT && code != ENOTDIR) note(path, FileState::kFailed, why_not_opened(code));
  return false;
}

const MountEntry* Planner::mount_of(int fd, unsigned& mode) {
  PathIdentity found;
  if (!identify(fd, found)) return nullptr;
  mode = found.mode;
  return mount_with(found.mount);
}

const MountEntry* Planner::mount_with(uint64_t id) {
  if (const MountEntry* entry = target_.mounts().by_id(id)) return entry;
  // The mount is newer than the table. A bounded number of tries: mounts may never stop changing.
  if (refreshes_++ >= kMaxRefreshes) return nullptr;
  return target_.refresh() ? target_.mounts().by_id(id) : nullptr;
}

bool Planner::is_place(const std::string& path, const Directory& parent, bool in_proc) {
  const MountEntry* on = mount_with(parent->on.mount);
  // The file before is in the same directory.
  if (on != nullptr && parent == place_) return true;
  if (on == nullptr || on->type != (in_proc ? "proc" : "sysfs") || !is_on(parent->fd, in_proc)) {
    note(path, FileState::kFailed, in_proc ? "not on a procfs" : "not on a sysfs");
    return false;
  }
  if (owners_.is_shared_with_host(*on)) {
    note(path, FileState::kLeft, "the host would see it too");
    return false;
  }
  place_ = parent;
  return true;
}

bool Planner::is_masked(const std::string& file) const {
  return std::any_of(options_.masked.begin(), options_.masked.end(), [&](const auto& masked) {
    return masked == "/" + file || starts_with("/" + file, masked + "/");
  });
}

bool Planner::has_lxcfs(const std::string& root) const {
  const auto& all = target_.mounts().all();
  return std::any_of(all.begin(), all.end(), [&](const MountEntry& mount) {
    return owners_.is_lxcfs(mount) && is_place_below(root, mount.path);
  });
}

void Planner::plan_lxcfs(const std::string& root) {
  const auto& mounts = target_.mounts().all();
  std::vector<std::string> given_up;
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    if (!owners_.is_ours(*mount) || owners_.is_others(*mount) || !is_place_below(root, mount->path))
      continue;
    given_up.push_back(mount->path);
    if (options_.action == Action::kCheck) {
      note(mount->path, FileState::kMissing);
    } else {
      plan_unmount(*mount);
    }
  }
  for (const auto& file : tree_.files) {
    const std::string path = root + "/" + file.path;
    if (std::find(given_up.begin(), given_up.end(), path) != given_up.end()) continue;
    note(path, FileState::kLeft, "it has an LXCFS's files");
  }
}

void Planner::plan_file(const std::string& root, const TreeFile& file) {
  if (is_skipped(options_, file.path)) return;
  const std::string path = root + "/" + file.path;
  if (is_masked(file.path)) return note(path, FileState::kLeft, "its configuration masks it");
  if (is_left(options_, path)) return;
  if (file.path == kLogNode) return plan_log_node(root, path, file);
  const bool in_proc = starts_with(file.path, "proc/");
  Step step;
  if (!open_place(path, step)) return;
  if (!is_place(path, step.parent, in_proc)) return;
  unsigned mode = 0;
  const uint64_t parent_id = step.parent->on.mount;
  const MountEntry* top = mount_of(step.leaf.get(), mode);
  if (top == nullptr) return note(path, FileState::kFailed, "its mounts change");
  step.top = top->id;
  const Top seen = top->id == parent_id ? Top::kKernel : classify(*top, file);
  const bool fits = mode == (file.directory ? S_IFDIR : S_IFREG);
  if (!fits && seen != Top::kForeign) {
    return note(path, FileState::kFailed, "it has another file type");
  }
  if (file.directory && !plan_below(path, file, seen, parent_id, step)) return;
  if (seen == Top::kLxcfs && options_.replace_lxcfs && plan_uncover(path, file, step)) return;
  decide(path, file, seen, std::move(step));
  const bool covers = seen == Top::kKernel && options_.action == Action::kAttach;
  if (file.directory && covers) plan_hidden(path);
}

void Planner::plan_log_node(const std::string& root, const std::string& path,
                            const TreeFile& file) {
  const MountEntry* dev = target_.mounts().at(root + "/dev");
  if (dev == nullptr || (dev->type != "tmpfs" && dev->type != "devtmpfs")) return;
  if (owners_.is_shared_with_host(*dev)) {
    return note(path, FileState::kLeft, "the host would see it too");
  }
  const uint64_t dev_id = dev->id;
  Step step;
  const bool there = open_place(path, step);
  if (!there && !step.absent) return;
  // The container has mounted something else there meanwhile: no file is made in that.
  if (step.parent->on.mount != dev_id) {
    return note(path, FileState::kFailed, "its mounts change");
  }
  if (!there) return plan_new_log_node(path, file, *dev, std::move(step));
  unsigned mode = 0;
  const MountEntry* top = mount_of(step.leaf.get(), mode);
  if (top == nullptr) return note(path, FileState::kFailed, "its mounts change");
  step.top = top->id;
  const Top seen = top->id == dev_id ? Top::kKernel : classify(*top, file);
  const LogNode node = seen == Top::kKernel ? look_at_log_node(step.leaf) : LogNode::kKernel;
  if (node == LogNode::kLink) return note(path, FileState::kLeft, "it is a symlink");
  if (node == LogNode::kOther) {
    return note(path, FileState::kLeft, "it is not the kernel's log");
  }
  decide(path, file, seen, std::move(step));
}

void Planner::plan_new_log_node(const std::string& path, const TreeFile& file,
                                const MountEntry& dev, Step step) {
  if (dev.type != "tmpfs" || owners_.is_on_host(dev)) {
    return note(path, FileState::kLeft, "its /dev is not its own");
  }
  if (!is_writable(step.parent->fd)) {
    return note(path, FileState::kLeft, "its /dev is read-only");
  }
  decide(path, file, Top::kKernel, std::move(step));
}

void Planner::decide(const std::string& path, const TreeFile& file, Top seen, Step step) {
  FileState done = FileState::kAttached;
  switch (seen) {
    case Top::kKernel:
      break;
    case Top::kOurs:
      return note(path, FileState::kPresent);
    case Top::kOther:
      return note(path, FileState::kLeft, "of another vprocfs");
    case Top::kForeign:
      return note(path, FileState::kLeft, "something else is mounted there");
    case Top::kLxcfs:
      if (!options_.replace_lxcfs) return note(path, FileState::kLeft, "of an LXCFS");
      [[fallthrough]];
    case Top::kStale:
      step.beneath = true;
      done = FileState::kReplaced;
      break;
    case Top::kShadow:
      done = FileState::kHealed;
      break;
  }
  if (options_.action == Action::kCheck) return note(path, FileState::kMissing);
  step.mount = clone_mount(file.polled ? tree_.polled.get() : tree_.own.get(),
                           file.source.empty() ? file.path : file.source);
  if (!step.mount) return note(path, FileState::kFailed, explain(errno));
  note(path, done);
  step.report = report_.files.size() - 1;
  plan_.steps.push_back(std::move(step));
}

void Planner::plan_unmount(const MountEntry& mount, FileState done) {
  Step step;
  if (!open_place(mount.path, step)) return;
  note(mount.path, done);
  step.report = report_.files.size() - 1;
  step.top = mount.id;
  step.unmount = true;
  plan_.steps.push_back(std::move(step));
}

}  // namespace vprocfs
