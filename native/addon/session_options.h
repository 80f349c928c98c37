#pragma once

#include "addon/bind.h"
#include "engine/engine.h"

namespace vprocfs {

/// What a session is constructed with.
struct SessionOptions {
  EngineOptions engine;
  /// The socket to the keeper; -1: there is none.
  int control_fd = -1;
};

/// Reads SessionOptions of src/native/session.ts, except the callbacks. If an option is invalid, a
/// TypeError is pending afterwards.
SessionOptions session_options_of(const Given& options);

}  // namespace vprocfs
