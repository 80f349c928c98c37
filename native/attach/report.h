#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace vprocfs {

/// What became of one file of a container.
enum class FileState {
  kAttached,  ///< was the kernel's, is ours now
  kPresent,   ///< was ours already
  kReplaced,  ///< was a dead mount of ours, another container's, or LXCFS's
  kHealed,    ///< ours was covered by something
  kDetached,  ///< was ours, is what was there before
  kLeft,      ///< somebody else's, and not to be touched
  kMissing,   ///< --check: attaching would have something to do
  kFailed,
};

struct FileReport {
  std::string path;
  FileState state = FileState::kFailed;
  std::string reason;
};

/// What one run has done.
struct Report {
  pid_t pid = 0;
  std::string name, id;
  std::vector<FileReport> files;
  std::vector<std::string> problems;  ///< of the whole run
  bool busy = false;                  ///< another run for the same tenant has not ended
  uint64_t cpu_us = 0;                ///< CPU time that it took

  bool failed() const;
  /// One line for a log: why it failed.
  std::string line() const;
  /// {"pid":…,"id":…,"files":[{"path":…,"state":…,"reason":…}],"problems":[…],"busy":…,"cpuUs":…}
  std::string json() const;
};

}  // namespace vprocfs
