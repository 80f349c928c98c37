#pragma once

#include <cstdint>
#include <string_view>

#include "base/fnv.h"
#include "source/read_file.h"

namespace vprocfs {

/// A number that changes with the mounts on and below proc and sysfs, given mountinfo's text in
/// pieces.
class MountsDigest {
 public:
  void feed(std::string_view piece);
  uint64_t value() const { return hash_; }

 private:
  LineCutter lines_;
  uint64_t hash_ = kFnvSeed;
};

}  // namespace vprocfs
