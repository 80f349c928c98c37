#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <variant>

namespace vprocfs {

/// Why something could not be had. `code` is an errno value.
struct Error {
  int code = 0;
  std::string path;  ///< what was being read, as the operator knows it
};

/// As operators read it: "/dev/kmsg: Operation not permitted".
inline std::string problem_of(const Error& error) {
  return error.path + ": " + std::strerror(error.code);
}

/// A value or the reason why there is none. Absence that is normal (a controller that is not there)
/// is not an Error: it is an empty std::optional inside the value.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : v_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() { return *std::get_if<0>(&v_); }
  const T& value() const { return *std::get_if<0>(&v_); }
  T value_or(T other) && { return ok() ? std::move(value()) : std::move(other); }
  const Error& error() const { return *std::get_if<1>(&v_); }

 private:
  std::variant<T, Error> v_;
};

}  // namespace vprocfs
