#pragma once

#include <napi.h>

#include <tuple>
#include <type_traits>
#include <utility>

#include "addon/bind.h"

namespace vprocfs {

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
// A struct with a function `members(const T*)`, which returns a std::tuple of them, is an object of
// these in JavaScript.

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

}  // namespace vprocfs
