#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "attach/tree_files.h"
#include "base/result.h"
#include "source/mount_kind.h"

namespace vprocfs {

enum class Action : uint8_t { kAttach, kDetach, kCheck, kHelp };
enum class Hook : uint8_t { kNone, kLxc, kOci };

/// What one run of the helper is to do.
struct Options {
  Action action = Action::kAttach;
  Hook hook = Hook::kNone;
  std::string lxc_hook;  ///< which of LXC's hooks this is ("post-stop"); empty: LXC does not say
  pid_t pid = 0;
  std::string name;  ///< as the operator knows the container; for patterns and messages
  std::string mountpoint = "/var/lib/vprocfs";
  std::string polled;  ///< mount point of files that are polled; empty: there is none
  std::string type{kDefaultType}, source{kDefaultSource};
  std::string id;                    ///< under containers/; empty: the mount tells it
  std::vector<std::string> skip;     ///< patterns of files to leave as they are: "proc/uptime"
  std::vector<std::string> leave;    ///< places in the container to leave: "/proc/uptime"
  std::vector<std::string> exclude;  ///< patterns of containers to leave: "web*", "lxc:db?"
  std::vector<std::string> only;     ///< patterns of the only containers to touch; empty: all
  std::vector<std::string> masked;   ///< paths that the runtime masks when the hooks have run
  std::vector<std::string> read_only_paths;  ///< these, and those that it makes read-only
  std::vector<std::string> in_place_of;  ///< mount points of another vprocfs whose files to replace
  /// The files of every container's tree; empty: the tree is listed. The `source` of one that is
  /// polled is used where there is no mount of files that are polled.
  std::vector<TreeFile> files;
  bool copies = true;            ///< mount clean copies for user namespaces, see clean.h
  bool replace_lxcfs = false;    ///< also where another LXCFS serves
  bool only_logs = false;        ///< detach only kernel logs
  bool settings_denied = false;  ///< the settings file is there, and not for us to read
  bool strict = false;           ///< exit status 1 when something could not be done
  bool json = false;             ///< a report on stdout
  uint64_t tenant = 0;  ///< at most one run for it at a time, see lock_tenant(); 0: no limit
  uint32_t timeout_ms = 10000;  ///< past which it gives up
};

/// What --help prints.
extern const char kHelp[];

/// From the command line. Error: path is the one line that says what is wrong.
Result<Options> parse_arguments(int argc, char** argv);

/// Takes over what a settings file says: one setting per line, as the daemon writes it, and "end"
/// as its last line. False, with `options` as they were, when it is not there or not whole.
bool read_settings(const std::string& path, Options& options);

/// True when the patterns exclude a container with any of these names. src/attach/selection.ts has
/// the same for the watcher.
bool is_excluded(const Options& options, const std::vector<std::string>& names);

/// True when the place ("/proc/uptime") in the container is to be left as it is.
bool is_left(const Options& options, const std::string& place);

/// True when the file ("proc/uptime") is to be left as it is.
bool is_skipped(const Options& options, const std::string& file);

}  // namespace vprocfs
