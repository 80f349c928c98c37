#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "klog/logs.h"

namespace vprocfs {

/// What a container's log begins with: the machine that it is shown.
struct BannerFacts {
  std::string release, version;  ///< of uname(2)
  uint64_t cpus = 1;
  uint64_t memory_kb = 0, swap_kb = 0;
  uint64_t time_us = 0;  ///< when the container started
};

/// How many lines a banner has, whatever it tells: numbers of later records do not depend on it.
inline constexpr size_t kBannerLines = 4;

std::vector<OwnLine> banner_lines(const BannerFacts& facts);

}  // namespace vprocfs
