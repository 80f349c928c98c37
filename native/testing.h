#pragma once

#include <napi.h>

namespace vprocfs {

/// Adds `testing` to the addon's exports: the parsers, sources, models and views without a mount.
/// What it takes and returns is typed in test/support/testing.ts; bad arguments throw TypeError.
void register_testing(Napi::Env env, Napi::Object exports);

}  // namespace vprocfs
