#include "attach/options.h"

#include <fcntl.h>
#include <fnmatch.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string_view>

#include "source/parse.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

/// "meminfo" and "/proc/meminfo" are "proc/meminfo" too, as for `vprocfs show`.
std::string file_pattern(const std::string& text) {
  const std::string path = text.substr(std::min(text.find_first_not_of('/'), text.size()));
  for (const char* begin : {"proc", "sys", "dev", "*", "?", "["}) {
    if (starts_with(path, begin)) return path;
  }
  return "proc/" + path;
}

/// Takes a setting of the settings file, which is an option of the command line too. False: it is
/// unknown or invalid.
bool take_setting(std::string_view name, const std::string& value, Options& o) {
  if (value.empty()) return false;
  if (name == "mountpoint") return o.mountpoint = value, value[0] == '/';
  if (name == "polled") return o.polled = value, value[0] == '/';
  if (name == "type") return o.type = value, true;
  if (name == "source") return o.source = value, true;
  if (name == "skip") return o.skip.push_back(file_pattern(value)), true;
  if (name == "exclude") return o.exclude.push_back(value), true;
  if (name == "only") return o.only.push_back(value), true;
  if (name == "copies") return o.copies = value == "on", true;
  if (name == "replace-lxcfs") return o.replace_lxcfs = value == "on" || value == "yes", true;
  return false;
}

/// Takes a file of the tree, in the form of tree_lines() of native/node. False: it is not one.
bool take_file(std::string_view name, const std::string& value, Options& o) {
  const size_t blank = value.find(' ');
  if (name == "file") return o.files.push_back({value, false, false, ""}), true;
  if (name == "directory") return o.files.push_back({value, true, false, ""}), true;
  if (name == "log") return o.files.push_back({value, false, true, ""}), true;
  if (name != "link" || blank == value.npos) return false;
  return o.files.push_back({value.substr(0, blank), false, true, value.substr(blank + 1)}), true;
}

bool take_value(std::string_view name, const std::string& value, Options& o) {
  if (name == "id") return o.id = value, !value.empty() && value.find('/') == value.npos;
  if (name == "in-place-of") return o.in_place_of.push_back(value), value[0] == '/';
  if (name == "leave") return o.leave.push_back(value), value[0] == '/';
  if (name == "name") return o.name = value, true;
  if (name == "settings") return read_settings(value, o), true;
  if (name == "hook") {
    o.hook = value == "lxc" ? Hook::kLxc : Hook::kOci;
    return value == "lxc" || value == "oci";
  }
  if (name == "tenant") {
    o.tenant = parse_u64(value).value_or(0);
    return o.tenant > 0;
  }
  if (name == "timeout-ms") {
    const auto ms = parse_u64(value);
    o.timeout_ms = static_cast<uint32_t>(std::min<uint64_t>(ms.value_or(0), 600000));
    return o.timeout_ms > 0;
  }
  return take_setting(name, value, o);
}

bool take_flag(std::string_view name, Options& o) {
  if (name == "detach") return o.action = Action::kDetach, true;
  if (name == "check") return o.action = Action::kCheck, true;
  if (name == "no-copies") return o.copies = false, true;
  if (name == "logs") return o.only_logs = true;
  if (name == "strict") return o.strict = true;
  if (name == "json") return o.json = true;
  if (name == "replace") return o.replace_lxcfs = true;
  return false;
}

Error wrong(const std::string& what) { return Error{EINVAL, what}; }

}  // namespace

const char kHelp[] =
    "usage: vprocfs-attach [OPTION]... PID\n"
    "       vprocfs-attach [OPTION]... --hook lxc|oci\n"
    "Mounts the files of a running vprocfs over those of the container that PID is in.\n"
    "  --mountpoint DIR   where vprocfs serves (/var/lib/vprocfs)\n"
    "  --check            only report what attaching would change\n"
    "  --detach           unmount the files\n"
    "  --no-copies        mount no copies of proc and sysfs for user namespaces\n"
    "  --replace          replace the files of an LXCFS too\n"
    "  --skip PATTERN     leave these files, as in proc/uptime; may be repeated\n"
    "  --exclude PATTERN  leave these containers; may be repeated\n"
    "  --only PATTERN     touch no other containers; may be repeated\n"
    "  --name NAME        what these patterns match, beside the container's cgroup\n"
    "  --leave PATH       do not touch this path in the container; may be repeated\n"
    "  --in-place-of DIR  replace the files of the vprocfs that is mounted there; may be repeated\n"
    "  --hook lxc|oci     take the PID from the runtime that calls this as its hook\n"
    "  --settings FILE    the settings of the running daemon (/run/vprocfs/*.attach)\n"
    "  --tenant N         do nothing while another run with this number has not ended\n"
    "  --timeout-ms N     give up after this time (10000)\n"
    "  --strict           exit with 1 if something failed\n"
    "  --json             a report on stdout\n"
    "  --help             this text\n";

Result<Options> parse_arguments(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--help" || word == "-h") {
      o.action = Action::kHelp;
      return o;
    }
    if (starts_with(word, "--")) {
      if (take_flag(word.substr(2), o)) continue;
      if (i + 1 < argc && take_value(word.substr(2), argv[i + 1], o)) {
        ++i;
        continue;
      }
      return wrong("bad option " + word);
    }
    // With lxc.hook.version = 0 LXC gives its hooks arguments of its own after ours: the name, the
    // section and the hook.
    if (o.hook == Hook::kLxc) {
      if (i + 2 < argc) o.lxc_hook = argv[i + 2];
      break;
    }
    const auto pid = parse_u64(word);
    if (!pid || *pid == 0 || *pid > INT_MAX || o.pid != 0) return wrong("bad PID " + word);
    o.pid = static_cast<pid_t>(*pid);
  }
  if (o.hook == Hook::kNone && o.pid == 0) {
    return wrong("usage: vprocfs-attach [--detach|--check] [OPTION]... PID, or --hook lxc|oci");
  }
  return o;
}

bool read_settings(const std::string& path, Options& options) {
  const auto text = read_file(AT_FDCWD, path);
  if (!text) {
    options.settings_denied = text.error().code == EACCES;
    return false;
  }
  Options read = options;
  bool whole = false;
  bool valid = true;
  for_each_line(text.value(), [&](std::string_view line) {
    const size_t blank = line.find(' ');
    const std::string_view name = line.substr(0, blank);
    whole = name == "end";
    if (whole || blank == line.npos) return;
    const std::string value(line.substr(blank + 1));
    if (name == "mountpoint" && !starts_with(value, "/")) {
      valid = false;
    } else if (!take_file(name, value, read)) {
      // Ignores settings of a newer daemon.
      take_setting(name, value, read);
    }
  });
  if (!whole || !valid) return false;
  options = std::move(read);
  return true;
}

bool is_excluded(const Options& options, const std::vector<std::string>& names) {
  const auto matches = [&](const std::string& p) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return ::fnmatch(p.c_str(), name.c_str(), 0) == 0;
    });
  };
  const auto any = [&](const std::vector<std::string>& patterns) {
    return std::any_of(patterns.begin(), patterns.end(), matches);
  };
  return any(options.exclude) || (!options.only.empty() && !any(options.only));
}

bool is_left(const Options& options, const std::string& place) {
  return std::find(options.leave.begin(), options.leave.end(), place) != options.leave.end();
}

bool is_skipped(const Options& options, const std::string& file) {
  return std::any_of(options.skip.begin(), options.skip.end(), [&](const std::string& p) {
    return ::fnmatch(p.c_str(), file.c_str(), 0) == 0;
  });
}

}  // namespace vprocfs
