#pragma once

#include <napi.h>

namespace vprocfs {

// What each file of this directory adds to the addon.
void add_announced_size(Napi::Object& exports);
void add_budget(Napi::Object& exports);
void add_calls(Napi::Object& exports);
void add_census(Napi::Object& exports);
void add_kernel_logs(Napi::Object& exports);
void add_klog(Napi::Object& exports);
void add_kmsg(Napi::Object& exports);
void add_log_owners(Napi::Object& exports);
void add_models(Napi::Object& exports);
void add_parsers(Napi::Object& exports);
void add_processes(Napi::Object& exports);
void add_recorded(Napi::Object& exports);
void add_registry(Napi::Object& exports);
void add_source(Napi::Object& exports);
void add_state(Napi::Object& exports);
void add_tasks(Napi::Object& exports);
void add_tick_mirror(Napi::Object& exports);
void add_trees(Napi::Object& exports);
void add_turns(Napi::Object& exports);

}  // namespace vprocfs
