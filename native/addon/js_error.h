#pragma once

#include <napi.h>

#include "base/result.h"

namespace vprocfs {

/// A JavaScript Error with `code` ("ENOENT"), `errno` and `path`.
Napi::Error to_js_error(Napi::Env env, const Error& error);

}  // namespace vprocfs
