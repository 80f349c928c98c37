#pragma once

#include <napi.h>

namespace vprocfs {

/// Adds parsers to the addon: functions of text.
void add_parsers(Napi::Env env, Napi::Object testing);

}  // namespace vprocfs
