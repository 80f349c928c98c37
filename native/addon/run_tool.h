#pragma once

#include <napi.h>

namespace vprocfs {

/// `run` of NativeBinding: has a program run beside us, without the fork that Node makes. To fork a
/// process with as much memory and as many threads as ours has the kernel copy its page tables, and
/// every thread, readers' too, take a fault for each page that it writes next.
Napi::Value run_program(const Napi::CallbackInfo& info);

}  // namespace vprocfs
