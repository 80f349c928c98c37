#pragma once

#include <napi.h>

#include <array>
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
#include "facts/cpu_set.h"
#include "source/container_id.h"

namespace vprocfs {

// Makes functions and methods of C++ ones of JavaScript: add<f>(exports, "f") takes f's parameters
// from the arguments and gives back what it returns. Js<T> says what a T is in JavaScript: numbers
// of 64 bits are bigint, absent ones null, a struct is an object of its members(). An argument that
// is not as it should be throws a TypeError, and f is not called; an Error that it returns is
// thrown.

template <typename T, typename = void>
struct Js;

/// A value of JavaScript that is taken apart. After the first that is not as it should be, all that
/// is taken is empty.
struct Given {
  Napi::Env env;
  Napi::Value value;
  std::string name;

  bool failed() const { return env.IsExceptionPending(); }

  void wrong(const char* expected) const {
    if (failed()) return;
    Napi::TypeError::New(env, name + " must be " + expected).ThrowAsJavaScriptException();
  }

  template <typename T>
  T as() const {
    return failed() ? T() : Js<T>::from(*this);
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

/// A number that is not too large for `number`, whatever its type here. Only to JavaScript.
struct Number {
  template <typename T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
  Number(T from) : value(static_cast<double>(from)) {}  // NOLINT(google-explicit-constructor)
  double value;
};

/// An integer from 0 to `kHigh`.
template <uint32_t kHigh>
struct UpTo {
  uint32_t value = 0;
  operator uint32_t() const { return value; }  // NOLINT(google-explicit-constructor)
};

/// The content of a Buffer.
struct Bytes {
  Bytes() = default;
  template <typename T>
  explicit Bytes(const T& from) : text(from.begin(), from.end()) {}
  std::string text;
};

template <>
struct Js<Napi::Value> {
  static Napi::Value to(Napi::Env, Napi::Value value) { return value; }
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

template <>
struct Js<uint64_t> {
  static uint64_t from(const Given& given) {
    bool lossless = false;
    const bool is_it = given.value.IsBigInt();
    const uint64_t number = is_it ? given.value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
    if (!lossless) given.wrong("a bigint of 64 bits");
    return lossless ? number : 0;
  }
  static Napi::Value to(Napi::Env env, uint64_t value) { return Napi::BigInt::New(env, value); }
};

/// An integer of up to 32 bits.
template <typename T>
struct Js<T, std::enable_if_t<std::is_integral_v<T> && sizeof(T) <= sizeof(uint32_t)>> {
  static T from(const Given& given) {
    using Limits = std::numeric_limits<T>;
    const double d = given.value.IsNumber() ? given.value.As<Napi::Number>().DoubleValue() : 0.5;
    const bool fits = d >= Limits::min() && d <= Limits::max();
    if (fits && d == static_cast<double>(static_cast<T>(d))) return static_cast<T>(d);
    given.wrong("a small integer");
    return 0;
  }
  static Napi::Value to(Napi::Env env, T value) {
    return Napi::Number::New(env, static_cast<double>(value));
  }
};

template <>
struct Js<Number> {
  static Napi::Value to(Napi::Env env, Number number) {
    return Napi::Number::New(env, number.value);
  }
};

template <uint32_t kHigh>
struct Js<UpTo<kHigh>> {
  static UpTo<kHigh> from(const Given& given) {
    const auto number = given.as<uint32_t>();
    if (number > kHigh) given.wrong("a smaller integer");
    return {number > kHigh ? 0 : number};
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

template <>
struct Js<Bytes> {
  static Bytes from(const Given& given) {
    if (!given.value.IsBuffer()) return given.wrong("a Buffer"), Bytes();
    const auto buffer = given.value.As<Napi::Buffer<char>>();
    return Bytes(std::string_view(buffer.Data(), buffer.Length()));
  }
  static Napi::Value to(Napi::Env env, const Bytes& bytes) {
    return Napi::Buffer<char>::Copy(env, bytes.text.data(), bytes.text.size());
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

/// An array of so many elements at least.
template <typename T, size_t N>
struct Js<std::array<T, N>> {
  static std::array<T, N> from(const Given& given) {
    std::array<T, N> out{};
    for (size_t i = 0; i < N; ++i) out[i] = given.member(std::to_string(i).c_str()).as<T>();
    return out;
  }
};

/// An array of different ones.
template <typename... Ts>
struct Js<std::tuple<Ts...>> {
  static std::tuple<Ts...> from(const Given& given) {
    return from(given, std::index_sequence_for<Ts...>());
  }
  template <size_t... I>
  static std::tuple<Ts...> from(const Given& given, std::index_sequence<I...>) {
    return {given.member(std::to_string(I).c_str()).template as<Ts>()...};
  }
};

template <>
struct Js<CpuSet> {
  static CpuSet from(const Given& given) {
    constexpr uint32_t kHighestCpu = 65535;
    const auto ids = given.as<std::vector<UpTo<kHighestCpu>>>();
    return CpuSet(std::vector<uint32_t>(ids.begin(), ids.end()));
  }
  static Napi::Value to(Napi::Env env, const CpuSet& set) {
    return Js<std::vector<uint32_t>>::to(env, set.ids());
  }
};

template <>
struct Js<ContainerId> {
  static ContainerId from(const Given& given) {
    return ContainerId::from_packed(given.as<uint64_t>());
  }
};

/// A member of a struct, and its name in JavaScript; `As` is what it is there.
template <typename As, typename T, typename F>
struct Member {
  const char* name;
  F T::*field;
};
template <typename T, typename F>
constexpr Member<F, T, F> member(const char* name, F T::*field) {
  return {name, field};
}
/// The same of a number that is no bigint. Only to JavaScript.
template <typename T, typename F>
constexpr Member<Number, T, F> number(const char* name, F T::*field) {
  return {name, field};
}

// A struct has a function `members(const T*)`, which returns a std::tuple of them.

template <typename T>
T take_members(const Given& given) {
  T out{};
  const auto take = [&](auto one) {
    using F = std::decay_t<decltype(out.*one.field)>;
    out.*one.field = given.member(one.name).template as<F>();
  };
  std::apply([&](auto... all) { (take(all), ...); }, members(static_cast<const T*>(nullptr)));
  return out;
}

template <typename As, typename T, typename F>
void set_member(Napi::Object& out, const Member<As, T, F>& one, const T& of) {
  out.Set(one.name, Js<As>::to(out.Env(), of.*one.field));
}

template <typename T>
Napi::Object made_of_members(Napi::Env env, const T& value) {
  Napi::Object out = Napi::Object::New(env);
  std::apply([&](auto... all) { (set_member(out, all, value), ...); },
             members(static_cast<const T*>(nullptr)));
  return out;
}

template <typename T>
struct Js<T, std::void_t<decltype(members(std::declval<const T*>()))>> {
  static T from(const Given& given) { return take_members<T>(given); }
  static Napi::Object to(Napi::Env env, const T& value) { return made_of_members(env, value); }
};

/// An object that is no struct.
class Built {
 public:
  explicit Built(Napi::Env env) : object_(Napi::Object::New(env)) {}

  template <typename T>
  Built& set(const char* name, const T& value) {
    object_.Set(name, Js<T>::to(object_.Env(), value));
    return *this;
  }
  Built& set(const char* name, const char* value) { return set(name, std::string_view(value)); }
  operator Napi::Value() const { return object_; }  // NOLINT(google-explicit-constructor)

 private:
  Napi::Object object_;
};

template <typename T>
struct IsResult : std::false_type {};
template <typename T>
struct IsResult<Result<T>> : std::true_type {};

inline Napi::Value throw_error(Napi::Env env, const Error& error) {
  to_js_error(env, error).ThrowAsJavaScriptException();
  return env.Undefined();
}

/// What a function returns, as JavaScript gets it.
template <typename T>
Napi::Value returned(Napi::Env env, const T& value) {
  if constexpr (IsResult<T>::value) {
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
