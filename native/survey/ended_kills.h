#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "source/container_id.h"

namespace vprocfs {

/// Counts OOM kills that no survey can show, because the container that the kernel's log told of
/// them has ended since. Not thread-safe.
class EndedKills {
 public:
  /// The containers that a kill is counted for, from the outermost to the innermost.
  using Owners = std::vector<ContainerId>;
  enum class Container : uint8_t { kShown, kLives, kEnded };
  using StateOf = std::function<Container(ContainerId)>;

  void add(std::vector<Owners> kills);
  /// Decides for each kill that was added by what the survey has. One of which nobody is shown, but
  /// somebody lives, waits for the next survey.
  void settle(const StateOf& state_of);
  uint64_t count() const { return count_; }

 private:
  std::vector<Owners> open_;
  uint64_t count_ = 0;
};

}  // namespace vprocfs
