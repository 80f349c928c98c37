// Whole directories that are covered, what is mounted below them, and what containers within may
// still mount.

#include <algorithm>
#include <utility>

#include "attach/below.h"
#include "attach/clean.h"
#include "attach/kernel.h"
#include "attach/planner.h"
#include "base/affix.h"

namespace vprocfs {

void Planner::plan_root(const std::string& root) {
  std::string covered;  // directory whose files need nothing more
  std::string looked_at;
  for (const auto& file : tree_.files) {
    const std::string directory = file.path.substr(0, file.path.rfind('/'));
    const std::string source = file.source.substr(0, file.source.find_last_of('/') + 1);
    if (directory != looked_at && plan_cover(root, {directory, true, file.polled, source})) {
      covered = directory;
    }
    looked_at = directory;
    if (directory != covered) plan_file(root, file);
  }
}

bool Planner::plan_cover(const std::string& root, const TreeFile& directory) {
  const MountEntry* top = target_.mounts().at(root + "/" + directory.path);
  if (top == nullptr) return false;
  const Top seen = classify(*top, directory);
  if (seen == Top::kForeign || seen == Top::kShadow) return false;
  if (is_left(options_, top->path)) return true;
  Step step;
  step.top = top->id;
  if (open_place(top->path, step)) decide(top->path, directory, seen, std::move(step));
  return true;
}

void Planner::plan_hidden(const std::string& directory) {
  const auto& mounts = target_.mounts().all();
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    if (!starts_with(mount->path, directory + "/") || is_left(options_, mount->path)) continue;
    const Top seen = classify(*mount, {});
    if (seen != Top::kStale && (seen != Top::kLxcfs || !options_.replace_lxcfs)) continue;
    plan_unmount(*mount, FileState::kReplaced);
  }
}

bool Planner::plan_uncover(const std::string& path, const TreeFile& file, const Step& top) {
  std::vector<uint64_t> above;
  const MountEntry* at = target_.mounts().by_id(top.top);
  while (at != nullptr && at->path == path && owners_.counts_as_lxcfs(*at)) {
    above.push_back(at->id);
    at = target_.mounts().by_id(at->parent);
  }
  if (at == nullptr || at->path != path || classify(*at, file) != Top::kOurs) return false;
  if (options_.action == Action::kCheck) return note(path, FileState::kMissing), true;
  for (const uint64_t mount : above) {
    Step step;
    step.parent = top.parent;
    step.name = top.name;
    step.top = mount;
    step.unmount = true;
    note(path, FileState::kHealed);
    step.report = report_.files.size() - 1;
    plan_.steps.push_back(std::move(step));
  }
  return true;
}

bool Planner::plan_below(const std::string& path, const TreeFile& file, Top seen, uint64_t mount,
                         Step& step) {
  if (seen == Top::kForeign || seen == Top::kOther) return true;
  if (seen == Top::kLxcfs && !options_.replace_lxcfs) return true;
  CoveredMounts covered;
  covered.mount = mount;
  const auto leave = [this](const MountEntry& m) {
    return owners_.is_ours(m) || owners_.counts_as_lxcfs(m);
  };
  covered.places = mounts_below(target_.mounts(), path, mount, leave);
  if (covered.places.size() > kMaxBelow) {
    note(path, FileState::kFailed, "too many mounts below it to preserve");
    return false;
  }
  const std::string start = "/" + file.path + "/";
  for (const auto& masked : options_.masked) {
    if (starts_with(masked, start)) covered.masks.push_back(masked.substr(start.size()));
  }
  if (seen == Top::kKernel) covered.directory = duplicate(step.leaf);
  if (seen == Top::kOurs) {
    plan_lost(path, covered, step);
  } else if (!covered.places.empty() || !covered.masks.empty()) {
    step.covered = std::move(covered);
  }
  return true;
}

void Planner::plan_lost(const std::string& path, const CoveredMounts& covered, const Step& cover) {
  for (const auto& place : covered.places) {
    Step found;
    unsigned mode = 0;
    const std::string at = path + "/" + place;
    if (is_left(options_, at) || !open_place(at, found)) continue;
    const MountEntry* top = mount_of(found.leaf.get(), mode);
    if (top == nullptr || top->id != cover.top) continue;
    note(at, options_.action == Action::kCheck ? FileState::kMissing : FileState::kHealed);
    if (options_.action == Action::kCheck) continue;
    plan_.lost.push_back(
        {report_.files.size() - 1, cover.parent, std::move(found.leaf), cover.name, place});
  }
}

void Planner::plan_exposed() {
  const MountTable& mounts = target_.mounts();
  // What is mounted in a chroot stays: whoever builds it unmounts it.
  const auto is_here = [](const MountEntry& mount) {
    const bool in_tree =
        starts_with(mount.path, "/sys/bus/") || starts_with(mount.path, "/proc/tty/");
    return in_tree && is_clean_copy(mount);
  };
  const bool exposed = std::any_of(
      mounts.all().begin(), mounts.all().end(),
      [&](const MountEntry& mount) { return is_here(mount) && is_exposed(mounts, mount); });
  if (!exposed) return;
  // All of them, because one is on the other. Those that are still of use are mounted again.
  for (auto mount = mounts.all().rbegin(); mount != mounts.all().rend(); ++mount) {
    if (!is_here(*mount)) continue;
    ExposedCopy copy;
    copy.path = mount->path;
    copy.step.top = mount->id;
    if (open_place(mount->path, copy.step)) plan_.exposed.push_back(std::move(copy));
  }
}

void Planner::plan_clean(const std::string& root) {
  if (options_.action != Action::kAttach || !options_.copies || has_clean(root)) return;
  // What the runtime is still to mask would be seen in the copy.
  if (options_.hook == Hook::kNone && !target_.runs_own_program()) return;
  const MountEntry* sysfs = target_.mounts().at(root + "/sys");
  if (sysfs == nullptr || sysfs->type != "sysfs" || sysfs->root != "/") return;
  if (owners_.is_shared_with_host(*sysfs)) return;
  CleanRoot clean;
  clean.root = root;
  clean.proc = covers_any(root + "/proc") && was_visible(root, "/proc", "proc");
  // The copies themselves hide something of it, too.
  clean.sysfs = (clean.proc || covers_any(root + "/sys")) && was_visible(root, "/sys", "sysfs");
  // Not only the topmost mount there: a copy that is about to go may be on it.
  const auto& all = target_.mounts().all();
  clean.has_base = std::any_of(all.begin(), all.end(), [&](const MountEntry& mount) {
    return mount.path == root + "/sys/" + kCleanPlace && is_clean_base(mount) && mount.peers == 0;
  });
  if (clean.proc || clean.sysfs) plan_.clean.push_back(std::move(clean));
}

bool Planner::was_visible(const std::string& root, const std::string& at,
                          const std::string& type) const {
  const MountTable& mounts = target_.mounts();
  const MountEntry* own = mounts.at(root + at);
  const auto ours = [this](const MountEntry& m) { return owners_.is_ours(m); };
  const bool is_read_only =
      std::any_of(options_.read_only_paths.begin(), options_.read_only_paths.end(),
                  [&](const std::string& place) { return starts_with(place, at + "/"); });
  return own != nullptr && own->type == type && !is_read_only && is_visible(mounts, *own, ours);
}

bool Planner::covers_any(const std::string& path) const {
  return std::any_of(report_.files.begin(), report_.files.end(), [&](const FileReport& file) {
    return starts_with(file.path, path + "/") && file.state != FileState::kFailed &&
           file.state != FileState::kLeft;
  });
}

bool Planner::has_clean(const std::string& root) const {
  // Those that are there are unmounted first.
  if (root.empty() && !plan_.exposed.empty()) return false;
  const auto& all = target_.mounts().all();
  return std::any_of(all.begin(), all.end(), [&](const MountEntry& mount) {
    return starts_with(mount.path, root + "/sys/" + kCleanPlace) && is_clean_copy(mount);
  });
}

}  // namespace vprocfs
