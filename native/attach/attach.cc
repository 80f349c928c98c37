#include "attach/attach.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attach/clean.h"
#include "attach/limits.h"
#include "attach/mount_owners.h"
#include "attach/planner.h"
#include "attach/steps.h"
#include "attach/target.h"
#include "attach/tree_files.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

/// The files of a tree by the settings, which are the same for all containers.
std::vector<TreeFile> configured_files(const Options& options, bool has_polled) {
  std::vector<TreeFile> files;
  for (TreeFile file : options.files) {
    if (file.polled && has_polled) file.source.clear();
    if (file.polled && !has_polled && file.source.empty()) continue;
    file.polled = file.polled && has_polled;
    files.push_back(std::move(file));
  }
  return files;
}

/// Whether a process is in our own namespace of a kind.
bool shares(pid_t pid, const std::string& kind) {
  struct stat own {
  }, its{};
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/" + kind;
  return ::stat(("/proc/self/ns/" + kind).c_str(), &own) == 0 && ::stat(path.c_str(), &its) == 0 &&
         own.st_ino == its.st_ino;
}

/// True for what a runtime has started with the node's PID namespace (docker run --pid=host).
bool has_host_pids(pid_t pid) { return shares(pid, "pid") && !shares(pid, "mnt"); }

/// Opens the container's tree. Nothing: a problem was noted, unless there is nothing to do.
std::optional<ContainerTree> open_tree(const Options& options, const MountOwners& owners,
                                       Report& report) {
  const auto problem = [&report](std::string text) { report.problems.push_back(std::move(text)); };
  ContainerTree tree;
  const Fd all(
      ::open((options.mountpoint + "/containers").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!all) {
    problem(options.mountpoint + ": " + explain(errno));
    return std::nullopt;
  }
  report.id = options.id;
  if (report.id.empty()) {
    const auto id = read_link(all.get(), "pid:" + std::to_string(options.pid));
    if (!id) {
      const bool is_none = id.error().code == ENOENT;
      // A runtime calls its hooks for all that it starts.
      if (is_none && options.hook != Hook::kNone && has_host_pids(options.pid)) return std::nullopt;
      problem(is_none ? "it is not in a container" : explain(id.error().code));
      return std::nullopt;
    }
    report.id = id.value();
  }
  // O_PATH descriptors: the server is not asked to open a directory.
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  tree.own = Fd(::openat(all.get(), report.id.c_str(), kFlags));
  if (owners.has_polled()) {
    const std::string polled = options.polled + "/containers/" + report.id;
    tree.polled = Fd(::open(polled.c_str(), kFlags));
  }
  auto files = !tree.own               ? Result<std::vector<TreeFile>>(Error{errno, ""})
               : options.files.empty() ? list_tree(tree.own.get(), tree.polled.get())
                                       : configured_files(options, bool(tree.polled));
  if (files) {
    tree.id = report.id;
    tree.files = std::move(files.value());
    return tree;
  }
  problem(files.error().code == ENOENT ? "the container is gone" : explain(files.error().code));
  return std::nullopt;
}

std::string why_not_found(const Error& error) {
  return error.code == ESRCH ? "there is no such process" : explain(error.code);
}

std::string why_not_read(const Error& error) {
  if (error.code == ESRCH) return "it has ended";
  if (error.code == E2BIG) return "too many mounts on its /proc and /sys";
  if (error.code == EAGAIN) {
    return "its root is on a file system that it may serve itself: " + error.path;
  }
  return error.path + ": " + explain(error.code);
}

/// True if it has files of a vprocfs that ours replace. A container that has none was left alone.
bool has_replaced(const MountOwners& owners, const Target& target) {
  const auto& all = target.mounts().all();
  return std::any_of(all.begin(), all.end(),
                     [&](const MountEntry& mount) { return owners.is_replaced(mount); });
}

/// True if the target is in the host's mount namespace. That is the one of the host's init: our own
/// may be the container's, because some runtimes run hooks there.
bool is_of_host(const Target& target) {
  struct stat host {};
  return ::stat("/proc/1/ns/mnt", &host) == 0 && host.st_ino == target.mount_namespace();
}

/// False: it has not come to what is mounted; the reason was noted, unless there is nothing to do.
bool attach_files(const Options& options, const MountOwners& owners, Target& target,
                  Report& report) {
  const auto problem = [&report](std::string text) {
    report.problems.push_back(std::move(text));
    return false;
  };
  if (!owners.has_vprocfs()) return problem("no vprocfs on " + options.mountpoint);
  if (!options.in_place_of.empty() && !has_replaced(owners, target)) return false;
  const auto tree = open_tree(options, owners, report);
  if (!tree) return false;
  if (target.ended()) return problem("it has ended");
  const auto root = target.root(options.hook == Hook::kOci);
  if (!root) return problem(target.why_no_root());
  Planner planner(options, owners, *tree, target, report);
  planner.plan_exposed();
  planner.attach(*root);
  if (options.action != Action::kCheck) perform(planner.plan(), target, report);
  return true;
}

void attach(const Options& options, const MountOwners& owners, Target& target, Report& report) {
  if (attach_files(options, owners, target, report) || options.action == Action::kCheck) return;
  // Services without a /proc are restricted most of all.
  const ContainerTree none;
  Planner planner(options, owners, none, target, report);
  planner.plan_exposed();
  perform(planner.plan(), target, report);
}

void detach(const Options& options, const MountOwners& owners, Target& target, Report& report) {
  const ContainerTree none;
  Planner planner(options, owners, none, target, report);
  planner.detach();
  perform(planner.plan(), target, report);
  if (options.only_logs) return;
  // The clean copies, which covers of ours may have hidden until now; the topmost first.
  const auto is_clean = [](const MountEntry& mount) {
    return is_clean_copy(mount) || is_clean_base(mount);
  };
  const auto& mounts = target.mounts().all();
  if (std::none_of(mounts.begin(), mounts.end(), is_clean)) return;
  if (!target.enter() || !target.refresh()) return;
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    if (!is_clean(*mount)) continue;
    Step step;
    step.top = mount->id;
    if (planner.open_place(mount->path, step)) unmount_top(step);
  }
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
  places.insert(places.end(), options.in_place_of.begin(), options.in_place_of.end());
  const auto own = MountTable::read(AT_FDCWD, "/proc/self/mountinfo", {std::move(places), true});
  if (!own) return fail("/proc: " + explain(own.error().code));
  auto target = Target::open(options.pid, own.value());
  if (!target) return fail(why_not_found(target.error()));
  if (is_of_host(target.value())) return fail("it is not in a container");
  const Fd lock = lock_namespace(target.value().mount_namespace());
  // Read under the lock: its last holder may have changed what is mounted.
  const auto seen = target.value().refresh();
  if (!seen) return fail(why_not_read(seen.error()));
  const MountOwners owners(options, own.value());
  if (options.action == Action::kDetach) {
    detach(options, owners, target.value(), report);
  } else {
    attach(options, owners, target.value(), report);
  }
  return report;
}

}  // namespace vprocfs
