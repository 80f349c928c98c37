#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fd.h"
#include "keeper/kept_memory.h"
#include "keeper/options.h"

namespace vprocfs {

struct LaunchRecord;

/// The command line that this keeper runs with, and what it came from, for the next keeper: where
/// nothing of that has changed it needs no start of Node to find its options, for which readers of
/// the mount would wait. In memory that is handed on through the service manager's store.
class Launch {
 public:
  /// As Memo::open().
  bool open(Fd fd);
  int fd() const { return memory_.fd(); }

  /// Writes down how this keeper was launched. Nothing, and the next one starts Node, when launch()
  /// did not start it, or when its command line has no room.
  void write(const KeeperOptions& options);
  /// A worker serves: this way of launching works. Until then nobody goes that way again.
  void prove();
  /// Whether a keeper that `command` stands for, which nothing has replaced or configured since,
  /// got to serve. If so takes that back, until the next one serves, and makes `argv` (of `room`
  /// entries) its command line, which lives as long as this.
  bool repeats(uint64_t command, char** argv, size_t room);

 private:
  KeptMemory memory_;
  LaunchRecord* record_ = nullptr;
};

/// Becomes the keeper that goes on with the mount in the service manager's store, started as the
/// last one was; where there is none, or anything has changed, the program `options.worker`, which
/// finds out how to start one (`vprocfs run`). Returns the exit status, when it can be neither.
int launch(const KeeperOptions& options);

}  // namespace vprocfs
