#pragma once

#include <sys/types.h>

namespace vprocfs {

/// Has this thread access files as another user while it exists, and as root afterwards. The kernel
/// forgets at each change which signal the thread is to get when its parent ends (prctl(2),
/// PR_SET_PDEATHSIG): it is set again, and if the parent has ended meanwhile, the signal is sent.
/// Leaves errno as it is at the end.
class ActAs {
 public:
  explicit ActAs(unsigned user, unsigned group = 0);
  ~ActAs();
  ActAs(const ActAs&) = delete;
  ActAs& operator=(const ActAs&) = delete;

 private:
  pid_t parent_;
  int signal_ = 0;
};

}  // namespace vprocfs
