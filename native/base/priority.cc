#include "base/priority.h"

#include <sys/resource.h>
#include <unistd.h>

namespace vprocfs {
namespace {

constexpr int kNice = -10, kNiceLast = 19;

}  // namespace

void go_first() {
  // On Linux 0 means the calling thread, not its process.
  if (::getpriority(PRIO_PROCESS, 0) > kNice) ::setpriority(PRIO_PROCESS, 0, kNice);
}

void go_along() {
  ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, static_cast<id_t>(::getpid())));
}

void go_last() {
  // Without the privilege to undo it, it would be for ever.
  if (::setpriority(PRIO_PROCESS, 0, kNice) == 0) ::setpriority(PRIO_PROCESS, 0, kNiceLast);
}

}  // namespace vprocfs
