#pragma once

#include <napi.h>

#include "engine/engine.h"

namespace vprocfs {

/// What a session is constructed with.
struct SessionOptions {
  EngineOptions engine;
  /// The socket to the keeper; -1: there is none.
  int control_fd = -1;
};

/// Reads SessionOptions of src/native/session.ts, except the callbacks. If an option is invalid, a
/// TypeError is pending in `env` afterwards.
SessionOptions session_options_of(Napi::Env env, const Napi::Object& object);

}  // namespace vprocfs
