// The addon of the tests: parsers, sources, models and views without a mount. What it takes and
// returns is typed in test/support/testing.ts; bad arguments throw TypeError.

#include <napi.h>

#include "testing/announced_size.h"
#include "testing/budget.h"
#include "testing/calls.h"
#include "testing/kernel_logs.h"
#include "testing/klog.h"
#include "testing/kmsg.h"
#include "testing/models.h"
#include "testing/parsers.h"
#include "testing/processes.h"
#include "testing/recorded.h"
#include "testing/source.h"
#include "testing/state.h"
#include "testing/tasks.h"
#include "testing/trees.h"

namespace vprocfs {
namespace {

Napi::Object initialise(Napi::Env env, Napi::Object testing) {
  testing.Set("renderFixture", Napi::Function::New<render_fixture>(env));
  testing.Set("sysinfoFixture", Napi::Function::New<sysinfo_fixture>(env));
  testing.Set("stabilised", Napi::Function::New<stabilised>(env));
  testing.Set("readLxcRequest", Napi::Function::New<read_lxc_request>(env));
  testing.Set("fairShareCpu", Napi::Function::New<fair_share_cpu>(env));
  testing.Set("announceSizes", Napi::Function::New<announce_sizes>(env));
  testing.Set("spendBudget", Napi::Function::New<spend_budget>(env));
  testing.Set("chargeLaps", Napi::Function::New<charge_laps>(env));
  testing.Set("findContention", Napi::Function::New<find_contention>(env));
  testing.Set("pendingCallAfter", Napi::Function::New<pending_call_after>(env));
  testing.Set("nameCall", Napi::Function::New<name_call>(env));
  testing.Set("encodeSysinfo", Napi::Function::New<encode_sysinfo>(env));
  testing.Set("listFixture", Napi::Function::New<list_fixture>(env));
  testing.Set("treePaths", Napi::Function::New<tree_paths>(env));
  testing.Set("numberPaths", Napi::Function::New<number_paths>(env));
  testing.Set("advanceSamples", Napi::Function::New<advance_samples>(env));
  testing.Set("shownCpus", Napi::Function::New<shown_cpus_of>(env));
  testing.Set("views", Napi::Function::New<list_views>(env));
  testing.Set("memoryKeys", Napi::Function::New<memory_keys>(env));
  testing.Set("cgroupFigures", Napi::Function::New<cgroup_figures>(env));
  testing.Set("readLogRecord", Napi::Function::New<read_log_record>(env));
  testing.Set("sortLog", Napi::Function::New<sort_log>(env));
  testing.Set("readWritten", Napi::Function::New<read_written>(env));
  testing.Set("writeKmsg", Napi::Function::New<write_kmsg>(env));
  testing.Set("followKmsg", Napi::Function::New<follow_kmsg>(env));
  testing.Set("logClock", Napi::Function::New<log_clock>(env));
  testing.Set("whoCrashed", Napi::Function::New<who_crashed>(env));
  testing.Set("whoPrinted", Napi::Function::New<who_printed>(env));
  testing.Set("timeLog", Napi::Function::New<time_log>(env));
  testing.Set("needsSyslogCapability", Napi::Function::New<needs_capability>(env));
  testing.Set("KernelLogs", KernelLogsObject::define(env));
  testing.Set("readStatus", Napi::Function::New<read_status>(env));
  testing.Set("readProcess", Napi::Function::New<read_process>(env));
  testing.Set("Source", SourceObject::define(env));
  testing.Set("State", StateObject::define(env));
  testing.Set("TaskCounter", TaskCounterObject::define(env));
  testing.Set("loadAverages", Napi::Function::New<load_averages>(env));
  add_parsers(env, testing);
  return testing;
}

NODE_API_MODULE(vprocfs_testing, initialise)

}  // namespace
}  // namespace vprocfs
