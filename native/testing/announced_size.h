#pragma once

#include <napi.h>

namespace vprocfs {

/// ([[what, size]]) -> the size that the kernel was told last, after each: "tell" and "again" in an
/// answer, "mark" before a notice, "note" after it
Napi::Value announce_sizes(const Napi::CallbackInfo& info);

}  // namespace vprocfs
