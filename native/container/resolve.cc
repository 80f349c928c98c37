#include "container/resolve.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>

#include "base/clock.h"
#include "base/clock_tick.h"
#include "base/directory.h"
#include "base/kernel_abi.h"
#include "base/pidfd.h"
#include "base/words.h"
#include "source/cgroup_dir.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

// <linux/exportfs.h>. FILEID_KERNFS, a bare 64-bit kernfs id, exists since Linux 5.5. Earlier
// kernels take FILEID_INO32_GEN, an inode number and its generation, where 0 means any.
constexpr int kFileIdKernfs = 0xfe, kFileIdInodeGeneration = 1;
constexpr int kMaxProcessesTried = 1024;
constexpr int kMaxParents = 64;

std::string pid_path(pid_t pid, const char* rest) { return std::to_string(pid) + rest; }

bool is_any_above(const CgroupPaths& paths, const std::string& cgroup) {
  const auto is_above = [&cgroup](const std::string& path) {
    return !path.empty() && path != cgroup && is_below(cgroup, path);
  };
  return is_above(paths.v2) || std::any_of(paths.v1.begin(), paths.v1.end(), is_above);
}

std::string basename_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Resolver::Resolver(const CgroupMounts& mounts, int procfs_fd)
    : mounts_(mounts), procfs_fd_(procfs_fd) {}

Result<bool> Resolver::open() {
  const pid_t self = ::getpid();
  auto own = read_namespaces(procfs_fd_, self);
  if (!own) return own.error();
  own_ = own.value();
  auto paths = read_cgroup_paths(procfs_fd_, self);
  if (!paths) return paths.error();
  own_paths_ = std::move(paths.value());
  own_cgroup_ns_ =
      Fd(::openat(procfs_fd_, pid_path(self, "/ns/cgroup").c_str(), O_RDONLY | O_CLOEXEC));
  if (!own_cgroup_ns_) return Error{errno, "/proc/self/ns/cgroup"};
  return true;
}

Result<Fd> Resolver::pin_init(const ContainerDescription& description) const {
  Fd init = open_pidfd(description.init);
  if (!init) {
    // A thread has the PID now (ENOENT since Linux 6.9), so that the process is gone as well.
    const bool gone = errno == EINVAL || errno == ENOENT;
    return Error{gone ? ESRCH : errno, description.cgroup};
  }
  // The PID may have been reused between finding it and pinning it.
  const auto start = read_start_ticks(procfs_fd_, description.init);
  if (!start) return Error{start.error().code, description.cgroup};
  if (start.value() * kClockTickUs != description.init_start_us) {
    return Error{ESRCH, description.cgroup};
  }
  return init;
}

Result<pid_t> Resolver::find_init(pid_t pid, uint64_t pid_namespace) const {
  const Fd ns(::openat(procfs_fd_, pid_path(pid, "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
  if (!ns) return Error{process_errno(errno), pid_path(pid, "/ns/pid")};
  const int init = ::ioctl(ns.get(), kNsGetTgidFromPidns, 1);
  if (init > 0) return static_cast<pid_t>(init);

  // Before 6.11: orphans are re-parented to the namespace's init, so it is among the ancestors of
  // most processes; those that were injected from outside (lxc-attach) need a look at everybody.
  pid_t at = pid;
  for (int i = 0; i < kMaxParents && at > 1; ++i) {
    auto inner = read_inner_pid(procfs_fd_, at);
    auto namespaces = read_namespaces(procfs_fd_, at);
    if (!inner && process_errno(inner.error().code) != ESRCH) return inner.error();
    if (!inner || !namespaces || namespaces.value().pid != pid_namespace) break;
    if (inner.value() == 1) return at;
    auto parent = read_parent(procfs_fd_, at);
    if (!parent) break;
    at = parent.value();
  }
  return scan_for_init(pid_namespace);
}

Result<pid_t> Resolver::scan_for_init(uint64_t pid_namespace) const {
  pid_t found = 0;
  // Of one that cannot be read nobody knows that it is not the init.
  int why = ESRCH;
  const int unread = for_each_process(procfs_fd_, [&](pid_t candidate) {
    auto namespaces = read_namespaces(procfs_fd_, candidate);
    if (!namespaces || namespaces.value().pid != pid_namespace) return true;
    auto inner = read_inner_pid(procfs_fd_, candidate);
    if (inner && inner.value() == 1) found = candidate;
    if (!inner && why == ESRCH) why = process_errno(inner.error().code);
    return found == 0;
  });
  if (found != 0) return found;
  if (unread != 0 && why == ESRCH) why = process_errno(unread);
  return Error{why, "init of the PID namespace " + std::to_string(pid_namespace)};
}

Result<std::optional<pid_t>> Resolver::outer_init(pid_t init) const {
  using Answer = std::optional<pid_t>;
  const Fd inner(::openat(procfs_fd_, pid_path(init, "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
  const Fd outer(inner ? ::ioctl(inner.get(), kNsGetParent) : -1);
  const int why = outer ? 0 : errno;
  struct stat st {};
  if (!inner) return Error{process_errno(errno), pid_path(init, "/ns/pid")};
  if (!outer && process_errno(why) != ESRCH) return Error{why, pid_path(init, "/ns/pid")};
  // EPERM: the one around it is not below ours.
  if (!outer || ::fstat(outer.get(), &st) != 0 || st.st_ino == own_.pid) return Answer();
  const int found = ::ioctl(outer.get(), kNsGetTgidFromPidns, 1);
  if (found > 0) return Answer(static_cast<pid_t>(found));
  // Before 6.11: the process that made the inner namespace is mostly in the outer one.
  const auto parent = read_parent(procfs_fd_, init);
  const auto ns = parent ? read_namespaces(procfs_fd_, parent.value()) : parent.error();
  const auto other = ns && ns.value().pid == st.st_ino ? find_init(parent.value(), st.st_ino)
                                                       : scan_for_init(st.st_ino);
  if (!other) return other.error();
  return Answer(other.value());
}

uint64_t Resolver::outermost_namespace(pid_t pid) const {
  Fd at(::openat(procfs_fd_, pid_path(pid, "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
  uint64_t outermost = 0;
  while (at) {
    struct stat st {};
    if (::fstat(at.get(), &st) != 0 || st.st_ino == own_.pid) break;
    outermost = st.st_ino;
    // EPERM: the one around it is not below ours.
    at = Fd(::ioctl(at.get(), kNsGetParent));
  }
  return outermost;
}

Result<uint64_t> Resolver::cgroups_of(pid_t pid) const {
  const auto text = read_file(procfs_fd_, pid_path(pid, "/cgroup"));
  if (!text) return Error{process_errno(text.error().code), pid_path(pid, "/cgroup")};
  return uint64_t{std::hash<std::string>()(text.value())};
}

Result<Resolver::Placement> Resolver::placement_of(pid_t pid, const CgroupsOf& ask) const {
  const auto pid_ns = read_pid_namespace(procfs_fd_, pid);
  if (!pid_ns) return pid_ns.error();
  if (pid_ns.value() == own_.pid) return Placement{own_, 0};
  const auto cgroup_ns = read_namespace(procfs_fd_, std::to_string(pid), "cgroup");
  if (!cgroup_ns) return cgroup_ns.error();
  Placement placement{{pid_ns.value(), cgroup_ns.value()}, 0};
  if (placement.namespaces.cgroup != own_.cgroup) return placement;
  const auto cgroups = ask(pid);
  if (!cgroups) return cgroups.error();
  placement.cgroups = cgroups.value();
  return placement;
}

Result<bool> Resolver::identify(const CgroupPaths& paths, ContainerDescription& out) const {
  struct Candidate {
    IdentityHierarchy which;
    const Hierarchy* tree;
    const std::string& path;
    const std::string& own;
  };
  const auto candidate = [&](IdentityHierarchy which) -> Candidate {
    const auto v1 = controller_of(which);
    return {which, mounts_.tree_of(v1), paths.in(v1), own_paths_.in(v1)};
  };
  const Candidate v2 = candidate(IdentityHierarchy::kV2);
  const Candidate memory = candidate(IdentityHierarchy::kV1Memory);
  // On hybrid hosts some runtimes (runc) make no cgroup2 directory, so that many containers share
  // the one they were started from: cgroup2 names a container there only where it was made for it,
  // which shows in its having the name that the memory cgroup has.
  const bool v2_own = memory.path.empty() || basename_of(memory.path) == basename_of(v2.path);
  const Candidate order[] = {v2_own ? v2 : memory, v2_own ? memory : v2,
                             candidate(IdentityHierarchy::kV1Cpu),
                             candidate(IdentityHierarchy::kV1Pids)};
  for (const auto& [which, tree, path, own] : order) {
    // A cgroup that we or our ancestors live in was not made for a container.
    if (tree == nullptr || path.empty() || own_or_above(path, own)) continue;
    // Not there: a process of a container in any case, and never one of the host.
    const auto dir = CgroupDir::open(*tree, path);
    struct stat st {};
    if (!dir || ::fstat(dir.value()->fd(), &st) != 0) {
      return Error{process_errno(dir ? errno : dir.error().code), path};
    }
    const auto id = ContainerId::make(which, st.st_ino);
    if (!id) return Error{ESRCH, path};
    out.id = *id;
    out.cgroup = path;
    return true;
  }
  return false;
}

Result<bool> Resolver::describe(CgroupPaths paths, pid_t init, ContainerDescription& out) const {
  const auto own = identify(paths, out);
  if (!own || !own.value()) return own;
  out.paths = std::move(paths);
  out.init = init;
  const auto start = read_start_ticks(procfs_fd_, init);
  if (!start) return start.error();
  out.init_start_us = start.value() * kClockTickUs;
  out.boottime_offset_us = read_boottime_offset(procfs_fd_, init);
  // Where the init is was asked just now, for all but what lies above the container's cgroup.
  auto now =
      is_any_above(out.paths, out.cgroup) ? moved_paths(procfs_fd_, out, out.paths) : std::nullopt;
  if (now) out.paths = std::move(*now);
  return true;
}

Result<std::optional<ContainerDescription>> Resolver::of_process(pid_t pid) const {
  using Answer = std::optional<ContainerDescription>;
  auto ns = read_namespaces(procfs_fd_, pid);
  if (!ns) return ns.error();
  if (ns.value().pid == own_.pid) return Answer();
  auto init = find_init(pid, ns.value().pid);
  if (!init) return init.error();
  auto paths = container_paths(pid, init.value(), ns.value());
  if (!paths) return paths.error();
  ContainerDescription out;
  const auto own = describe(std::move(paths.value()), init.value(), out);
  if (!own) return own.error();
  if (!own.value()) return Answer();
  out.namespaces = ns.value();
  // PIDs are reused: the answer counts only if the init we found still is that namespace's.
  auto again = read_namespaces(procfs_fd_, out.init);
  if (!again || again.value().pid != out.namespaces.pid) return Error{ESRCH, pid_path(pid, "")};
  out.tenant = out.id;
  out.tenant_cgroup = out.cgroup;
  out.tenant_identity = {out.namespaces.pid, out.init_start_us};
  const auto outer = outer_init(out.init);
  if (!outer) return outer.error();
  if (!outer.value()) return Answer(std::move(out));
  auto around = of_process(*outer.value());
  if (!around) return around.error();
  if (around.value() && around.value()->id == out.id) return around;
  // One that could be taken for outermost would have budgets of its own.
  if (around.value()) {
    out.tenant = around.value()->tenant;
    out.tenant_cgroup = around.value()->tenant_cgroup;
    out.tenant_identity = around.value()->tenant_identity;
  }
  return Answer(std::move(out));
}

Fd Resolver::open_cgroup(ContainerId id) const {
  const Hierarchy* h = mounts_.tree_of(controller_of(id.hierarchy()));
  if (h == nullptr) {
    errno = ESTALE;
    return Fd();
  }
  alignas(file_handle) unsigned char key[sizeof(file_handle) + sizeof(uint64_t)] = {};
  auto* handle = reinterpret_cast<file_handle*>(key);
  const auto open_as = [&](int type, const auto& id_bytes) {
    static_assert(sizeof id_bytes == sizeof(uint64_t));
    handle->handle_bytes = sizeof id_bytes;
    handle->handle_type = type;
    std::memcpy(key + sizeof(file_handle), &id_bytes, sizeof id_bytes);
    return Fd(::open_by_handle_at(h->root.get(), handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  };
  const uint64_t raw = id.cgroup_id();
  Fd found = open_as(kFileIdKernfs, raw);
  if (found || errno != ESTALE) return found;
  const uint32_t inode_and_generation[] = {static_cast<uint32_t>(raw),
                                           static_cast<uint32_t>(raw >> 32)};
  return open_as(kFileIdInodeGeneration, inode_and_generation);
}

bool Resolver::exists(ContainerId id) const {
  // A hierarchy that could not be opened says nothing of what is in it.
  if (mounts_.tree_of(controller_of(id.hierarchy())) == nullptr) return true;
  // Nor does whatever else keeps it from being opened, such as a lack of descriptors.
  return open_cgroup(id) || (errno != ESTALE && errno != ENOENT);
}

Result<ContainerDescription> Resolver::of_id(ContainerId id, const Search& search) const {
  Fd top = open_cgroup(id);
  if (!top) return Error{process_errno(errno), id.name()};

  // Its own processes are mostly near its top, and below it may be other containers.
  std::deque<Fd> todo;
  todo.push_back(std::move(top));
  int tried = 0;
  // What was not seen for a shortage may be it.
  int why = ESRCH;
  const auto note = [&why](int error) {
    if (process_errno(error) != ESRCH) why = error;
  };
  // So may what lies beyond the bounds of this search, or was started by a process that has ended
  // since the list of processes was read.
  bool saw_all = true;
  const uint64_t begun_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
  const auto is_late = [&search, begun_us] {
    return clock_us(CLOCK_THREAD_CPUTIME_ID) - begun_us > search.cpu_us;
  };
  for (size_t seen = 0; !todo.empty() && seen < search.max_cgroups; ++seen) {
    if (is_late()) return Error{EAGAIN, id.name()};
    const Fd at = std::move(todo.front());
    todo.pop_front();
    std::string procs;
    auto text = read_file(at.get(), "cgroup.procs");
    if (!text) note(text.error().code);
    if (text) procs = std::move(text.value());
    bool of_another = false;
    const char* p = procs.c_str();
    for (; *p != '\0' && tried < kMaxProcessesTried; ++tried) {
      char* end = nullptr;
      const long pid = std::strtol(p, &end, 10);
      if (end == p) break;
      p = *end == '\n' ? end + 1 : end;
      if (is_late()) return Error{EAGAIN, id.name()};
      auto found = of_process(static_cast<pid_t>(pid));
      if (!found) {
        note(found.error().code);
        saw_all = false;
        continue;
      }
      if (!found.value()) continue;
      if (found.value()->id == id) return std::move(*found.value());
      // One within it: neither here nor below is anything of the outer one.
      of_another = seen > 0;
      if (of_another) break;
    }
    if (of_another) continue;
    if (*p != '\0') saw_all = false;
    const size_t others = std::min<size_t>(512, search.max_cgroups - seen - 1);
    const int unread = for_each_entry(open_directory(at.get(), "."), [&](const dirent& entry) {
      if (entry.d_type != DT_DIR || entry.d_name[0] == '.') return true;
      if (todo.size() >= others) {
        saw_all = false;
        return false;
      }
      Fd child = open_directory(at.get(), entry.d_name, O_NOFOLLOW);
      if (!child) note(errno);
      if (child) todo.push_back(std::move(child));
      return true;
    });
    if (unread != 0) note(unread);
  }
  if (!todo.empty()) saw_all = false;
  const bool is_proven = saw_all || !search.must_prove;
  return Error{why == ESRCH && !is_proven ? EAGAIN : why, id.name()};
}

}  // namespace vprocfs
