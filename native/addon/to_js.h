#pragma once

#include <napi.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace vprocfs {

// What the addons give to JavaScript. Numbers become `number` (exact up to 2^53), absent ones null.

template <typename T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
Napi::Value to_js(Napi::Env env, T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return Napi::Boolean::New(env, value);
  } else {
    return Napi::Number::New(env, static_cast<double>(value));
  }
}
inline Napi::Value to_js(Napi::Env env, std::string_view value) {
  return Napi::String::New(env, value.empty() ? "" : value.data(), value.size());
}
template <typename T>
Napi::Value to_js(Napi::Env env, const std::optional<T>& value) {
  return value ? to_js(env, *value) : env.Null();
}
template <typename T, std::enable_if_t<std::is_base_of_v<Napi::Value, T>, int> = 0>
Napi::Value to_js(Napi::Env, const T& value) {
  return value;
}

/// A counter of a struct of them, and its name in JavaScript.
template <typename T>
struct JsMember {
  const char* name;
  std::atomic<uint64_t> T::*member;
};

/// An object, made member by member in the order in which JavaScript lists them.
class JsObject {
 public:
  explicit JsObject(Napi::Env env) : object_(Napi::Object::New(env)) {}

  template <typename T>
  JsObject& set(const std::string& name, const T& value) {
    object_.Set(name, to_js(object_.Env(), value));
    return *this;
  }
  /// The figures of several together.
  template <typename T, size_t N>
  JsObject& set(const std::vector<const T*>& all, const JsMember<T> (&members)[N]) {
    for (const auto& [name, member] : members) {
      uint64_t sum = 0;
      for (const T* one : all) sum += one->*member;
      set(name, sum);
    }
    return *this;
  }

  operator Napi::Object() const { return object_; }
  operator Napi::Value() const { return object_; }

 private:
  Napi::Object object_;
};

/// An array of `make(item)` for each item.
template <typename Items, typename F>
Napi::Array to_js_list(Napi::Env env, const Items& items, F make) {
  Napi::Array out = Napi::Array::New(env);
  for (const auto& item : items) {
    const Napi::HandleScope scope(env);
    out.Set(out.Length(), Napi::Value(make(item)));
  }
  return out;
}
/// An array of the items.
template <typename Items>
Napi::Array to_js_list(Napi::Env env, const Items& items) {
  return to_js_list(env, items, [env](const auto& item) { return to_js(env, item); });
}

}  // namespace vprocfs
