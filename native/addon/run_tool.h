#pragma once

#include <napi.h>

#include <string>
#include <vector>

namespace vprocfs {

/// `run` of NativeBinding: runs a program in a child process, without the fork that Node makes.
/// When a process with as much memory and as many threads as this one forks, the kernel copies its
/// page tables, and every thread, those that serve readers too, takes a fault for each page that it
/// writes next.
Napi::Value run_program(Napi::Env env, const std::vector<std::string>& argv, double timeout_ms);

}  // namespace vprocfs
