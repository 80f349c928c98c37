#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "source/container_id.h"
#include "state/state_file.h"

namespace vprocfs {

/// Gives back what the state file keeps of containers whose end no worker saw: they ended after a
/// takeover and before anybody asked the new worker about them, or in a PID namespace that others
/// have, too. Looks for them at first, and again when there is no room. In steps, because the
/// kernel is asked about each. Not thread-safe.
class UnseenEnds {
 public:
  using Is = std::function<bool(ContainerId)>;
  using Forget = std::function<void(ContainerId)>;

  /// `exists`: as Resolver::exists(). `forget` is called for what does not: nobody is to keep more
  /// of it. `state` may be nullptr: there is nothing to do then.
  UnseenEnds(StateFile* state, Is exists, Forget forget);

  /// Readable when there is no room: look_again() is to be called then. -1: never.
  int fd() const { return state_ == nullptr ? -1 : state_->lacks_room().fd(); }
  /// Begins to look again, unless that was done a moment ago: then a little later.
  void look_again();

  /// When the next step is due, CLOCK_BOOTTIME; 0: there is nothing to do.
  uint64_t due_us() const { return due_us_; }
  /// Looks at a few containers, or at the first of all.
  void step();

 private:
  StateFile* const state_;
  const Is exists_;
  const Forget forget_;
  std::vector<uint64_t> left_;  ///< keys to be looked at
  uint64_t looked_us_ = 0;      ///< when it began to look last
  uint64_t due_us_ = 0;
  bool again_ = false;  ///< there was no room since it began
};

}  // namespace vprocfs
