#pragma once

#include <napi.h>

namespace vprocfs {

/// (procDir, pid) -> what process.cc reads of a process.
Napi::Value read_process(const Napi::CallbackInfo& info);

/// (text, name) -> a field of a process's status: { field, mask, numbers }, null what it is not.
Napi::Value read_status(const Napi::CallbackInfo& info);

}  // namespace vprocfs
