#pragma once

#include <napi.h>

namespace vprocfs {

/// (samples) -> what is reported after each
Napi::Value advance_samples(const Napi::CallbackInfo& info);

/// ({ cpuset, bandwidth }, online CPUs) -> the CPUs that a container with these limits is shown
Napi::Value shown_cpus_of(const Napi::CallbackInfo& info);

/// (text, { bytes, seam }, fixed) -> { text, bytes, seam }: a file's next text and length in
/// `tick`.
Napi::Value stabilised(const Napi::CallbackInfo& info);

}  // namespace vprocfs
