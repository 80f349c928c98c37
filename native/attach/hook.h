#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "attach/options.h"
#include "base/result.h"

namespace vprocfs {

/// Completes `options` from what a runtime tells its hooks. `runtime` becomes "lxc" or "". False:
/// there is nothing to do, which is no error (excluded by a label or a pattern, or a hook for the
/// end of a container). Error: the runtime's input is invalid; the path of the error is the
/// message.
Result<bool> read_hook(Options& options);

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

/// What a config.json says of paths that the runtime is to mask, or to make read-only; false when
/// the text is no JSON.
bool parse_oci_config(std::string_view text, std::vector<std::string>& masked,
                      std::vector<std::string>& read_only_paths);

/// True when the text of an LXC configuration has lxc.environment = VPROCFS=off.
bool lxc_config_excludes(std::string_view text);

/// leave_alone() records that later runs leave a container alone, for as long as the process lives.
/// forget_ended() removes the records of processes that have ended.
void leave_alone(pid_t pid);
void forget_ended();

}  // namespace vprocfs
