#pragma once

#include <array>

#include "addon/bind.h"
#include "facts/cpu_set.h"
#include "source/container_id.h"
#include "testing/members.h"

namespace vprocfs {

// What values are for the tests: numbers of 64 bits are bigint.

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

template <>
struct Js<Number> {
  static Napi::Value to(Napi::Env env, Number number) {
    return Napi::Number::New(env, number.value);
  }
};

template <uint32_t kHigh>
struct Js<UpTo<kHigh>> {
  static UpTo<kHigh> from(const Given& given) { return {given.between(0, kHigh)}; }
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

/// The same of a number that is no bigint. Only to JavaScript.
template <typename T, typename F>
constexpr Member<Number, T, F> number(const char* name, F T::*field) {
  return {name, field};
}

}  // namespace vprocfs
