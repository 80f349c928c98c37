#include "keeper/passthrough_group.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/fd.h"
#include "base/write_text.h"

namespace vprocfs {
namespace {

constexpr char kGroup[] = "vprocfs-rest";
constexpr char kGroupProcs[] = "vprocfs-rest/cgroup.procs";
constexpr char kOurselves[] = "0";

struct Place {
  const char* path;
  long type;
};
/// Where these hierarchies are on every system with them.
constexpr Place kPlaces[] = {{"/sys/fs/cgroup", CGROUP2_SUPER_MAGIC},
                             {"/sys/fs/cgroup/unified", CGROUP2_SUPER_MAGIC},
                             {"/sys/fs/cgroup/systemd", CGROUP_SUPER_MAGIC}};

template <typename Act>
void for_each_root(Act act) {
  for (const Place& place : kPlaces) {
    const Fd root(::open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct statfs fs {};
    if (root && ::fstatfs(root.get(), &fs) == 0 && fs.f_type == place.type) act(root.get());
  }
}

}  // namespace

void enter_passthrough_group(pid_t pid) {
  // One that ends may take the group away in between.
  constexpr int kAttempts = 3;
  char text[16];
  std::snprintf(text, sizeof(text), "%d", pid);
  for_each_root([&text](int root) {
    for (int i = 0; i < kAttempts; ++i) {
      ::mkdirat(root, kGroup, 0755);
      if (write_text(root, kGroupProcs, text)) return;
    }
    ::unlinkat(root, kGroup, AT_REMOVEDIR);
  });
}

void leave_passthrough_group() {
  for_each_root([](int root) {
    // Where the root is a container's own it may not take us: the next one finds the group, then.
    write_text(root, "cgroup.procs", kOurselves);
    ::unlinkat(root, kGroup, AT_REMOVEDIR);
  });
}

bool remove_passthrough_group() {
  bool gone = true;
  for_each_root([&gone](int root) {
    if (::unlinkat(root, kGroup, AT_REMOVEDIR) != 0 && errno == EBUSY) gone = false;
  });
  return gone;
}

}  // namespace vprocfs
