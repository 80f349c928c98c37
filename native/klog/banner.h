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

/// How many lines a banner has, whatever it tells: numbers of later records do not depend on it.
inline constexpr size_t kBannerLines = 4;

std::vector<OwnLine> banner_lines(const BannerFacts& facts);

struct ContainerDescription;
/// Tells what the log of a container begins with. Reads its cgroups.
using BannerOf = std::function<std::vector<OwnLine>(const ContainerDescription&)>;

}  // namespace vprocfs
