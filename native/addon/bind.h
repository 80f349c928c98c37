#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "addon/js_error.h"
#include "base/result.h"

namespace vprocfs {

// Makes functions and methods of C++ ones of JavaScript: add<f>(exports, "f") takes f's parameters
// from the arguments and gives back what it returns. Js<T> says what a T is in JavaScript: numbers
// are `number` (exact up to 2^53), absent ones null. An argument that is not as it should be throws
// a TypeError, and f is not called; an Error that it returns is thrown.

template <typename T, typename = void>
struct Js;

/// A value of JavaScript that is taken apart. After the first that is not as it should be, all that
/// is taken is empty.
struct Given {
  Napi::Env env;
  Napi::Value value;
  std::string name;

  bool failed() const { return env.IsExceptionPending(); }

  void wrong(const std::string& expected) const {
    if (failed()) return;
    Napi::TypeError::New(env, name + " must be " + expected).ThrowAsJavaScriptException();
  }

  template <typename T>
  T as() const {
    return failed() ? T() : Js<T>::from(*this);
  }

  /// An integer from `low` to `high`.
  uint32_t between(uint32_t low, uint32_t high) const {
    const double d = !failed() && value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
    if (d >= low && d <= high && d == static_cast<double>(static_cast<uint32_t>(d))) {
      return static_cast<uint32_t>(d);
    }
    wrong("an integer from " + std::to_string(low) + " to " + std::to_string(high));
    return low;
  }

  /// A function, which any thread may call, and which keeps no program from ending.
  Napi::ThreadSafeFunction callback(const char* thread_name) const {
    if (!failed() && !value.IsFunction()) wrong("a function");
    if (failed()) return {};
    auto out = Napi::ThreadSafeFunction::New(env, value.As<Napi::Function>(), thread_name, 0, 1);
    out.Unref(env);
    return out;
  }

  Given member(const char* key) const {
    if (!failed() && value.IsObject()) return {env, value.As<Napi::Object>().Get(key), key};
    wrong("an object");
    return {env, Napi::Value(), key};
  }

  /// Calls `element(Given)` for each element.
  template <typename F>
  void each(F element) const {
    if (failed() || !value.IsArray()) return wrong("an array");
    const auto array = value.As<Napi::Array>();
    const uint32_t length = array.Length();
    for (uint32_t i = 0; i < length && !failed(); ++i) {
      const Napi::HandleScope scope(env);
      element(Given{env, array.Get(i), name});
    }
  }
};

template <typename T>
struct Js<T, std::enable_if_t<std::is_base_of_v<Napi::Value, T>>> {
  static T from(const Given& given) { return given.value.As<T>(); }
  static Napi::Value to(Napi::Env, const T& value) { return value; }
};

template <>
struct Js<bool> {
  static bool from(const Given& given) {
    if (given.value.IsBoolean()) return given.value.As<Napi::Boolean>();
    given.wrong("a boolean");
    return false;
  }
  static Napi::Value to(Napi::Env env, bool value) { return Napi::Boolean::New(env, value); }
};

/// From JavaScript only of up to 32 bits, if it is no double.
template <typename T>
struct Js<T, std::enable_if_t<std::is_arithmetic_v<T>>> {
  static T from(const Given& given) {
    using Limits = std::numeric_limits<T>;
    static_assert(!Limits::is_integer || sizeof(T) <= sizeof(uint32_t));
    const bool is_number = given.value.IsNumber();
    const double d = is_number ? given.value.As<Napi::Number>().DoubleValue() : 0;
    const bool fits = is_number && d >= Limits::lowest() && d <= Limits::max();
    if (fits && d == static_cast<double>(static_cast<T>(d))) return static_cast<T>(d);
    given.wrong(Limits::is_integer ? "a small integer" : "a number");
    return 0;
  }
  static Napi::Value to(Napi::Env env, T value) {
    return Napi::Number::New(env, static_cast<double>(value));
  }
};

template <>
struct Js<std::string_view> {
  static Napi::Value to(Napi::Env env, std::string_view value) {
    return Napi::String::New(env, value.empty() ? "" : value.data(), value.size());
  }
};

template <>
struct Js<const char*> : Js<std::string_view> {};

template <>
struct Js<std::string> : Js<std::string_view> {
  static std::string from(const Given& given) {
    if (given.value.IsString()) return given.value.As<Napi::String>().Utf8Value();
    given.wrong("a string");
    return {};
  }
};

template <typename T>
struct Js<std::optional<T>> {
  static std::optional<T> from(const Given& given) {
    if (given.value.IsUndefined() || given.value.IsNull()) return std::nullopt;
    return given.as<T>();
  }
  static Napi::Value to(Napi::Env env, const std::optional<T>& value) {
    return value ? Js<T>::to(env, *value) : env.Null();
  }
};

template <typename T>
struct Js<std::vector<T>> {
  static std::vector<T> from(const Given& given) {
    std::vector<T> out;
    given.each([&out](const Given& one) { out.push_back(one.as<T>()); });
    return out;
  }
  static Napi::Value to(Napi::Env env, const std::vector<T>& values) {
    Napi::Array out = Napi::Array::New(env);
    for (const T& value : values) out.Set(out.Length(), Js<T>::to(env, value));
    return out;
  }
};

/// An object, made member by member in the order in which JavaScript lists them.
class JsObject {
 public:
  explicit JsObject(Napi::Env env) : object_(Napi::Object::New(env)) {}

  template <typename T>
  JsObject& set(const std::string& name, const T& value) {
    object_.Set(name, Js<T>::to(object_.Env(), value));
    return *this;
  }
  JsObject& set(const std::string& name, const char* value) {
    return set(name, std::string_view(value));
  }
  operator Napi::Object() const { return object_; }  // NOLINT(google-explicit-constructor)
  operator Napi::Value() const { return object_; }   // NOLINT(google-explicit-constructor)

 private:
  Napi::Object object_;
};

/// An array of `make(item)` for each item.
template <typename Items, typename F>
Napi::Array list_of(Napi::Env env, const Items& items, F make) {
  Napi::Array out = Napi::Array::New(env);
  for (const auto& item : items) {
    const Napi::HandleScope scope(env);
    out.Set(out.Length(), Napi::Value(make(item)));
  }
  return out;
}

inline Napi::Value throw_error(Napi::Env env, const Error& error) {
  to_js_error(env, error).ThrowAsJavaScriptException();
  return env.Undefined();
}

template <typename T>
struct IsResult : std::false_type {};
template <typename T>
struct IsResult<Result<T>> : std::true_type {};

/// What a function returns, as JavaScript gets it.
template <typename T>
Napi::Value returned(Napi::Env env, const T& value) {
  if constexpr (std::is_same_v<T, Error>) {
    return throw_error(env, value);
  } else if constexpr (std::is_same_v<T, std::optional<Error>>) {
    return value ? throw_error(env, *value) : env.Undefined();
  } else if constexpr (IsResult<T>::value) {
    return value ? returned(env, value.value()) : throw_error(env, value.error());
  } else {
    return Js<T>::to(env, value);
  }
}

/// What is kept of an argument while a function that takes a T runs.
template <typename T>
using Kept = std::conditional_t<std::is_same_v<std::decay_t<T>, std::string_view>, std::string,
                                std::decay_t<T>>;

/// The arguments; nothing, with an exception pending, when one is not as it should be.
template <typename... Ts>
std::optional<std::tuple<Ts...>> arguments(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  size_t at = 0;
  [[maybe_unused]] const auto next = [&] {
    const size_t i = at++;
    return Given{env, info[i], "argument " + std::to_string(at)};
  };
  auto out = std::make_optional(std::tuple<Ts...>{next().template as<Ts>()...});
  if (env.IsExceptionPending()) out.reset();
  return out;
}

/// Calls `function(arguments...)`, or, where it takes one, `function(env, arguments...)`.
template <typename F, typename R, typename... Ts>
Napi::Value invoke(const Napi::CallbackInfo& info, F function, R (*)(Ts...)) {
  const Napi::Env env = info.Env();
  const auto given = arguments<Kept<Ts>...>(info);
  if (!given) return env.Undefined();
  if constexpr (std::is_void_v<R>) {
    std::apply(function, *given);
    return env.Undefined();
  } else {
    return returned(env, std::apply(function, *given));
  }
}
template <typename F, typename R, typename... Ts>
Napi::Value invoke(const Napi::CallbackInfo& info, F function, R (*)(Napi::Env, Ts...)) {
  const Napi::Env env = info.Env();
  const auto with_env = [&](const auto&... all) { return function(env, all...); };
  return invoke(info, with_env, static_cast<R (*)(Ts...)>(nullptr));
}

template <auto kFunction>
Napi::Value call(const Napi::CallbackInfo& info) {
  return invoke(info, kFunction, kFunction);
}

template <auto kFunction>
void add(Napi::Object& to, const char* name) {
  to.Set(name, Napi::Function::New<call<kFunction>>(to.Env(), name));
}

/// A class of JavaScript whose methods are made of those of `Class`.
template <typename Class>
class Wrapped : public Napi::ObjectWrap<Class> {
 public:
  using Napi::ObjectWrap<Class>::ObjectWrap;

 protected:
  template <auto kMethod>
  static auto method(const char* name) {
    using Callback = Napi::Value (Class::*)(const Napi::CallbackInfo&);
    return Class::InstanceMethod(name, static_cast<Callback>(&Wrapped::template on<kMethod>));
  }

 private:
  template <typename R, typename... Ts>
  static R (*plain(R (Class::*)(Ts...)))(Ts...);

  template <auto kMethod>
  Napi::Value on(const Napi::CallbackInfo& info) {
    const auto run = [this](const auto&... all) {
      return (static_cast<Class*>(this)->*kMethod)(all...);
    };
    return invoke(info, run, decltype(plain(kMethod)){});
  }
};

}  // namespace vprocfs
