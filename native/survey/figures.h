#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace vprocfs {

/// What is told of a container; the rows of figures.def.
enum class Figure : uint8_t {
#define VPROCFS_FIGURE(name, text) k##name,
#include "survey/figures.def"
#undef VPROCFS_FIGURE
};

inline constexpr const char* kFigureNames[] = {
#define VPROCFS_FIGURE(name, text) text,
#include "survey/figures.def"
#undef VPROCFS_FIGURE
};
inline constexpr size_t kFigureCount = sizeof(kFigureNames) / sizeof(kFigureNames[0]);

/// The figures of one container at one moment; NaN: there is no limit, or the figure is not known.
class Figures {
 public:
  Figures() { values_.fill(std::numeric_limits<double>::quiet_NaN()); }

  void set(Figure which, double value) { values_[static_cast<size_t>(which)] = value; }
  void set(Figure which, const std::optional<uint64_t>& value) {
    if (value) set(which, static_cast<double>(*value));
  }
  /// A figure in millionths of its unit.
  void set_micro(Figure which, const std::optional<uint64_t>& value) {
    if (value) set(which, static_cast<double>(*value) / 1e6);
  }
  double get(Figure which) const { return values_[static_cast<size_t>(which)]; }
  bool has(Figure which) const { return !std::isnan(get(which)); }
  const std::array<double, kFigureCount>& values() const { return values_; }

 private:
  std::array<double, kFigureCount> values_{};
};

}  // namespace vprocfs
