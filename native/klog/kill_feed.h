#pragma once

#include <cstdint>
#include <vector>

#include "klog/oom_kill.h"

namespace vprocfs {

/// The kills that the kernel's log tells of, for whoever wants to know of them.
class KillFeed {
 public:
  virtual ~KillFeed() = default;

  /// Takes in what the log has at this moment.
  virtual void update() = 0;
  /// False where the log cannot be read: nothing is known then.
  virtual bool readable() const = 0;
  /// The latest kills after the `seen` first ones, oldest first; `seen` counts them from then on.
  virtual std::vector<OomKill> kills(uint64_t& seen) const = 0;
};

}  // namespace vprocfs
