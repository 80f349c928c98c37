#pragma once

#include <napi.h>

namespace vprocfs {

/// (bytes) -> a record of /dev/kmsg; null for what is none
Napi::Value read_log_record(const Napi::CallbackInfo& info);

/// (records, { memory, pids, processes, firstUser }, printers) -> the groups that are whole after
/// the last one, as a container with these paths, PIDs and user ids is told them. `printers`, if
/// given: the task that printed each record
Napi::Value sort_log(const Napi::CallbackInfo& info);

/// (records) -> seconds that sorting and translating them took
Napi::Value time_log(const Napi::CallbackInfo& info);

/// ([{ record, monotonic, behind }], record, monotonic) -> by when that record had been logged, µs
Napi::Value log_clock(const Napi::CallbackInfo& info);

/// ([{ at, living, ended }], { at, slack }, { living, ended }) -> when the one began, µs, that a
/// record of that moment says has crashed; null: that is not proven
Napi::Value who_crashed(const Napi::CallbackInfo& info);

/// ([samples of perf_event_open(2)], [{ record, logged, faulted }], lost) -> who printed each
/// record; null where that is not proven. `faulted`: tasks without their code; `lost`: until when
/// others were lost, µs
Napi::Value who_printed(const Napi::CallbackInfo& info);

}  // namespace vprocfs
