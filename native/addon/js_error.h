#pragma once

#include <napi.h>

#include <cstring>
#include <string>

#include "base/result.h"

namespace vprocfs {

/// A JavaScript Error with `code` ("ENOENT"), `errno` and `path`.
inline Napi::Error to_js_error(Napi::Env env, const Error& error) {
  const char* name = ::strerrorname_np(error.code);
  const std::string code = name == nullptr ? std::to_string(error.code) : name;
  Napi::Error e = Napi::Error::New(env, problem_of(error));
  e.Set("code", Napi::String::New(env, code));
  e.Set("errno", Napi::Number::New(env, error.code));
  e.Set("path", Napi::String::New(env, error.path));
  return e;
}

}  // namespace vprocfs
