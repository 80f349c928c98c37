#pragma once

#include <napi.h>

#include "fuse/engine.h"

namespace vprocfs {

/// What a session is constructed with.
struct SessionOptions {
  EngineOptions engine;
  /// The socket to the keeper; -1: there is none.
  int control_fd = -1;
};

/// Reads SessionOptions of src/native/session.ts, but for what is called. With an option that is
/// not as it should be a TypeError is pending in `env` afterwards.
SessionOptions session_options_of(Napi::Env env, const Napi::Object& object);

}  // namespace vprocfs
