#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "source/container_id.h"

namespace vprocfs {

/// Containers that show CPUs which they did not show before, until somebody asks for them: what
/// their runtime has mounted on files of these CPUs is to be mounted over ours as well.
/// Thread-safe.
class MoreCpus {
 public:
  /// `on_first` is called when there is one after there was none. It must not block.
  explicit MoreCpus(std::function<void()> on_first) : on_first_(std::move(on_first)) {}

  void note(ContainerId id) {
    {
      const std::lock_guard lock(mutex_);
      ids_.insert(id);
      if (ids_.size() > 1) return;
    }
    on_first_();
  }

  /// Those that were noted since the last call.
  std::vector<ContainerId> take() {
    const std::lock_guard lock(mutex_);
    std::vector<ContainerId> taken(ids_.begin(), ids_.end());
    ids_.clear();
    return taken;
  }

 private:
  const std::function<void()> on_first_;
  std::mutex mutex_;
  std::set<ContainerId> ids_;
};

}  // namespace vprocfs
