#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace vprocfs {

/// Containers that show CPUs which they did not show before, until somebody asks for them: what
/// their runtime has mounted on files of these CPUs is to be mounted over ours as well.
/// Thread-safe.
class MoreCpus {
 public:
  /// `on_first` is called when there is one after there was none. It must not block.
  explicit MoreCpus(std::function<void()> on_first) : on_first_(std::move(on_first)) {}

  /// `init`: of the container's PID namespace.
  void note(pid_t init) {
    {
      const std::lock_guard lock(mutex_);
      inits_.insert(init);
      if (inits_.size() > 1) return;
    }
    on_first_();
  }

  /// Those that were noted since the last call.
  std::vector<pid_t> take() {
    const std::lock_guard lock(mutex_);
    std::vector<pid_t> taken(inits_.begin(), inits_.end());
    inits_.clear();
    return taken;
  }

 private:
  const std::function<void()> on_first_;
  std::mutex mutex_;
  std::set<pid_t> inits_;
};

}  // namespace vprocfs
