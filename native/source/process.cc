#include "source/process.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <string_view>

#include "source/parse.h"
#include "source/process_status.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

/// A process that is gone has no directory any more, or its files cannot be read. One that hides in
/// cgroups whose path is too long for the kernel to tell is none that anybody could find.
Error process_error(int code, const std::string& path) {
  return Error{code == ENOENT || code == ENAMETOOLONG ? ESRCH : code, path};
}

Result<std::string> read_process_file(int procfs_fd, pid_t pid, const char* name) {
  const std::string path = std::to_string(pid) + "/" + name;
  auto text = read_file(procfs_fd, path);
  if (!text) return process_error(text.error().code, path);
  return text;
}

/// The line "boottime <seconds> <nanoseconds>" (kernel/time/namespace.c) in µs; seconds may be
/// negative, nanoseconds are not.
int64_t boottime_offset(int procfs_fd, const std::string& process) {
  constexpr uint64_t kMaxSeconds = uint64_t{1} << 40;
  const auto text = read_file(procfs_fd, process + "/timens_offsets");
  if (!text) return 0;
  int64_t offset = 0;
  for_each_line(text.value(), [&](std::string_view line) {
    if (take_word(line) != "boottime") return;
    line = trim(line);
    std::string_view seconds = take_word(line);
    const bool negative = starts_with(seconds, "-");
    if (negative) seconds.remove_prefix(1);
    const auto whole = parse_u64(seconds);
    const auto part = parse_u64(line);
    if (!whole || *whole > kMaxSeconds || !part || *part >= 1'000'000'000) return;
    const auto us = static_cast<int64_t>(*whole * 1'000'000);
    offset = (negative ? -us : us) + static_cast<int64_t>(*part / 1000);
  });
  return offset;
}

}  // namespace

int process_errno(int errno_value) {
  const bool ours = errno_value == EMFILE || errno_value == ENFILE || errno_value == ENOMEM ||
                    errno_value == EAGAIN;
  return ours ? errno_value : ESRCH;
}

int64_t read_boottime_offset(int procfs_fd, pid_t pid) {
  return boottime_offset(procfs_fd, std::to_string(pid)) - boottime_offset(procfs_fd, "self");
}

Result<ProcessStat> read_process_stat(int procfs_fd, pid_t pid) {
  const auto text = read_process_file(procfs_fd, pid, "stat");
  if (!text) return text.error();
  const auto number = [&](StatField field) { return stat_number(text.value(), field); };
  const auto flags = number(StatField::kFlags), ticks = number(StatField::kStartTime);
  const auto pending = number(StatField::kPending), blocked = number(StatField::kBlocked);
  if (!flags || !ticks || !pending || !blocked) {
    return Error{EINVAL, std::to_string(pid) + "/stat"};
  }
  // What a fault sends is neither blocked nor handled (force_sig()).
  uint64_t faults = 0;
  for (const int signal : {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV}) {
    faults |= uint64_t{1} << (signal - 1);
  }
  const bool is_killed = (*flags & kSignaled) != 0 || (*pending & ~*blocked & faults) != 0;
  return ProcessStat{*ticks, is_killed, (*flags & kExiting) != 0};
}

Result<uint64_t> read_start_ticks(int procfs_fd, pid_t pid) {
  const auto stat = read_process_stat(procfs_fd, pid);
  if (!stat) return stat.error();
  return stat.value().start_ticks;
}

Result<CgroupPaths> read_cgroup_paths(int procfs_fd, pid_t pid) {
  const auto text = read_process_file(procfs_fd, pid, "cgroup");
  if (!text) return text.error();
  auto paths = CgroupPaths::parse(text.value());
  if (!paths) return Error{paths.error().code, std::to_string(pid) + "/cgroup"};
  return paths;
}

Result<uint64_t> read_namespace(int procfs_fd, const std::string& process, const char* kind) {
  const std::string path = process + "/ns/" + kind;
  // stat(2) would say the same, but not of a recorded process.
  const auto target = read_link(procfs_fd, path);
  if (!target) return process_error(target.error().code, path);
  const std::string_view text = target.value();
  const size_t open = text.find('[');
  const size_t close = text.find(']');
  if (open == text.npos || close == text.npos || close < open) return Error{EINVAL, path};
  const auto id = parse_u64(text.substr(open + 1, close - open - 1));
  if (!id) return Error{EINVAL, path};
  return *id;
}

Result<NamespaceIds> read_namespaces(int procfs_fd, pid_t pid) {
  const auto pid_ns = read_pid_namespace(procfs_fd, pid);
  if (!pid_ns) return pid_ns.error();
  const auto cgroup_ns = read_namespace(procfs_fd, std::to_string(pid), "cgroup");
  if (!cgroup_ns) return cgroup_ns.error();
  return NamespaceIds{pid_ns.value(), cgroup_ns.value()};
}

namespace {

/// The last number of a field of /proc/<pid>/status.
Result<pid_t> read_status_pid(int procfs_fd, pid_t pid, const char* name) {
  const auto text = read_process_file(procfs_fd, pid, "status");
  if (!text) return text.error();
  const auto numbers = status_numbers(text.value(), name);
  if (numbers.empty() || numbers.back() > INT_MAX) {
    return Error{EINVAL, std::to_string(pid) + "/status"};
  }
  return static_cast<pid_t>(numbers.back());
}

}  // namespace

Result<uint64_t> read_pid_namespace(int procfs_fd, pid_t pid) {
  return read_namespace(procfs_fd, std::to_string(pid), "pid");
}

Result<uint64_t> read_user_namespace(int procfs_fd, pid_t pid) {
  return read_namespace(procfs_fd, std::to_string(pid), "user");
}

Result<uint64_t> read_capabilities(int procfs_fd, pid_t pid) {
  const auto text = read_process_file(procfs_fd, pid, "status");
  if (!text) return text.error();
  const auto effective = status_mask(text.value(), "CapEff");
  if (!effective) return Error{EINVAL, std::to_string(pid) + "/status"};
  return *effective;
}

Result<std::vector<UserRange>> read_users(int procfs_fd, pid_t pid) {
  const auto text = read_process_file(procfs_fd, pid, "uid_map");
  if (!text) return text.error();
  std::vector<UserRange> out;
  for_each_line(text.value(), [&out](std::string_view line) {
    const auto inside = parse_u64(take_word(line));
    const auto outside = parse_u64(take_word(line));
    const auto count = parse_u64(line);
    if (inside && outside && count) out.push_back({*inside, *outside, *count});
  });
  return out;
}

Result<uint64_t> read_root_user(int procfs_fd, pid_t pid) {
  const auto users = read_users(procfs_fd, pid);
  if (!users) return users.error();
  for (const UserRange& range : users.value()) {
    if (range.inside == 0) return range.outside;
  }
  return Error{ENOENT, std::to_string(pid) + "/uid_map"};
}

Result<pid_t> read_inner_pid(int procfs_fd, pid_t pid) {
  return read_status_pid(procfs_fd, pid, "NSpid");
}

Result<pid_t> read_parent(int procfs_fd, pid_t pid) {
  return read_status_pid(procfs_fd, pid, "PPid");
}

}  // namespace vprocfs
