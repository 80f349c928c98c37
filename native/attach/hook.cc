#include "attach/hook.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/directory.h"
#include "base/fd.h"
#include "base/json.h"
#include "source/parse.h"
#include "source/process.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

/// One file per container that is to be left alone: "<pid>-<start in ticks>".
constexpr char kLeftAlone[] = "/run/vprocfs/left-alone";
constexpr size_t kMaxState = size_t{1} << 20;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

Error bad_input(const std::string& what) { return Error{EINVAL, what}; }

Result<std::string> read_stdin() {
  std::string text;
  if (read_stream(STDIN_FILENO, kMaxState + 1, text) != 0) {
    return bad_input("its stdin cannot be read");
  }
  if (text.size() > kMaxState) return bad_input("the state on its stdin is too long");
  return text;
}

bool means_off(const std::string& value) {
  return value == "off" || value == "false" || value == "no" || value == "0";
}

std::string process_name(pid_t pid, uint64_t start) {
  return std::to_string(pid) + "-" + std::to_string(start);
}

/// What patterns are matched against: the name, "lxc:name", and the cgroup, which is not the same
/// in every hierarchy of v1. Beside those, cgroup2 may have the container where its runtime is.
std::vector<std::string> names_of(const Options& options, const std::string& runtime) {
  std::vector<std::string> names{options.name, runtime + ":" + options.name};
  const Fd procfs = open_directory(AT_FDCWD, "/proc");
  const auto cgroups = read_cgroup_paths(procfs.get(), options.pid);
  if (!cgroups) return names;
  const auto count = names.size();
  for (const std::string& path : cgroups.value().v1) {
    if (path.size() > 1) names.push_back(path);
  }
  if (names.size() == count && cgroups.value().v2.size() > 1) names.push_back(cgroups.value().v2);
  return names;
}

Result<bool> read_lxc(Options& options) {
  options.name = variable("LXC_NAME");
  // LXC_PID is still that of the init that has ended, and may be another container's by now.
  if (options.lxc_hook == "post-stop" || variable("LXC_HOOK_TYPE") == "post-stop") {
    forget_ended();
    return false;
  }
  const auto pid = parse_u64(variable("LXC_PID"));
  if (!pid || *pid == 0 || *pid > INT_MAX) {
    return bad_input("LXC_PID is not set: this is for lxc.hook.start-host");
  }
  options.pid = static_cast<pid_t>(*pid);
  const auto config = read_file(AT_FDCWD, variable("LXC_CONFIG_FILE"));
  if (config && lxc_config_excludes(config.value())) {
    leave_alone(options.pid);
    return false;
  }
  return !is_excluded(options, names_of(options, "lxc"));
}

Result<bool> read_oci(Options& options) {
  const auto text = read_stdin();
  if (!text) return text.error();
  auto state = parse_oci_state(text.value());
  if (!state) return state.error();
  options.pid = state.value().pid;
  options.name = state.value().id;
  if (options.pid == 0) return false;
  if (state.value().excluded) {
    leave_alone(options.pid);
    return false;
  }
  if (is_excluded(options, names_of(options, "oci"))) return false;
  const auto config = read_file(AT_FDCWD, state.value().bundle + "/config.json");
  // Without the configuration there may be some of each.
  if (!config || !parse_oci_config(config.value(), options.masked, options.read_only_paths)) {
    options.read_only_paths = {"/proc/?", "/sys/?"};
  }
  return true;
}

}  // namespace

Result<OciState> parse_oci_state(std::string_view text) {
  OciState state;
  bool has_pid = false;
  bool valid = true;
  const bool whole = read_json(text, [&](const JsonLeaf& leaf) {
    if (leaf.path == "/id" && leaf.quoted) state.id = leaf.value;
    if (leaf.path == "/bundle" && leaf.quoted) state.bundle = leaf.value;
    if (leaf.path == "/annotations/vprocfs.attach") state.excluded = means_off(leaf.value);
    if (leaf.path != "/pid") return;
    const uint64_t pid = parse_u64(leaf.value).value_or(UINT64_MAX);
    valid = !leaf.quoted && pid <= INT_MAX;
    has_pid = true;
    if (valid) state.pid = static_cast<pid_t>(pid);
  });
  if (!whole) return bad_input("its stdin is not the JSON state of an OCI runtime");
  if (!valid) return bad_input("the state on its stdin has a bad pid");
  // The state of a container that has ended has no pid.
  if (!has_pid) state.pid = 0;
  return state;
}

void leave_lxc_profile() {
  constexpr std::string_view kUnconfined = "changeprofile unconfined";
  // The first is AppArmor's own; before Linux 5.8 there is only the second.
  for (const char* path : {"/proc/self/attr/apparmor/current", "/proc/self/attr/current"}) {
    const Fd file(::open(path, O_RDWR | O_CLOEXEC));
    char now[256] = {};
    // pread(2), because the file can be written to only at its beginning.
    if (!file || ::pread(file.get(), now, sizeof now - 1, 0) <= 0) continue;
    if (std::string_view(now).find("lxc-start") == std::string_view::npos) return;
    if (::write(file.get(), kUnconfined.data(), kUnconfined.size()) < 0) return;
    return;
  }
}

bool parse_oci_config(std::string_view text, std::vector<std::string>& masked,
                      std::vector<std::string>& read_only_paths) {
  return read_json(text, [&](const JsonLeaf& leaf) {
    const bool masks = leaf.path == "/linux/maskedPaths" && leaf.quoted;
    const bool makes_read_only = leaf.path == "/linux/readonlyPaths" && leaf.quoted;
    if (masks) masked.push_back(leaf.value);
    if (masks || makes_read_only) read_only_paths.push_back(leaf.value);
  });
}

bool lxc_config_excludes(std::string_view text) {
  bool excludes = false;
  for_each_line(text, [&](std::string_view line) {
    const size_t equals = line.find('=');
    if (equals == line.npos || trim(line.substr(0, equals)) != "lxc.environment") return;
    const std::string_view value = trim(line.substr(equals + 1));
    constexpr std::string_view kName = "VPROCFS=";
    if (!starts_with(value, kName)) return;
    excludes = means_off(std::string(value.substr(kName.size())));
  });
  return excludes;
}

Result<bool> read_target(Options& options) {
  // As the watcher names a container whose runtime it does not know.
  if (options.hook == Hook::kNone) {
    return options.action != Action::kAttach || !is_excluded(options, names_of(options, ""));
  }
  return options.hook == Hook::kLxc ? read_lxc(options) : read_oci(options);
}

void leave_alone(pid_t pid) {
  const Fd procfs(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto start = read_start_ticks(procfs.get(), pid);
  if (!start) return;
  forget_ended();
  ::mkdir("/run/vprocfs", 0700);
  ::mkdir(kLeftAlone, 0700);
  const std::string path = std::string(kLeftAlone) + "/" + process_name(pid, start.value());
  const Fd made(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

void forget_ended() {
  const Fd procfs = open_directory(AT_FDCWD, "/proc");
  const Fd marks = open_directory(AT_FDCWD, kLeftAlone);
  for_each_entry(Fd(::dup(marks.get())), [&](const dirent& entry) {
    const std::string name = entry.d_name;
    const auto pid = parse_u64(name.substr(0, name.find('-')));
    const auto start = pid && *pid <= INT_MAX
                           ? read_start_ticks(procfs.get(), static_cast<pid_t>(*pid))
                           : Result<uint64_t>(Error{ESRCH, name});
    // Without a descriptor or memory to be had nobody knows whether it has ended.
    if (!start && start.error().code != ESRCH) return true;
    const bool lives = start && process_name(static_cast<pid_t>(*pid), start.value()) == name;
    if (!lives) ::unlinkat(marks.get(), entry.d_name, 0);
    return true;
  });
}

}  // namespace vprocfs
