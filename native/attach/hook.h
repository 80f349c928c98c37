#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "attach/options.h"
#include "base/result.h"

namespace vprocfs {

/// Completes `options` from what the runtime gives the hook `options.hook`, if it is one. False:
/// there is nothing to do, which is no error (the container is excluded by a label or a pattern, or
/// it has ended). Error: the runtime's input is invalid; the path of the error is the message.
Result<bool> read_target(Options& options);

/// Leaves the AppArmor profile of lxc-start, which its hooks inherit. That profile has no rule for
/// mounts within containers, but allows a process to become unconfined. Does nothing if there is no
/// such profile, or if it forbids that.
void leave_lxc_profile();

/// What an OCI runtime writes to a hook's stdin (runtime-spec, "State").
struct OciState {
  pid_t pid = 0;
  std::string id;
  std::string bundle;     ///< the directory of its config.json
  bool excluded = false;  ///< by the annotation vprocfs.attach = off
};
Result<OciState> parse_oci_state(std::string_view text);

/// Appends the paths that a config.json has the runtime mask, to `masked` and `read_only_paths`,
/// and those that it makes read-only, to the latter. False: the text is not JSON.
bool parse_oci_config(std::string_view text, std::vector<std::string>& masked,
                      std::vector<std::string>& read_only_paths);

/// True when the text of an LXC configuration has lxc.environment = VPROCFS=off.
bool lxc_config_excludes(std::string_view text);

/// leave_alone() records that later runs leave a container alone, for as long as the process lives.
/// forget_ended() removes the records of processes that have ended.
void leave_alone(pid_t pid);
void forget_ended();

}  // namespace vprocfs
