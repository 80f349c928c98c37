#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "attach/options.h"
#include "base/result.h"

namespace vprocfs {

/// Completes `options` from what a runtime tells its hooks. `runtime` becomes "lxc" or "". False:
/// there is nothing to do, and that is as it should be (excluded by a label or a pattern, a hook of
/// a container's end). Error: what was told makes no sense; its path is the line that says so.
Result<bool> read_hook(Options& options);

/// Leaves the AppArmor profile of lxc-start, which its hooks inherit: it has no rule for mounts
/// within containers, but lets go whoever asks to be unconfined. Stays where there is none, or it
/// forbids it.
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
                      std::vector<std::string>& sealed);

/// True when the text of an LXC configuration has lxc.environment = VPROCFS=off.
bool lxc_config_excludes(std::string_view text);

/// Remembers that a container is to be left alone by those who come later, as long as the process
/// lives; forgets those whose process has ended.
void leave_alone(pid_t pid);
void forget_ended();

}  // namespace vprocfs
