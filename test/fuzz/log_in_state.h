// A log, and the worker that has it.

#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "klog/logs.h"
#include "state/state_file.h"

namespace vprocfs::fuzz {

struct LogInState {
  std::unique_ptr<StateFile> state;
  std::unique_ptr<KernelLogs> logs;
};

/// As a worker takes over what is in `memory`. `whole`: what is there must not be refused, and its
/// containers have not ended.
inline LogInState open_log(int memory, bool whole = true) {
  LogInState out;
  std::string ignored;
  auto state = StateFile::open(memory, &ignored);
  if (!state || (whole && !ignored.empty())) std::abort();
  out.state = std::move(state.value());
  out.logs = std::make_unique<KernelLogs>(
      *out.state, [whole](ContainerId, const TenantIdentity&) { return whole; });
  out.logs->adopt();
  return out;
}

}  // namespace vprocfs::fuzz
