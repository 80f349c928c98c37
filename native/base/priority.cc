#include "base/priority.h"

#include <sys/resource.h>
#include <unistd.h>

namespace vprocfs {
namespace {

constexpr int kNice = -10;

}  // namespace

void go_first() {
  // On Linux 0 means the calling thread, not its process.
  if (::getpriority(PRIO_PROCESS, 0) > kNice) ::setpriority(PRIO_PROCESS, 0, kNice);
}

void go_along() {
  ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, static_cast<id_t>(::getpid())));
}

}  // namespace vprocfs
