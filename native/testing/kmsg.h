#pragma once

#include <napi.h>

namespace vprocfs {

/// (bytes) -> { priority, text } of what was written to /dev/kmsg
Napi::Value read_written(const Napi::CallbackInfo& info);

/// (sequence, timeUs, priority, text) -> a record as /dev/kmsg gives it
Napi::Value write_kmsg(const Napi::CallbackInfo& info);

/// (steps) -> what each read of one reader found: the number of a record, "nothing" or "loss". A
/// step has the first record there is and the number of the next one; and an offset to read at and
/// the bytes that are read, or a record to seek to.
Napi::Value follow_kmsg(const Napi::CallbackInfo& info);

}  // namespace vprocfs
