#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "keeper/connection.h"
#include "keeper/log.h"
#include "keeper/options.h"
#include "keeper/supervisor.h"

namespace {

/// Readers of every container depend on us: the last process to go when memory is short.
void protect_from_oom() {
  const vprocfs::Fd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (file && ::write(file.get(), "-1000", 5) < 0) return;
}

/// No descriptor of ours may become 0, 1 or 2: what is printed would go to the kernel.
bool occupy_standard_descriptors() {
  for (;;) {
    const int fd = ::open("/dev/null", O_RDWR);
    if (fd < 0) return false;
    if (fd <= STDERR_FILENO) continue;
    ::close(fd);
    return true;
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace vprocfs;
  KeeperOptions options;
  if (!occupy_standard_descriptors()) return 1;
  if (!parse_options(argc, argv, options)) return 2;
  ::signal(SIGPIPE, SIG_IGN);
  protect_from_oom();
  Connection connection;
  int fuse_fd = -1, state_fd = -1;
  const bool resumed = Supervisor::inherited(fuse_fd, state_fd);
  if (resumed ? !reconnect(options, fuse_fd, state_fd, connection)
              : !connect(options, connection)) {
    return 1;
  }
  Supervisor supervisor(options, connection);
  if (resumed) supervisor.resume();
  return supervisor.run();
}
