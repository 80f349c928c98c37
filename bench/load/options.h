#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "enter.h"

namespace vprocfs_bench {

struct Options {
  std::vector<std::string> paths;     ///< a round reads each of them once
  std::vector<Container> containers;  ///< one process in each; none: one process right here
  bool single = false;    ///< one read(2) per open instead of reading to the end of file
  bool poller = false;    ///< puts each file into an epoll set first, as Go's os.Open does
  size_t buffer = 65536;  ///< bytes asked for by each read(2)
  size_t min_bytes = 0;   ///< fewer are a short read
  unsigned threads = 1;   ///< per process
  double rate = 0.0;      ///< rounds per second and thread; 0: as fast as they go
  double seconds = 0.0;   ///< 0: `count` decides
  uint64_t count = 0;     ///< rounds per thread; 0: `seconds` decides
  uint64_t warmup = 10;   ///< rounds per thread before the clock starts
};

/// Prints what is wrong, or the help, and ends the process when there is no point in going on.
Options parse_options(int argc, char** argv);

}  // namespace vprocfs_bench
