#pragma once

#include <cstdint>
#include <functional>
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

/// Every banner has so many lines, so that the numbers of later records do not depend on it.
inline constexpr size_t kBannerLines = 4;

std::vector<OwnLine> banner_lines(const BannerFacts& facts);

struct ContainerDescription;
/// Makes the first lines of a container's log. Reads its cgroups.
using BannerOf = std::function<std::vector<OwnLine>(const ContainerDescription&)>;

}  // namespace vprocfs
