#include "fuse/mount.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstdint>

#include "base/new_mount.h"
#include "base/write_text.h"

namespace vprocfs {

Result<Fd> mount_fuse(const std::string& mountpoint, const std::string& type,
                      const std::string& source, bool kernel_permissions) {
  Fd fd(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fd) return Error{errno, "/dev/fuse"};
  const std::string options = "fd=" + std::to_string(fd.get()) +
                              ",rootmode=40000,user_id=0,group_id=0,allow_other" +
                              (kernel_permissions ? ",default_permissions" : "");
  if (::mount(source.c_str(), mountpoint.c_str(), type.c_str(), MS_NOSUID | MS_NODEV | MS_NOEXEC,
              options.c_str()) != 0) {
    return Error{errno, mountpoint};
  }
  return fd;
}

Result<Fd> clone_fuse(int connection, int flags) {
  Fd fd(::open("/dev/fuse", O_RDWR | O_CLOEXEC | flags));
  auto from = static_cast<uint32_t>(connection);
  if (!fd || ::ioctl(fd.get(), FUSE_DEV_IOC_CLONE, &from) != 0) {
    return Error{errno, "/dev/fuse clone"};
  }
  return fd;
}

Result<bool> unmount_fuse(const std::string& mountpoint, bool& lazy) {
  lazy = false;
  if (::umount2(mountpoint.c_str(), UMOUNT_NOFOLLOW) == 0) return true;
  if (errno != EBUSY) return Error{errno, mountpoint};
  lazy = true;
  if (::umount2(mountpoint.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return true;
  return Error{errno, mountpoint};
}

Result<bool> abort_fuse(uint64_t device) {
  const Fd connections = new_mount("fusectl");
  if (!connections) return Error{errno, "fusectl"};
  const std::string file = std::to_string(minor(device)) + "/abort";
  if (!write_text(connections.get(), file.c_str(), "1")) return Error{errno, file};
  return true;
}

}  // namespace vprocfs
