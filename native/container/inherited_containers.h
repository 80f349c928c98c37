#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "base/attempts.h"
#include "container/registry.h"

namespace vprocfs {

/// Finds the containers of the open files that a previous worker left. The process that opened a
/// file may have ended, and its container may have made the search as expensive as it can, while
/// its readers wait. So failed searches have their own budget. Thread-safe: nobody waits for the
/// search of another.
class InheritedContainers {
 public:
  /// Borrows the registry.
  explicit InheritedContainers(Registry& registry) : registry_(registry) {}

  /// One that lives, or an ended one with nothing but its name.
  std::shared_ptr<Container> of(ContainerId id);
  /// Whether of() is known. Finds it first, unless the container keeps us from that: those are left
  /// to whoever asks for them. For the thread that asks for what nobody else has asked for.
  bool find(ContainerId id, Attempts* attempts);
  /// Lets go of all that were found: nothing is asked any more.
  void forget();

 private:
  bool is_known(ContainerId id);
  std::shared_ptr<Container> look_for(ContainerId id);

  Registry& registry_;
  std::mutex mutex_;
  std::map<ContainerId, std::shared_ptr<Container>> known_;
  std::atomic<uint64_t> spent_us_{0};
};

}  // namespace vprocfs
