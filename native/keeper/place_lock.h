#pragma once

#include <string>

#include "base/fd.h"
#include "keeper/options.h"

namespace vprocfs {

/// A mount point's lock, beside its control socket: of two keepers that are started at once both
/// find nothing mounted. It is never waited for, and no child that executes a program keeps it.
class PlaceLock {
 public:
  /// Without a directory for it, as where /run is full, nobody has it.
  explicit PlaceLock(const KeeperOptions& options);
  ~PlaceLock() { release(); }
  PlaceLock(const PlaceLock&) = delete;
  PlaceLock& operator=(const PlaceLock&) = delete;

  /// Whether another keeper has it.
  bool is_taken() const { return taken_; }
  void release();

 private:
  std::string path_;
  Fd file_;
  bool taken_ = false;
};

}  // namespace vprocfs
