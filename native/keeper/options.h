#pragma once

#include <signal.h>

#include <cstdint>

#include "keeper/log.h"

namespace vprocfs {

/// The keeper's command line. Strings are argv's own.
struct KeeperOptions {
  const char* mountpoint = nullptr;
  const char* polled = nullptr;  ///< mount point of files that are polled; nullptr: none
  const char* type = "fuse.lxcfs";
  const char* source = "vprocfs";
  const char* socket = nullptr;  ///< control socket; nullptr: none
  const char* rest = nullptr;    ///< where a later worker finds what we leave; nullptr: nowhere
  bool tick = false;             ///< contract `tick` rather than `exact`
  bool standby = true;           ///< hold a second worker ready to take over
  LogOptions log;
  uint32_t hold_ms = 0;           ///< only answer with errors for so long; see refuse_all()
  bool launch = false;            ///< find out what to become; see launch() of keeper/launch.h
  bool check = false;             ///< only say whether this program would start with all that
  uint32_t watchdog_ms = 5000;    ///< silence after which a worker is replaced
  uint32_t start_ms = 30000;      ///< how long a worker may take to get ready
  uint32_t drain_ms = 3000;       ///< how long a worker may take to answer what it holds
  uint32_t stop_ms = 25000;       ///< how long a worker may take to unmount and end
  uint32_t patience_ms = 10000;   ///< how long readers wait without a worker before they get EIO
  char* const* worker = nullptr;  ///< argv of a worker, nullptr-terminated; see launch()
  char* const* self = nullptr;    ///< our own argv, to execute ourselves again
};

/// The signal that has a keeper end for the next one to go on: everything stays in the service
/// manager's store, and nothing is unmounted.
int leave_signal();
/// All that a keeper is told by signals.
sigset_t keeper_signals();

/// False with a line on stderr when the command line is wrong.
bool parse_options(int argc, char** argv, KeeperOptions& out);

}  // namespace vprocfs
