#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fd.h"
#include "keeper/handover_memory.h"
#include "keeper/options.h"

namespace vprocfs {

struct LaunchRecord;

/// The command line of this keeper and the files it was derived from, stored for the next keeper.
/// If none of them has changed, the next keeper need not start Node to find its options, and
/// readers of the mount do not wait for that. Lies in memory that is handed on through the service
/// manager's store.
class Launch {
 public:
  /// As Memo::open().
  bool open(Fd fd);
  int fd() const { return memory_.fd(); }

  /// Writes down how this keeper was launched. Nothing, and the next one starts Node, when launch()
  /// did not start it, or when its command line has no room.
  void write(const KeeperOptions& options);
  /// A worker serves: this way of launching works. Until then nobody is launched this way again.
  void confirm();
  /// Notes that the command is executed to find out how to start a keeper. False: it was, and none
  /// came of it, so often that readers are to get errors first.
  bool begin();
  /// Readers got errors: the command has one more try before they do again.
  void refused();
  /// Whether the last keeper was started by `command`, got to serve, and nothing was replaced or
  /// reconfigured since. If so, puts its command line, which lives as long as this object, into
  /// `argv` (of `room` entries), and clears the mark that it served until the next one serves.
  bool matches(uint64_t command, char** argv, size_t room);

 private:
  HandoverMemory memory_;
  LaunchRecord* record_ = nullptr;
};

/// Executes the keeper that continues with the mount in the service manager's store, started as the
/// last one was. If there is no such mount, or anything has changed, executes `options.worker`
/// instead, which finds out how to start one (`vprocfs run`). Returns an exit status only if both
/// fail, or if `options.worker` has failed again and again while readers of a mount wait.
int launch(const KeeperOptions& options);

}  // namespace vprocfs
