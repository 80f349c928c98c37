#pragma once

#include "base/lanes.h"
#include "base/priority.h"

namespace vprocfs {

/// Sends notices about files to the kernel, on its own threads, because a notice may wait for a
/// page that another request is reading, so no thread that answers READs may send it. Used before
/// an OPEN is answered (if a file has become longer, because sendfile(2) and splice(2) read no
/// further than the size the kernel knows), when limits change (what the kernel has cached is
/// outdated), and for readers of a kernel log, because they may be thousands.
///
/// A reader can hold its page for long: it may wait for its own budget, or get no CPU time. So each
/// tenant has a lane, of any number that stands for it. To be closed while requests are still
/// taken: a notice may wait for the answer to a READ.
class Notifier : public Lanes {
 public:
  Notifier() : Lanes(go_first) {}
};

}  // namespace vprocfs
