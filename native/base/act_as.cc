#include "base/act_as.h"

#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

namespace vprocfs {

ActAs::ActAs(unsigned user, unsigned group) : parent_(::getppid()) {
  ::prctl(PR_GET_PDEATHSIG, &signal_);
  ::setfsgid(group);
  ::setfsuid(user);
}

ActAs::~ActAs() {
  const int code = errno;
  ::setfsuid(0);
  ::setfsgid(0);
  if (signal_ != 0) {
    ::prctl(PR_SET_PDEATHSIG, signal_);
    if (::getppid() != parent_) ::raise(signal_);
  }
  errno = code;
}

}  // namespace vprocfs
