#include "attach/attach.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "attach/below.h"
#include "attach/clean.h"
#include "attach/kernel.h"
#include "attach/limits.h"
#include "attach/log_node.h"
#include "attach/polled.h"
#include "attach/target.h"
#include "attach/tree_files.h"

namespace vprocfs {
namespace {

constexpr int kMostRefreshes = 3;

/// What is seen at a place where a file of ours belongs.
enum class Top {
  kKernel,   ///< the kernel's own file
  kOurs,     ///< of the live mount, for this container
  kStale,    ///< ours, and dead or another container's
  kOther,    ///< of another live vprocfs
  kLxcfs,    ///< of an LXCFS
  kShadow,   ///< something of the container's, over one of ours
  kForeign,  ///< something of the container's or its runtime's
};

/// What of a directory that is covered as a whole is to be seen as before.
struct Below {
  uint64_t mount = 0;               ///< that the directory is on
  Fd directory;                     ///< when nothing covers it yet
  std::vector<std::string> places;  ///< with mounts below it, relative
  std::vector<std::string> masks;   ///< places that the runtime is about to mask
};

/// One thing to do once we are in the container's mount namespace.
struct Step {
  size_t report = 0;  ///< index into Report::files
  Fd parent, leaf;    ///< the directory, and what is seen there at `name` now
  std::string name;
  uint64_t top = 0;      ///< mount that is seen there now
  bool unmount = false;  ///< detach: take `top` away
  bool beneath = false;  ///< attach: take the place of `top`
  bool absent = false;   ///< nothing is there yet
  Fd mount;
  std::optional<Below> below;
};

/// A mount below a cover of ours that has got lost there.
struct Lost {
  size_t report = 0;
  Fd parent, at;            ///< of the covered directory; the place below the cover
  std::string name, place;  ///< of the directory; relative to it
};

/// A root whose procfs or sysfs were fully visible, of which one each stays so
/// (see clean.h).
struct Clean {
  std::string root;
  bool proc = false, sysfs = false;
};

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string explain(int code) { return std::strerror(code); }

class Run {
 public:
  Run(const Options& options, Report& report, Target& target, const MountTable& host)
      : options_(options), report_(report), target_(target), host_(host) {
    device_ = device_at(options.mountpoint);
    if (!options.polled.empty()) polled_device_ = device_at(options.polled);
  }

  void attach() {
    if (device_.empty()) return problem("no vprocfs on " + options_.mountpoint);
    const auto files = open_tree();
    if (!files) return;
    if (target_.ended()) return problem("it has ended");
    const auto roots = target_.roots(options_.hook == Hook::kOci);
    if (roots.empty()) return problem(target_.why_no_root());
    for (const auto& root : roots) {
      if (!options_.replace_lxcfs && has_lxcfs(root)) {
        plan_lxcfs(root, *files);
        continue;
      }
      plan_root(root, *files);
      plan_clean(root);
    }
    if (options_.action != Action::kCheck) perform();
  }

  void detach() {
    const auto& mounts = target_.mounts().all();
    for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
      if (options_.only_logs && !is_of_log(mount->path)) continue;
      if (is_ours(*mount) && !is_others(*mount) && is_place_of_ours(mount->path)) {
        plan_unmount(*mount);
      }
    }
    perform();
    if (options_.only_logs) return;
    // What stood below the covers.
    if (!target_.refresh()) return;
    for (const auto& mount : target_.mounts().all()) {
      if (!is_clean_copy(mount)) continue;
      Step step;
      step.top = mount.id;
      if (open_place(mount.path, step)) unmount_top(step);
    }
  }

 private:
  /// Of what is ours at a path of the host; empty: nothing is.
  std::string device_at(const std::string& path) const {
    const MountEntry* mount = host_.at(path);
    return mount != nullptr && is_ours(*mount) ? mount->device : std::string();
  }

  /// True for another vprocfs that lives.
  bool is_others(const MountEntry& mount) const {
    return mount.device != device_ && mount.device != polled_device_ &&
           host_.has_device(mount.device) && !is_orphan(mount.device);
  }

  void problem(std::string text) { report_.problems.push_back(std::move(text)); }

  bool is_ours(const MountEntry& mount) const {
    return (mount.type == options_.type || mount.type == "fuse.lxcfs") &&
           (mount.source == options_.source || mount.source == "vprocfs");
  }

  static bool is_lxcfs(const MountEntry& mount) {
    return mount.type == "fuse.lxcfs" ||
           (starts_with(mount.type, "fuse") && mount.source == "lxcfs");
  }

  static bool is_place_of_ours(const std::string& path) {
    return path.find("/proc/") != path.npos || path.find("/sys/devices/system/") != path.npos ||
           is_log_node(path);
  }

  static bool is_of_log(const std::string& path) {
    return is_log_node(path) || ends_with(path, "/proc/kmsg");
  }

  static bool is_log_node(const std::string& path) {
    return ends_with(path, "/" + std::string(kLogNode));
  }

  /// The files of the container's tree; none with a problem noted.
  std::optional<std::vector<TreeFile>> open_tree() {
    const Fd all(
        ::open((options_.mountpoint + "/containers").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!all) {
      problem(options_.mountpoint + ": " + explain(errno));
      return std::nullopt;
    }
    report_.id = options_.id;
    if (report_.id.empty()) {
      char id[64];
      const std::string link = "pid:" + std::to_string(options_.pid);
      const ssize_t n = ::readlinkat(all.get(), link.c_str(), id, sizeof id);
      if (n <= 0) {
        problem(errno == ENOENT ? "it is in no container" : explain(errno));
        return std::nullopt;
      }
      report_.id.assign(id, static_cast<size_t>(n));
    }
    tree_ = Fd(
        ::openat(all.get(), report_.id.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!polled_device_.empty()) {
      const std::string polled = options_.polled + "/containers/" + report_.id;
      polled_tree_ = Fd(::open(polled.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
    auto files = tree_ ? list_tree(tree_.get(), polled_tree_.get())
                       : Result<std::vector<TreeFile>>(Error{errno, ""});
    if (files) return std::optional<std::vector<TreeFile>>(std::move(files.value()));
    problem(files.error().code == ENOENT ? "the container is gone" : explain(files.error().code));
    return std::nullopt;
  }

  Top classify(const MountEntry& top, const TreeFile& file) const {
    if (is_ours(top)) {
      if (is_others(top)) return Top::kOther;
      // The one that cannot be polled is no better than a dead one where the other can be had.
      if (top.device != (file.polled ? polled_device_ : device_)) return Top::kStale;
      const bool of_another = starts_with(top.root, "/containers/") &&
                              !starts_with(top.root, "/containers/" + report_.id + "/");
      return of_another ? Top::kStale : Top::kOurs;
    }
    if (is_lxcfs(top)) return Top::kLxcfs;
    // How runtimes mask what a container must not see at all: /dev/null, or an
    // empty tmpfs.
    if (top.root == "/null" || (file.directory && top.type == "tmpfs")) return Top::kForeign;
    for (const MountEntry* at = &top; at != nullptr && at->path == top.path;) {
      if (is_ours(*at)) return Top::kShadow;
      at = target_.mounts().by_id(at->parent);
    }
    return Top::kForeign;
  }

  /// True when what is mounted below it would appear on the host's own proc or
  /// sysfs.
  bool is_shared_with_host(const MountEntry& mount) const {
    if (mount.peers == 0) return false;
    for (const char* path : {"/proc", "/sys", "/dev"}) {
      const MountEntry* own = host_.at(path);
      if (own != nullptr && own->peers == mount.peers) return true;
    }
    return false;
  }

  /// True when the runtime is about to mask it, or something above it.
  bool is_masked(const std::string& file) const {
    return std::any_of(options_.masked.begin(), options_.masked.end(), [&](const auto& masked) {
      return masked == "/" + file || starts_with("/" + file, masked + "/");
    });
  }

  /// The mount that a descriptor is on, as mountinfo has it.
  const MountEntry* mount_of(int fd, unsigned& mode) {
    PathIdentity found;
    if (!identify(fd, found)) return nullptr;
    mode = found.mode;
    if (const MountEntry* entry = target_.mounts().by_id(found.mount)) return entry;
    // It is newer than what we have read. Mounts that never stop changing are not read for ever.
    if (refreshes_++ >= kMostRefreshes) return nullptr;
    return target_.refresh() ? target_.mounts().by_id(found.mount) : nullptr;
  }

  void note(const std::string& path, FileState state, const std::string& reason = "") {
    report_.files.push_back({path, state, reason});
  }

  /// Opens directory and leaf of a place; false when it is not there.
  bool open_place(const std::string& path, Step& step) {
    const size_t slash = path.rfind('/');
    step.name = path.substr(slash + 1);
    step.parent = target_.open_path(path.substr(0, slash), O_DIRECTORY);
    if (step.parent) step.leaf = target_.open_leaf(step.parent, step.name);
    if (step.leaf) return true;
    const int code = errno;
    step.absent = step.parent && code == ENOENT;
    if (code != ENOENT && code != ENOTDIR) note(path, FileState::kFailed, why_not_opened(code));
    return false;
  }

  static std::string why_not_opened(int code) {
    if (code == ELOOP) return "there is a symlink";
    if (code == EXDEV) return "something else is mounted on the way";
    if (code == EAGAIN) return "on a file system that the container may serve itself";
    return explain(code);
  }

  static bool is_on(const Fd& fd, bool in_proc) {
    struct statfs fs {};
    return ::fstatfs(fd.get(), &fs) == 0 &&
           fs.f_type == static_cast<decltype(fs.f_type)>(in_proc ? PROC_SUPER_MAGIC : SYSFS_MAGIC);
  }

  void plan_root(const std::string& root, const std::vector<TreeFile>& files) {
    std::string covered;  // directory whose files need nothing more
    std::string looked_at;
    for (const auto& file : files) {
      const std::string directory = file.path.substr(0, file.path.rfind('/'));
      const std::string source = file.source.substr(0, file.source.find_last_of('/') + 1);
      if (directory != looked_at && plan_cover(root, {directory, true, file.polled, source})) {
        covered = directory;
      }
      looked_at = directory;
      if (directory != covered) plan(root, file);
    }
  }

  /// True when a root has files of an LXCFS that are to stay.
  bool has_lxcfs(const std::string& root) const {
    const auto& all = target_.mounts().all();
    return std::any_of(all.begin(), all.end(), [&](const MountEntry& mount) {
      return is_lxcfs(mount) && !is_ours(mount) && is_below(root, mount.path);
    });
  }

  static bool is_below(const std::string& root, const std::string& path) {
    return starts_with(path, root + "/proc/") || starts_with(path, root + "/sys/devices/system/") ||
           path == root + "/" + std::string(kLogNode);
  }

  /// A container has the files of one of the two, never of both: their figures
  /// do not fit each other. Where an LXCFS's stay, ours go, and no more come.
  void plan_lxcfs(const std::string& root, const std::vector<TreeFile>& files) {
    const auto& mounts = target_.mounts().all();
    std::vector<std::string> given_up;
    for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
      if (!is_ours(*mount) || is_others(*mount) || !is_below(root, mount->path)) continue;
      given_up.push_back(mount->path);
      if (options_.action == Action::kCheck) {
        note(mount->path, FileState::kMissing);
      } else {
        plan_unmount(*mount);
      }
    }
    for (const auto& file : files) {
      const std::string path = root + "/" + file.path;
      if (std::find(given_up.begin(), given_up.end(), path) != given_up.end()) continue;
      note(path, FileState::kLeft, "it has an LXCFS's files");
    }
  }

  /// LXCFS's hook binds all that it finds in proc/, whole directories too. True
  /// when one is there, and its files are settled with it.
  bool plan_cover(const std::string& root, const TreeFile& directory) {
    const MountEntry* top = target_.mounts().at(root + "/" + directory.path);
    if (top == nullptr) return false;
    const Top seen = classify(*top, directory);
    if (seen == Top::kForeign || seen == Top::kShadow) return false;
    Step step;
    step.top = top->id;
    if (open_place(top->path, step)) decide(top->path, directory, seen, std::move(step));
    return true;
  }

  /// Mounts that are about to be hidden by a whole directory, and would come to
  /// light again.
  void plan_hidden(const std::string& directory) {
    const auto& mounts = target_.mounts().all();
    for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
      if (!starts_with(mount->path, directory + "/")) continue;
      const Top seen = classify(*mount, {});
      if (seen != Top::kStale && (seen != Top::kLxcfs || !options_.replace_lxcfs)) continue;
      plan_unmount(*mount, FileState::kReplaced);
    }
  }

  void plan(const std::string& root, const TreeFile& file) {
    if (is_skipped(options_, file.path)) return;
    const std::string path = root + "/" + file.path;
    if (is_masked(file.path)) return note(path, FileState::kLeft, "its configuration masks it");
    if (is_left(options_, path)) return;
    if (file.path == kLogNode) return plan_log_node(root, path, file);
    const bool in_proc = starts_with(file.path, "proc/");
    Step step;
    if (!open_place(path, step)) return;
    unsigned mode = 0;
    const MountEntry* below = mount_of(step.parent.get(), mode);
    if (below == nullptr || below->type != (in_proc ? "proc" : "sysfs") ||
        !is_on(step.parent, in_proc)) {
      return note(path, FileState::kFailed, in_proc ? "not on a procfs" : "not on a sysfs");
    }
    if (is_shared_with_host(*below)) {
      return note(path, FileState::kFailed, "the host would see it too");
    }
    const uint64_t parent_id = below->id;
    const MountEntry* top = mount_of(step.leaf.get(), mode);
    if (top == nullptr) return note(path, FileState::kFailed, "its mounts change");
    step.top = top->id;
    const Top seen = top->id == parent_id ? Top::kKernel : classify(*top, file);
    const bool fits = mode == (file.directory ? S_IFDIR : S_IFREG);
    if (!fits && seen != Top::kForeign) {
      return note(path, FileState::kFailed, "of another type");
    }
    if (file.directory && !plan_below(path, file, seen, parent_id, step)) return;
    if (seen == Top::kLxcfs && options_.replace_lxcfs && plan_uncover(path, file, step)) return;
    decide(path, file, seen, std::move(step));
    const bool covers = seen == Top::kKernel && options_.action == Action::kAttach;
    if (file.directory && covers) plan_hidden(path);
  }

  /// Over the kernel's log in the container's own /dev, or where there is none.
  void plan_log_node(const std::string& root, const std::string& path, const TreeFile& file) {
    const MountEntry* dev = target_.mounts().at(root + "/dev");
    if (dev == nullptr || (dev->type != "tmpfs" && dev->type != "devtmpfs")) return;
    if (is_shared_with_host(*dev)) {
      return note(path, FileState::kFailed, "the host would see it too");
    }
    const uint64_t dev_id = dev->id;
    Step step;
    if (!open_place(path, step)) {
      if (step.absent) plan_new_log_node(path, file, *dev, std::move(step));
      return;
    }
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

  void plan_new_log_node(const std::string& path, const TreeFile& file, const MountEntry& dev,
                         Step step) {
    if (dev.type != "tmpfs" || host_.has_device(dev.device)) {
      return note(path, FileState::kLeft, "its /dev is not its own");
    }
    if (!is_writable(step.parent)) {
      return note(path, FileState::kLeft, "its /dev is read-only");
    }
    decide(path, file, Top::kKernel, std::move(step));
  }

  /// An LXCFS's files over one of ours that serves: true when it is enough to
  /// take them away.
  bool plan_uncover(const std::string& path, const TreeFile& file, const Step& top) {
    std::vector<uint64_t> above;
    const MountEntry* at = target_.mounts().by_id(top.top);
    while (at != nullptr && at->path == path && is_lxcfs(*at) && !is_ours(*at)) {
      above.push_back(at->id);
      at = target_.mounts().by_id(at->parent);
    }
    if (at == nullptr || at->path != path || classify(*at, file) != Top::kOurs) return false;
    if (options_.action == Action::kCheck) return note(path, FileState::kMissing), true;
    for (const uint64_t mount : above) {
      Step step;
      step.parent = duplicate(top.parent);
      step.name = top.name;
      step.top = mount;
      step.unmount = true;
      note(path, FileState::kHealed);
      step.report = report_.files.size() - 1;
      steps_.push_back(std::move(step));
    }
    return true;
  }

  /// What is mounted below a directory, or will be, when it is or gets covered
  /// by us. False with the reason noted: it cannot be kept as it is.
  bool plan_below(const std::string& path, const TreeFile& file, Top seen, uint64_t mount,
                  Step& step) {
    if (seen == Top::kForeign || seen == Top::kOther) return true;
    if (seen == Top::kLxcfs && !options_.replace_lxcfs) return true;
    Below below;
    below.mount = mount;
    const auto leave = [this](const MountEntry& m) { return is_ours(m) || is_lxcfs(m); };
    below.places = mounts_below(target_.mounts(), path, mount, leave);
    if (below.places.size() > kMaxBelow) {
      note(path, FileState::kFailed, "more is mounted below it than can be kept");
      return false;
    }
    const std::string start = "/" + file.path + "/";
    for (const auto& masked : options_.masked) {
      if (starts_with(masked, start)) below.masks.push_back(masked.substr(start.size()));
    }
    if (seen == Top::kKernel) below.directory = duplicate(step.leaf);
    if (seen == Top::kOurs) {
      plan_lost(path, below, step);
    } else if (!below.places.empty() || !below.masks.empty()) {
      step.below = std::move(below);
    }
    return true;
  }

  /// The kernel takes mounts off a name that a file system says is gone, as a
  /// CPU that is not shown any more: what is still there below the cover comes
  /// back when the name does.
  void plan_lost(const std::string& path, const Below& below, const Step& cover) {
    for (const auto& place : below.places) {
      Step found;
      unsigned mode = 0;
      const std::string at = path + "/" + place;
      if (!open_place(at, found)) continue;
      const MountEntry* top = mount_of(found.leaf.get(), mode);
      if (top == nullptr || top->id != cover.top) continue;
      note(at, options_.action == Action::kCheck ? FileState::kMissing : FileState::kHealed);
      if (options_.action == Action::kCheck) continue;
      lost_.push_back({report_.files.size() - 1, duplicate(cover.parent), std::move(found.leaf),
                       cover.name, place});
    }
  }

  /// Has a procfs and a sysfs that were fully visible stay so.
  void plan_clean(const std::string& root) {
    if (options_.action != Action::kAttach || has_clean(root)) return;
    // What the runtime is still to mask would be seen in the copy.
    if (options_.hook == Hook::kNone && !target_.runs_own_program()) return;
    Clean clean;
    clean.root = root;
    clean.proc = is_spoiled(root, "/proc", "proc");
    clean.sysfs = is_spoiled(root, "/sys", "sysfs");
    if (clean.proc || clean.sysfs) clean_.push_back(std::move(clean));
  }

  /// True when the file system there is fully visible but for what is ours.
  bool is_spoiled(const std::string& root, const std::string& at, const std::string& type) const {
    const MountTable& mounts = target_.mounts();
    const std::string path = root + at;
    const MountEntry* own = mounts.at(path);
    const auto ours = [this](const MountEntry& m) { return is_ours(m); };
    const bool is_sealed =
        std::any_of(options_.sealed.begin(), options_.sealed.end(),
                    [&](const std::string& sealed) { return starts_with(sealed, at + "/"); });
    return own != nullptr && own->type == type && !is_sealed && covers_any(path) &&
           is_visible(mounts, *own, ours);
  }

  /// True when something of ours is, or will be, mounted below the path.
  bool covers_any(const std::string& path) const {
    return std::any_of(report_.files.begin(), report_.files.end(), [&](const FileReport& file) {
      return starts_with(file.path, path + "/") && file.state != FileState::kFailed &&
             file.state != FileState::kLeft;
    });
  }

  bool has_clean(const std::string& root) const {
    const auto& all = target_.mounts().all();
    return std::any_of(all.begin(), all.end(), [&](const MountEntry& mount) {
      return starts_with(mount.path, root + "/proc/") && is_clean_copy(mount);
    });
  }

  void decide(const std::string& path, const TreeFile& file, Top seen, Step step) {
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
    step.mount = clone_mount(file.polled ? polled_tree_.get() : tree_.get(),
                             file.source.empty() ? file.path : file.source);
    if (!step.mount) return note(path, FileState::kFailed, explain(errno));
    note(path, done);
    step.report = report_.files.size() - 1;
    steps_.push_back(std::move(step));
  }

  void plan_unmount(const MountEntry& mount, FileState done = FileState::kDetached) {
    Step step;
    if (!open_place(mount.path, step)) return;
    note(mount.path, done);
    step.report = report_.files.size() - 1;
    step.top = mount.id;
    step.unmount = true;
    steps_.push_back(std::move(step));
  }

  void perform() {
    if (steps_.empty() && lost_.empty() && clean_.empty()) return;
    const auto entered = target_.enter();
    for (const auto& clean : clean_) {
      if (!entered) break;
      const Fd proc = target_.open_path(clean.root + "/proc", O_DIRECTORY);
      const Fd sysfs = target_.open_path(clean.root + "/sys", O_DIRECTORY);
      const int code = keep_clean(proc, sysfs, clean.proc, clean.sysfs);
      if (code == 0) continue;
      note(clean.root + "/proc/" + kCleanPlace, FileState::kFailed,
           "user namespaces will mount no proc: " + explain(code));
    }
    for (auto& step : steps_) {
      int code = entered ? 0 : entered.error().code;
      if (code == 0) code = step.unmount ? unmount_step(step) : mount_step(step);
      if (code != 0) fail(step.report, entered ? explain(code) : entered.error().path);
      // Without a mount it is a file that keeps what root writes to it.
      const bool bare = step.unmount || (step.absent && code != 0);
      if (entered && bare && is_log_node(report_.files[step.report].path)) {
        remove_log_place(step.parent, step.name);
      }
    }
    for (auto& lost : lost_) {
      std::vector<Carried> copies;
      int code = entered ? copy_below(lost.parent, lost.name, {lost.place}, target_.own_directory(),
                                      copies)
                         : entered.error().code;
      if (code == 0 && !copies.empty())
        code = errno_of(attach_mount(copies[0].mount, lost.at, false));
      if (code != 0) fail(lost.report, explain(code));
    }
  }

  void fail(size_t report, std::string reason) {
    report_.files[report].state = FileState::kFailed;
    report_.files[report].reason = std::move(reason);
  }

  int mount_step(Step& step) {
    if (step.absent) {
      const int made = make_log_place(step.parent, step.name);
      if (made != 0) return made;
      step.leaf = target_.open_leaf(step.parent, step.name);
      if (!step.leaf) return errno;
    }
    const int kept = step.below ? keep_below(step) : 0;
    if (kept != 0) return kept;
    const int code = step.beneath && attach_mount(step.mount, step.leaf, true) == 0
                         ? unmount_top(step)
                         : errno_of(attach_mount(step.mount, step.leaf, false));
    if (code != 0 || !step.below || !step.below->directory) return code;
    const Below& below = *step.below;
    settle(below.directory, below.places, below.mount);
    // The runtime masks what it finds, and that is the cover by now: the
    // kernel's own is as before when the cover is gone, and so are CPUs that
    // are shown some other day.
    for (const auto& place : below.masks) {
      const int masked = mask(below.directory, place, below.mount);
      if (masked != 0) return masked;
    }
    return 0;
  }

  /// Has what is mounted below a directory stand below the cover that is to
  /// come, too.
  int keep_below(Step& step) const {
    const Below& below = *step.below;
    if (below.places.empty()) return 0;
    std::vector<Carried> copies;
    const int own = target_.own_directory();
    const int code = copy_below(step.parent, step.name, below.places, own, copies);
    return code == 0 ? carry(copies, step.mount, own) : code;
  }

  static int errno_of(int status) { return status == 0 ? 0 : errno; }

  /// Takes `step.top` away. What is mounted over it, as an LXCFS's file, stays:
  /// its place is taken by a copy of it below ours, and from Linux 6.5 on no
  /// reader sees the node's figures in between.
  int unmount_step(const Step& step) {
    const int code = unmount_top(step);
    if (code != EBUSY) return code;
    const Fd above = target_.open_leaf(step.parent, step.name);
    PathIdentity over, seen;
    if (!above || !identify(above.get(), over)) return errno;
    const Fd copy = clone_mount_at(above.get(), true);
    if (!copy) return errno;
    Step cover;
    cover.parent = duplicate(step.parent);
    cover.name = step.name;
    cover.top = over.mount;
    const int uncovered = unmount_top(cover);
    if (uncovered != 0) return uncovered;
    const Fd leaf = target_.open_leaf(step.parent, step.name);
    if (!leaf || !identify(leaf.get(), seen)) return errno;
    const bool ours = seen.mount == step.top;
    const bool beneath = ours && attach_mount(copy, leaf, true) == 0;
    const int gone = ours ? unmount_top(step) : EBUSY;
    if (beneath) return gone;
    const Fd place = target_.open_leaf(step.parent, step.name);
    if (!place || attach_mount(copy, place, false) != 0) return errno;
    return gone;
  }

  /// Takes `step.top` away, if it still is what is seen there.
  int unmount_top(const Step& step) {
    const Fd leaf = target_.open_leaf(step.parent, step.name);
    PathIdentity seen;
    if (!leaf || !identify(leaf.get(), seen)) return errno;
    if (seen.mount != step.top) return EBUSY;
    if (target_.is_of_kernel(step.parent)) {
      if (::fchdir(step.parent.get()) != 0) return errno;
      return ::umount2(step.name.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 ? 0 : errno;
    }
    // By its descriptor, which leads there without asking what the directory is on.
    const std::string link = "fd/" + std::to_string(leaf.get());
    if (::fchdir(target_.own_directory()) != 0) return errno;
    return ::umount2(link.c_str(), MNT_DETACH) == 0 ? 0 : errno;
  }

  const Options& options_;
  Report& report_;
  Target& target_;
  const MountTable& host_;
  std::string device_;         ///< of the live mount; empty: there is none
  std::string polled_device_;  ///< the same of the mount of files that are polled
  Fd tree_, polled_tree_;
  std::vector<Step> steps_;
  std::vector<Lost> lost_;
  std::vector<Clean> clean_;
  int refreshes_ = 0;
};

std::string why_not_known(const Error& error) {
  return error.code == ESRCH ? "there is no such process" : explain(error.code);
}

std::string why_not_seen(const Error& error) {
  if (error.code == ESRCH) return "it has ended";
  if (error.code == E2BIG) return "too much is mounted on its /proc and /sys";
  if (error.code == EAGAIN) {
    return "its root is on a file system that it may serve itself: " + error.path;
  }
  return error.path + ": " + explain(error.code);
}

}  // namespace

Report run_attach(const Options& options) {
  Report report;
  report.pid = options.pid;
  report.name = options.name;
  const auto fail = [&report](std::string why) {
    report.problems.push_back(std::move(why));
    return report;
  };
  const Fd turn = options.tenant == 0 ? Fd() : lock_tenant(options.tenant, report.busy);
  if (report.busy) return fail("another run for its tenant has not ended");
  std::vector<std::string> places{options.mountpoint};
  if (!options.polled.empty()) places.push_back(options.polled);
  auto own = Target::own({std::move(places), true});
  if (!own) return fail("/proc: " + explain(own.error().code));
  // Hooks of some runtimes run in the container's mount namespace: the host's is that of its init.
  const auto host = Target::open(1, nullptr);
  auto target = Target::open(options.pid, &own.value().mounts());
  if (!target) return fail(why_not_known(target.error()));
  if (host && target.value().in_namespace_of(host.value())) return fail("it is in no container");
  const Fd lock = lock_namespace(target.value().mount_namespace());
  // Whoever held the lock may have changed what is mounted.
  const auto seen = target.value().refresh();
  if (!seen) return fail(why_not_seen(seen.error()));
  Run run(options, report, target.value(), own.value().mounts());
  if (options.action == Action::kDetach) {
    run.detach();
  } else {
    run.attach();
  }
  return report;
}

}  // namespace vprocfs
