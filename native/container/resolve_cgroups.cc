// Which cgroups are a container's.

#include <fcntl.h>
#include <sched.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/affix.h"
#include "base/clock_tick.h"
#include "base/words.h"
#include "container/resolve.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

/// Removes `below` from the end of `path`: what is left is where `below` is rooted.
std::optional<std::string> strip_suffix(const std::string& path, const std::string& below) {
  if (below == "/") return path;
  if (!ends_with(path, below)) return std::nullopt;
  const std::string root = path.substr(0, path.size() - below.size());
  return root.empty() ? "/" : root;
}

/// Of a path relative to the root of a cgroup namespace. The name of a cgroup may begin with dots.
bool leads_out(const std::string& relative) {
  return relative == "/.." || starts_with(relative, "/../");
}

size_t depth_of(const std::string& path) {
  return path == "/" ? 0 : static_cast<size_t>(std::count(path.begin(), path.end(), '/'));
}

/// The root of a cgroup namespace, above `path` or that itself. How deep it lies, whoever is in it
/// moves as it likes: our own cgroup tells, as we see it and as it is seen from within.
std::optional<std::string> root_above(const std::string& path, const std::string& own,
                                      std::string own_within) {
  // As one who is in a namespace itself sees cgroups outside.
  if (leads_out(own) || leads_out(path)) return std::nullopt;
  size_t depth = depth_of(own);
  while (leads_out(own_within)) {
    own_within.erase(0, 3);
    ++depth;
  }
  if (own_within == "/") own_within.clear();
  const size_t down = depth_of(own_within);
  // Or we are moved ourselves.
  if (down > depth || depth - down > depth_of(path) || !ends_with(own, own_within)) {
    return std::nullopt;
  }
  size_t end = 0;
  for (depth -= down; depth > 0; --depth) end = path.find('/', end + 1);
  return end == 0 ? "/" : path.substr(0, end);
}

/// "/a" for "/a/b" and "/a/c"; "/" where there is nothing in common.
std::string common_ancestor(const std::string& a, const std::string& b) {
  std::string common = a;
  while (!is_below(b, common)) common.resize(common.rfind('/'));
  return common.empty() ? "/" : common;
}

/// The child of `ancestor` on the way down to `path`; empty where the ancestor is the root, and
/// where `path` leads no further.
std::string child_towards(const std::string& ancestor, const std::string& path) {
  if (ancestor == "/" || path == ancestor) return {};
  return path.substr(0, path.find('/', ancestor.size() + 1));
}

/// The cgroup that an init is in; of one that systemd has made for itself inside, the one above.
std::string without_scope(const std::string& path) {
  constexpr std::string_view kScope = "/init.scope";
  const bool has_scope = path.size() > kScope.size() && ends_with(path, kScope);
  return has_scope ? path.substr(0, path.size() - kScope.size()) : path;
}

}  // namespace

std::optional<CgroupPaths> moved_paths(int procfs_fd, const ContainerDescription& container,
                                       const CgroupPaths& known) {
  return CgroupMoveDetector(procfs_fd).find(container, known);
}

void CgroupMoveDetector::close() {
  file_.reset();
  said_.clear();
}

std::optional<CgroupPaths> CgroupMoveDetector::find(const ContainerDescription& container,
                                                    const CgroupPaths& known) {
  if (!known.has_v1()) return std::nullopt;
  if (!file_) {
    auto file = open_file(procfs_fd_, std::to_string(container.init) + "/cgroup");
    if (!file) return std::nullopt;
    file_ = std::move(file.value());
  }
  ReadBuffer buffer;
  if (buffer.read_record(file_.get()) != 0) {
    close();
    return std::nullopt;
  }
  if (buffer.text() == said_) return std::nullopt;
  said_.clear();
  std::string text(buffer.text());
  const auto at = CgroupPaths::parse(text);
  // An init elsewhere is another one's: PID namespaces are shared, and PIDs are reused.
  if (!at || !is_below(at.value().in(controller_of(container.id.hierarchy())), container.cgroup)) {
    return std::nullopt;
  }
  CgroupPaths now = known;
  bool moved = false;
  const auto look = [&](const std::string& of_init, std::string& path) {
    if (of_init.empty() || path.empty()) return;
    const bool is_own = !is_below(container.cgroup, path) || container.cgroup == path;
    if (is_own && is_below(of_init, path)) return;
    std::string found = without_scope(of_init);
    if (found == path) return;
    path = std::move(found);
    moved = true;
  };
  look(at.value().v2, now.v2);
  for (size_t i = 0; i < kControllerCount; ++i) look(at.value().v1[i], now.v1[i]);
  if (!moved) {
    said_ = std::move(text);
    return std::nullopt;
  }
  // After that: one that ends is told to be in the root of each hierarchy of v1.
  const auto init = read_process_stat(procfs_fd_, container.init);
  const bool is_it = init && !init.value().is_ending &&
                     init.value().start_ticks * kClockTickUs == container.init_start_us;
  return is_it ? std::optional<CgroupPaths>(std::move(now)) : std::nullopt;
}

Result<Resolver::NamespaceRoot> Resolver::namespace_root(pid_t pid) const {
  const std::string path = std::to_string(pid) + "/ns/cgroup";
  const Fd ns(::openat(procfs_fd_, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!ns) return Error{process_errno(errno), path};
  // The same file reads differently from within the namespace: relative to its root. The process
  // may move between two readings so that what they differ by is what it likes.
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto own = read_cgroup_paths(procfs_fd_, ::getpid());
    if (!own) return own.error();
    auto absolute = read_cgroup_paths(procfs_fd_, pid);
    if (!absolute) return absolute.error();
    if (::setns(ns.get(), CLONE_NEWCGROUP) != 0) return Error{errno, path};
    auto relative = read_cgroup_paths(procfs_fd_, pid);
    const auto own_within = read_cgroup_paths(procfs_fd_, ::getpid());
    if (::setns(own_cgroup_ns_.get(), CLONE_NEWCGROUP) != 0) std::abort();
    if (!relative) return relative.error();
    if (!own_within) return own_within.error();
    NamespaceRoot root;
    bool is_known = true;
    const auto one = [&](auto path_in) {
      const std::string& from_here = path_in(absolute.value());
      const std::string& within = path_in(relative.value());
      if (from_here.empty() || within.empty()) return;
      const bool is_out = leads_out(within);
      root.is_left |= is_out;
      auto found = is_out
                       ? std::optional<std::string>(without_scope(from_here))
                       : root_above(from_here, path_in(own.value()), path_in(own_within.value()));
      if (!found) found = strip_suffix(from_here, within);
      is_known &= found.has_value();
      if (found) path_in(root.paths) = std::move(*found);
    };
    one([](auto& paths) -> auto& { return paths.v2; });
    for (size_t i = 0; i < kControllerCount; ++i) {
      one([i](auto& paths) -> auto& { return paths.v1[i]; });
    }
    if (is_known) return root;
  }
  return Error{EXDEV, path};
}

Result<CgroupPaths> Resolver::home_of(pid_t init) const {
  const auto ns = read_namespaces(procfs_fd_, init);
  if (!ns) return ns.error();
  if (ns.value().cgroup != own_.cgroup) {
    auto root = namespace_root(init);
    // Also of one that was moved out of it in some hierarchies: in the others it could choose who
    // it is.
    if (root) return std::move(root.value().paths);
    if (root.error().code != EXDEV) return root.error();
  }
  return init_paths(init);
}

Result<CgroupPaths> Resolver::init_paths(pid_t init) const {
  auto paths = read_cgroup_paths(procfs_fd_, init);
  if (!paths) return paths;
  paths.value().v2 = without_scope(paths.value().v2);
  for (auto& path : paths.value().v1) path = without_scope(path);
  return paths;
}

/// A PID namespace may be shared: what is at or below the init's cgroup is of the init's container,
/// whatever cgroup namespace it has (services of systemd); a sibling of it (pods) is a container of
/// its own; and a process from elsewhere is a visitor, who sees the init's.
Result<CgroupPaths> Resolver::container_paths(pid_t pid, pid_t init, const NamespaceIds& ns) const {
  auto home = home_of(init);
  if (!home || pid == init) return home;
  const auto at = read_cgroup_paths(procfs_fd_, pid);
  if (!at) return at.error();
  CgroupPaths found = home.value();
  bool within = false, sibling = false;
  const auto one = [&](const std::string& of_init, const std::string& of_caller,
                       const std::string& own, std::string& out) {
    if (of_init.empty() || of_caller.empty()) return;
    // One that we live in tells nothing: it was not made for a container.
    const bool telling = !own_or_above(of_init, own);
    if (is_below(of_caller, of_init)) {
      within |= telling;
      return;
    }
    const std::string beside = child_towards(common_ancestor(of_init, of_caller), of_caller);
    if (beside.empty() || own_or_above(beside, own)) return;
    sibling |= telling;
    out = beside;
  };
  one(home.value().v2, at.value().v2, own_paths_.v2, found.v2);
  for (size_t i = 0; i < kControllerCount; ++i) {
    one(home.value().v1[i], at.value().v1[i], own_paths_.v1[i], found.v1[i]);
  }
  if (within) return home;
  if (sibling) return found;
  // From elsewhere, but in a cgroup namespace that is neither ours nor the init's: at home there.
  const auto of_init = read_namespaces(procfs_fd_, init);
  if (ns.cgroup == own_.cgroup || !of_init || of_init.value().cgroup == ns.cgroup) return home;
  auto root = namespace_root(pid);
  if (root && !root.value().is_left) return std::move(root.value().paths);
  return root || root.error().code == EXDEV ? home : root.error();
}

bool Resolver::own_or_above(const std::string& path, const std::string& own) const {
  return path == "/" || is_below(own, path);
}

}  // namespace vprocfs
