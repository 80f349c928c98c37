#include "attach/steps.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "attach/below.h"
#include "attach/kernel.h"
#include "attach/log_node.h"

namespace vprocfs {
namespace {

int errno_of(int status) { return status == 0 ? 0 : errno; }

/// Copies the mounts below a directory to the same places below its cover, before that is attached.
int keep_below(Step& step) {
  const CoveredMounts& covered = *step.covered;
  if (covered.places.empty()) return 0;
  std::vector<MountCopy> copies;
  const int code = copy_below(step.parent->fd, step.name, covered.places, copies);
  return code == 0 ? place_copies(copies, step.mount) : code;
}

int mount_step(Step& step) {
  if (step.absent) {
    const int made = make_log_place(step.parent->fd, step.name);
    if (made != 0) return made;
    step.leaf = Target::open_leaf(*step.parent, step.name);
    if (!step.leaf) return errno;
  }
  const int kept = step.covered ? keep_below(step) : 0;
  if (kept != 0) return kept;
  const int code = step.beneath && attach_mount(step.mount, step.leaf, true) == 0
                       ? unmount_top(step)
                       : errno_of(attach_mount(step.mount, step.leaf, false));
  if (code != 0 || !step.covered || !step.covered->directory) return code;
  const CoveredMounts& covered = *step.covered;
  move_behind_cover(covered.directory, covered.places, covered.mount);
  // The runtime is about to mask places, and will find only those of the cover. Masks the kernel's
  // own too, so that they are masked when the cover is gone, as are those of CPUs that are not
  // shown yet.
  for (const auto& place : covered.masks) {
    const int masked = mask(covered.directory, place, covered.mount);
    if (masked != 0) return masked;
  }
  return 0;
}

/// Unmounts `step.top`. If something is mounted over it, such as an LXCFS's file, that is replaced
/// by its copy below ours first. From Linux 6.5 on no reader sees the node's figures in between.
int unmount_step(const Step& step) {
  const int code = unmount_top(step);
  if (code != EBUSY) return code;
  const Fd above = Target::open_leaf(*step.parent, step.name);
  PathIdentity over, seen;
  if (!above || !identify(above.get(), over)) return errno;
  const Fd copy = clone_mount_at(above.get(), true);
  if (!copy) return errno;
  Step cover;
  cover.parent = step.parent;
  cover.name = step.name;
  cover.top = over.mount;
  const int uncovered = unmount_top(cover);
  if (uncovered != 0) return uncovered;
  const Fd leaf = Target::open_leaf(*step.parent, step.name);
  if (!leaf || !identify(leaf.get(), seen)) return errno;
  const bool ours = seen.mount == step.top;
  const bool beneath = ours && attach_mount(copy, leaf, true) == 0;
  const int gone = ours ? unmount_top(step) : EBUSY;
  if (beneath) return gone;
  const Fd place = Target::open_leaf(*step.parent, step.name);
  if (!place || attach_mount(copy, place, false) != 0) return errno;
  return gone;
}

void fail(FileReport& file, std::string reason) {
  file.state = FileState::kFailed;
  file.reason = std::move(reason);
}

void perform_clean(const Plan& plan, const Target& target, Report& report) {
  bool stays = false;
  for (const auto& copy : plan.exposed) {
    const int code = unmount_top(copy.step);
    stays = stays || code != 0;
    // Something hides it, or it is gone: nobody reaches it by path. Or it is locked, as all that
    // the mount namespace of a user namespace inherits: whoever made that could see it, too.
    if (code == 0 || code == EBUSY || code == ENOENT || code == EINVAL) continue;
    report.files.push_back(
        {copy.path, FileState::kFailed, "a copy without restrictions stays: " + explain(code)});
  }
  // The next visit would unmount the new ones again, and so on.
  if (stays) return;
  for (const auto& clean : plan.clean) {
    const Fd proc = target.open_path(clean.root + "/proc", O_DIRECTORY);
    const Fd sysfs = target.open_path(clean.root + "/sys", O_DIRECTORY);
    const int code = place_clean_copies(proc, sysfs, clean);
    if (code == 0) continue;
    report.files.push_back({clean.root + "/sys/" + kCleanPlace, FileState::kFailed,
                            "user namespaces will not be able to mount proc: " + explain(code)});
  }
}

}  // namespace

std::string explain(int code) { return std::strerror(code); }

int unmount_top(const Step& step) {
  const Fd leaf = Target::open_leaf(*step.parent, step.name);
  PathIdentity seen;
  if (!leaf || !identify(leaf.get(), seen)) return errno;
  if (seen.mount != step.top) return EBUSY;
  if (step.parent->of_kernel) {
    if (::fchdir(step.parent->fd.get()) != 0) return errno;
    return ::umount2(step.name.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 ? 0 : errno;
  }
  // By way of its descriptor: the file system of the directory is not asked.
  const std::string link = "fd/" + std::to_string(leaf.get());
  if (::fchdir(own_directory().get()) != 0) return errno;
  return ::umount2(link.c_str(), MNT_DETACH) == 0 ? 0 : errno;
}

void perform(Plan& plan, Target& target, Report& report) {
  if (plan.empty()) return;
  const auto entered = target.enter();
  if (entered) perform_clean(plan, target, report);
  for (auto& step : plan.steps) {
    int code = entered ? 0 : entered.error().code;
    if (code == 0) code = step.unmount ? unmount_step(step) : mount_step(step);
    if (code != 0) fail(report.files[step.report], entered ? explain(code) : entered.error().path);
    // Without a mount on it, it would be a file that stores what root writes to it.
    const bool bare = step.unmount || (step.absent && code != 0);
    if (entered && bare && is_log_node(report.files[step.report].path)) {
      remove_log_place(step.parent->fd, step.name);
    }
  }
  for (auto& lost : plan.lost) {
    std::vector<MountCopy> copies;
    int code = entered ? copy_below(lost.parent->fd, lost.name, {lost.place}, copies)
                       : entered.error().code;
    if (code == 0 && !copies.empty())
      code = errno_of(attach_mount(copies[0].mount, lost.at, false));
    if (code != 0) fail(report.files[lost.report], explain(code));
  }
}

}  // namespace vprocfs
