#include "klog/owners.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "base/affix.h"
#include "base/clock.h"
#include "base/clock_tick.h"
#include "source/cgroup_dir.h"
#include "source/parse.h"
#include "source/process.h"
#include "source/process_status.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxOwners = 10000;
// A look goes through all processes. On average looks are at least this far apart, but up to kBurst
// may follow at once, so that containers are found that have only just begun.
constexpr uint64_t kMinLookIntervalUs = 50'000, kBurst = 8;
// What an older look found is not enough.
constexpr uint64_t kMaxLookIntervalUs = 1'000'000;
/// How many nested containers get a record, the outermost first: they may be nested without end.
constexpr size_t kMaxEnclosing = 8;

std::vector<pid_t> numbers_of(int procfs_fd, pid_t pid) {
  std::vector<pid_t> out;
  const std::string text = read_file(procfs_fd, std::to_string(pid) + "/status").value_or({});
  for (const uint64_t number : status_numbers(text, "NSpid")) {
    if (number <= INT_MAX) out.push_back(static_cast<pid_t>(number));
  }
  return out;
}

}  // namespace

LogOwners::LogOwners(const CgroupMounts& mounts, const PromptResolver& resolver, int procfs_fd)
    : mounts_(mounts),
      resolver_(resolver),
      procfs_fd_(procfs_fd),
      own_namespace_(resolver.resolver().own().pid),
      census_(resolver, procfs_fd, kMaxOwners,
              {[this](Census::Discovered one) { add(std::move(one)); },
               [this](ContainerId id) { remove(id); }, [this](ContainerId id) { check(id); }}) {
  const auto own = read_cgroup_paths(procfs_fd, ::getpid());
  for (size_t i = 0; own && i < kPaths; ++i) {
    own_paths_[i] = path_of(own.value(), static_cast<Path>(i));
  }
}

void LogOwners::look(uint64_t now_us) {
  const bool too_often = next_look_us_ > now_us + kBurst * kMinLookIntervalUs;
  if (too_often || looked_us_ == now_us) return;
  next_look_us_ = std::max(next_look_us_, now_us) + kMinLookIntervalUs;
  // The record waits for this look, so what is known already is checked later: see check_some().
  census_.look(now_us, Census::Old::kLeave);
  looked_us_ = now_us;
  is_checked_ = false;
}

bool LogOwners::check_some(uint64_t now_us) {
  constexpr size_t kAtOnce = 32;
  const bool more = !is_checked_ && census_.check_old(now_us, kAtOnce);
  is_checked_ = !more;
  return more;
}

void LogOwners::add(Census::Discovered one) {
  auto owner = std::make_unique<LogOwner>();
  owner->description = std::move(one.description);
  owner->init = std::move(one.init);
  const auto numbers = numbers_of(procfs_fd_, owner->description.init);
  owner->depth = numbers.empty() ? 0 : numbers.size() - 1;
  add_paths(*owner);
  by_namespace_.emplace(owner->description.namespaces.pid, owner.get());
  const ContainerId id = owner->description.id;
  owners_[id] = std::move(owner);
}

void LogOwners::add_paths(LogOwner& owner) {
  owner.memory_path = own_path_of(owner.description, Path::kMemory);
  owner.pids_path = own_path_of(owner.description, Path::kPids);
  for (size_t i = 0; i < kPaths; ++i) {
    const std::string path = own_path_of(owner.description, static_cast<Path>(i));
    if (!path.empty()) by_path_[i][path] = &owner;
  }
}

void LogOwners::remove_paths(const LogOwner& owner) {
  for (size_t i = 0; i < kPaths; ++i) {
    const auto at = by_path_[i].find(own_path_of(owner.description, static_cast<Path>(i)));
    if (at != by_path_[i].end() && at->second == &owner) by_path_[i].erase(at);
  }
}

/// Records of its old cgroups that have not been read yet find nobody: others may be there by now.
void LogOwners::check(ContainerId id) {
  const auto it = owners_.find(id);
  if (it == owners_.end()) return;
  LogOwner& owner = *it->second;
  auto moved = moved_paths(procfs_fd_, owner.description, owner.description.paths);
  if (!moved) return;
  remove_paths(owner);
  owner.description.paths = std::move(*moved);
  add_paths(owner);
}

void LogOwners::remove(ContainerId id) {
  const auto it = owners_.find(id);
  if (it == owners_.end()) return;
  const LogOwner* gone = it->second.get();
  remove_paths(*gone);
  const auto range = by_namespace_.equal_range(gone->description.namespaces.pid);
  const auto at = std::find_if(range.first, range.second,
                               [gone](const auto& entry) { return entry.second == gone; });
  if (at != range.second) by_namespace_.erase(at);
  owners_.erase(it);
}

std::string LogOwners::path_of(const CgroupPaths& paths, Path which) const {
  if (which == Path::kUnified) return paths.v2;
  return paths.of(mounts_, which == Path::kMemory ? Controller::kMemory : Controller::kPids);
}

/// Empty if the container has no cgroup of its own in that hierarchy: on v1 it may have one in some
/// hierarchies only, and it must not get the records of all that is in the cgroups around it.
std::string LogOwners::own_path_of(const ContainerDescription& container, Path which) const {
  std::string path = path_of(container.paths, which);
  const bool is_above = path != container.cgroup && is_below(container.cgroup, path);
  if (is_above || is_around_us(which, path)) path.clear();
  return path;
}

const Hierarchy* LogOwners::hierarchy(Path which) const {
  if (which == Path::kUnified) return mounts_.v2();
  return mounts_.of(which == Path::kMemory ? Controller::kMemory : Controller::kPids);
}

LogOwners::Owners LogOwners::find(Path which, const std::string& path) const {
  const Map& map = by_path_[static_cast<size_t>(which)];
  Owners out;
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const auto it = map.find(path.substr(0, end));
    if (it != map.end() && out.size() < kMaxEnclosing) out.push_back(it->second);
    if (end == path.npos) return out;
  }
}

bool LogOwners::all_exist(const Owners& owners) const {
  return std::all_of(owners.begin(), owners.end(), [this](const LogOwner* owner) {
    const ContainerDescription& its = owner->description;
    return resolver_.exists(its.id, PromptResolver::payer_of(its.tenant_identity));
  });
}

LogOwners::Owners LogOwners::of_path(Path which, const std::string& path, uint64_t now_us) {
  if (path.empty()) return {};
  Owners found = find(which, path);
  const bool looked_in_it = which == looked_in_.which && path == looked_in_.path &&
                            now_us - looked_in_.at_us < kMaxLookIntervalUs;
  // One that has begun since has the path of one that has ended.
  if (!found.empty() && looked_in_it && all_exist(found)) return found;
  if (found.empty() && is_around_us(which, path)) return found;
  // Finds this container only, without waiting for a look at all others that are new. Those that
  // are known may be around it, and it may have begun since the last look.
  looked_in_ = {which, path, now_us};
  const bool is_known = look_in(which, path, now_us);
  // Also if it is not: those that have ended are dropped.
  found = find(which, path);
  if (!found.empty() && (is_known || now_us - looked_us_ < kMaxLookIntervalUs)) return found;
  look(now_us);
  return find(which, path);
}

/// Whether we are in this cgroup, so that no container is. When our own memory is at its limit and
/// the kernel ends the standby, we must need no more of it until that is gone, as a look would.
bool LogOwners::is_around_us(Path which, const std::string& path) const {
  const std::string& own = own_paths_[static_cast<size_t>(which)];
  return path.size() > 1 && starts_with(own, path) &&
         (own.size() == path.size() || own[path.size()] == '/');
}

Attempts::Payer LogOwners::payer_of(Path which, const std::string& path) const {
  const Owners known = find(which, path);
  if (known.empty()) return Attempts::stranger(std::hash<std::string>()(path));
  return PromptResolver::payer_of(known.front()->description.tenant_identity);
}

std::optional<std::string> LogOwners::read_in(Path which, const std::string& path,
                                              const char* name) const {
  using Text = std::optional<std::string>;
  const Hierarchy* tree = hierarchy(which);
  if (tree == nullptr) return std::nullopt;
  const auto read = [tree, path, name]() -> Text {
    const auto cgroup = CgroupDir::open(*tree, path);
    const Fd file(cgroup ? ::openat(cgroup.value()->fd(), name, O_RDONLY | O_CLOEXEC) : -1);
    char text[512];
    const ssize_t size = file ? ::read(file.get(), text, sizeof text) : 0;
    return size <= 0 ? Text() : Text(std::string(text, static_cast<size_t>(size)));
  };
  return resolver_.ask<Text>(payer_of(which, path), read).value_or(std::nullopt);
}

/// Looks at processes of this cgroup for the containers that they are in. False: there are none.
bool LogOwners::look_in(Path which, const std::string& path, uint64_t now_us) {
  constexpr int kMaxPidsTried = 16;
  const auto text = read_in(which, path, "cgroup.procs");
  if (!text) return false;
  std::string_view rest(*text);
  for (int i = 0; i < kMaxPidsTried; ++i) {
    const size_t end = rest.find('\n');
    const auto pid = end == rest.npos ? std::nullopt : parse_u64(rest.substr(0, end));
    if (!pid || *pid > INT_MAX) return false;
    rest.remove_prefix(end + 1);
    if (census_.look_at(static_cast<pid_t>(*pid), now_us)) return true;
  }
  return false;
}

std::optional<bool> LogOwners::had_kill(const std::string& memory_path) const {
  const Hierarchy* tree = hierarchy(Path::kMemory);
  if (tree == nullptr) return std::nullopt;
  const auto text =
      read_in(Path::kMemory, memory_path, tree->v2 ? "memory.events" : "memory.oom_control");
  if (!text) return std::nullopt;
  std::optional<bool> had;
  for_each_line(*text, [&had](std::string_view line) {
    if (take_word(line) != "oom_kill") return;
    if (const auto kills = parse_u64(take_word(line))) had = *kills != 0;
  });
  return had;
}

LogOwners::Owners LogOwners::of_process(const KnownProcess& process, uint64_t now_us) {
  // Of a process that is ending v1 hierarchies have only the root. cgroup2 still has its cgroup.
  Owners found;
  for (const Path which : {Path::kUnified, Path::kMemory, Path::kPids}) {
    const std::string path = path_of(process.cgroups, which);
    if (found.empty() && path.size() > 1) found = of_path(which, path, now_us);
  }
  if (found.empty()) {
    // If no known container has its own namespace, it may be in a new one.
    const LogOwner* owner = of_innermost(process);
    if (owner == nullptr) {
      look(now_us);
      owner = of_namespace(process);
    }
    if (owner != nullptr) found = find(Path::kMemory, owner->memory_path);
    if (owner != nullptr && found.empty()) found.push_back(owner);
  }
  // A process in a container's cgroup but not in its PID namespace does not belong to it.
  const auto outside = [&](const LogOwner* owner) { return !is_inside(process, *owner); };
  found.erase(std::remove_if(found.begin(), found.end(), outside), found.end());
  return found;
}

bool LogOwners::is_inside(const KnownProcess& process, const LogOwner& owner) {
  if (owner.depth == 0 || process.numbers.size() <= owner.depth) return false;
  const uint64_t there = process.namespaces[owner.depth];
  return there == 0 ? process.numbers.size() > owner.depth + 1
                    : there == owner.description.namespaces.pid;
}

/// The innermost container that has one of the process's PID namespaces for itself.
const LogOwner* LogOwners::of_namespace(const KnownProcess& process) const {
  for (size_t level = process.namespaces.size(); level-- > 1;) {
    const auto found = by_namespace_.find(process.namespaces[level]);
    if (found == by_namespace_.end()) continue;
    // Several containers share this namespace: which of them it was in is not known.
    return by_namespace_.count(process.namespaces[level]) == 1 ? found->second : nullptr;
  }
  return nullptr;
}

/// The container that has the process's own PID namespace for itself.
const LogOwner* LogOwners::of_innermost(const KnownProcess& process) const {
  // With more levels, the last one known is not its own.
  if (process.namespaces.empty() || process.namespaces.size() >= kExitLevels) {
    return nullptr;
  }
  const uint64_t own = process.namespaces.back();
  const auto found = by_namespace_.find(own);
  if (own == 0 || found == by_namespace_.end() || by_namespace_.count(own) != 1) return nullptr;
  return found->second;
}

PidHolders LogOwners::holders_at(pid_t pid, uint64_t at_us) const {
  auto former = ended(pid);
  const bool is_it = former && former->start_us <= at_us && at_us <= former->end_us;
  if (is_it && of_innermost(*former) != nullptr) return {std::nullopt, std::move(former)};
  return holders(pid);
}

/// The moment is exact, and so are the times of ended processes. A living process that began within
/// the same tick may have begun after the record, unless it is in the cgroup that printed it.
std::optional<KnownProcess> LogOwners::printer(pid_t pid, uint64_t at_us, uint64_t cgroup) const {
  const auto had_it = [at_us](const std::optional<KnownProcess>& one) {
    return one && one->start_us <= at_us && at_us <= one->end_us;
  };
  PidHolders found{std::nullopt, ended(pid)};
  if (had_it(found.ended) && found.ended->numbers.size() < kExitLevels) return found.ended;
  // Most records are printed by the host's own tasks; this finds them with one readlink(2).
  const uint64_t there = had_it(found.ended) ? 0 : read_pid_namespace(procfs_fd_, pid).value_or(0);
  if (there != 0 && there == own_namespace_) return std::nullopt;
  found = holders(pid);
  if (had_it(found.ended)) return may_be_same(found) ? merged(found) : found.ended;
  if (!found.living || found.living->start_us > at_us) return std::nullopt;
  const bool is_older = found.living->start_us + kClockTickUs <= at_us;
  return is_older || is_in_cgroup(*found.living, cgroup) ? found.living : std::nullopt;
}

/// Whether the process is in the cgroup with this id in the hierarchy of perf_event. Known only if
/// that is cgroup2. False for the root, which any process may be in.
bool LogOwners::is_in_cgroup(const KnownProcess& process, uint64_t cgroup) const {
  const Hierarchy* v2 = mounts_.v2();
  const std::string& path = process.cgroups.v2;
  if (cgroup == 0 || v2 == nullptr || path.size() < 2) return false;
  const std::string controllers = read_file(procfs_fd_, "cgroups").value_or({});
  bool is_of_v2 = false;
  for_each_line(controllers, [&](std::string_view line) {
    if (take_word(line) == "perf_event") is_of_v2 = parse_u64(take_word(line)).value_or(1) == 0;
  });
  const auto is_it = [v2, path, cgroup] {
    struct stat st {};
    return ::fstatat(v2->root.get(), path.c_str() + 1, &st, 0) == 0 && st.st_ino == cgroup;
  };
  return is_of_v2 && resolver_.ask<bool>(payer_of(Path::kUnified, path), is_it).value_or(false);
}

std::optional<KnownProcess> LogOwners::ended(pid_t pid) const {
  const auto task = exited_ ? exited_->find(pid) : std::nullopt;
  if (!task) return std::nullopt;
  KnownProcess out;
  out.start_us = task->start_ns / 1000;
  out.end_us = task->end_ns / 1000 + boottime_ahead().max_us;
  out.is_killed = (task->flags & kSignaled) != 0;
  for (size_t i = 0; i < kExitLevels && i <= task->level; ++i) {
    out.numbers.push_back(static_cast<pid_t>(task->numbers[i]));
    out.namespaces.push_back(task->namespaces[i]);
  }
  return out;
}

std::optional<KnownProcess> LogOwners::living(pid_t pid) const {
  KnownProcess out;
  const auto before = read_process_stat(procfs_fd_, pid);
  if (!before) return std::nullopt;
  out.start_us = before.value().start_ticks * kClockTickUs;
  out.numbers = numbers_of(procfs_fd_, pid);
  const uint64_t own = read_pid_namespace(procfs_fd_, pid).value_or(0);
  auto cgroups = read_cgroup_paths(procfs_fd_, pid);
  const auto after = read_process_stat(procfs_fd_, pid);
  // The start time is the same before and after, so all of this is about one process.
  if (!cgroups || !after || after.value().start_ticks != before.value().start_ticks ||
      out.numbers.empty()) {
    return std::nullopt;
  }
  out.is_killed = after.value().is_killed;
  out.namespaces.assign(out.numbers.size(), 0);
  out.namespaces.back() = own;
  out.cgroups = std::move(cgroups.value());
  return out;
}

}  // namespace vprocfs
