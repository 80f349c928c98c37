// The addon of the tests: parsers, sources, models and views without a mount. What it takes and
// returns is typed in test/support/testing.ts; bad arguments throw TypeError.

#include <napi.h>

#include "testing/parts.h"

namespace vprocfs {
namespace {

Napi::Object initialise(Napi::Env, Napi::Object exports) {
  for (const auto add :
       {add_announced_size, add_budget, add_calls, add_census, add_kernel_logs, add_klog, add_kmsg,
        add_log_owners, add_models, add_parsers, add_processes, add_recorded, add_registry,
        add_source, add_state, add_tasks, add_tick_mirror, add_trees, add_turns}) {
    add(exports);
  }
  return exports;
}

NODE_API_MODULE(vprocfs_testing, initialise)

}  // namespace
}  // namespace vprocfs
