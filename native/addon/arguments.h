#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace vprocfs {

/// False, with a TypeError pending, when an argument is not as it should be. One that is missing is
/// undefined.
inline bool expect(Napi::Env env, bool fits, const char* message) {
  if (!fits) Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return fits;
}

/// The text of an argument; nothing, with an exception pending, when it is none.
inline std::optional<std::string> text_argument(const Napi::CallbackInfo& info, size_t at,
                                                const char* message) {
  if (!expect(info.Env(), info[at].IsString(), message)) return std::nullopt;
  return info[at].As<Napi::String>().Utf8Value();
}

/// Reads an object's properties, remembering the first that is not as it should be.
class Arguments {
 public:
  Arguments(Napi::Env env, Napi::Object object) : env_(env), object_(object) {}

  std::string text(const char* name) {
    const Napi::Value v = object_.Get(name);
    if (!v.IsString()) return wrong(name, "a string"), std::string();
    return v.As<Napi::String>().Utf8Value();
  }
  uint32_t number(const char* name, uint32_t low, uint32_t high) {
    const Napi::Value v = object_.Get(name);
    const double d = v.IsNumber() ? v.As<Napi::Number>().DoubleValue() : -1;
    if (!(d >= low && d <= high) || d != static_cast<double>(static_cast<uint32_t>(d))) {
      wrong(name,
            ("an integer from " + std::to_string(low) + " to " + std::to_string(high)).c_str());
      return low;
    }
    return static_cast<uint32_t>(d);
  }
  bool flag(const char* name) {
    const Napi::Value v = object_.Get(name);
    if (!v.IsBoolean()) wrong(name, "a boolean");
    return v.ToBoolean();
  }
  bool failed() const { return env_.IsExceptionPending(); }

  void wrong(const char* name, const char* expected) {
    if (failed()) return;
    Napi::TypeError::New(env_, std::string(name) + " must be " + expected)
        .ThrowAsJavaScriptException();
  }

 private:
  Napi::Env env_;
  Napi::Object object_;
};

}  // namespace vprocfs
