#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "facts/host.h"
#include "facts/io.h"
#include "source/mount_table.h"

namespace vprocfs {

/// The block devices that a process's file systems lie on, as its mount table tells them. Not
/// thread-safe.
///
/// The table is the container's to fill: no more than its first 256 KiB are read, with a few
/// ms of CPU time, and not more often than every ten seconds, or less often if that takes long. It
/// is read sooner if the list is not complete: what was found before counts meanwhile.
class MountedDevices {
 public:
  /// Borrows both descriptors, of a procfs and a sysfs. `start_us` tells the process from a later
  /// one with its PID: when it began, CLOCK_BOOTTIME, as its stat file has it.
  MountedDevices(int procfs_fd, int sysfs_fd, pid_t pid, uint64_t start_us)
      : procfs_fd_(procfs_fd), sysfs_fd_(sysfs_fd), pid_(pid), start_us_(start_us) {}

  /// Devices, and the disks of those that are partitions; each once. None when the process is gone.
  /// `disks` names those whose file systems have numbers of their own (btrfs).
  const std::vector<DeviceNumber>& at(uint64_t now_us, const std::vector<HostDisk>& disks);

 private:
  void add(DeviceNumber device);
  // False if a file could not be read that says what is to be added: the list is not complete.
  bool add_with_disk(DeviceNumber device);
  bool add_of(const MountEntry& mount, const std::vector<HostDisk>& disks);
  Result<Fd> open_table() const;

  int procfs_fd_, sysfs_fd_;
  pid_t pid_;
  uint64_t start_us_;
  uint64_t next_us_ = 0;  ///< when the table is read again
  std::vector<DeviceNumber> devices_;
};

}  // namespace vprocfs
