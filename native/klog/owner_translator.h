#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "klog/known_process.h"
#include "klog/line.h"
#include "klog/owners.h"
#include "source/process.h"

namespace vprocfs {

/// Translates the lines of one group for one container.
class OwnerTranslator : public LineTranslator {
 public:
  /// `known`: processes that were looked up for this group, by PID; shared by its translators.
  using Known = std::unordered_map<pid_t, std::optional<KnownProcess>>;
  OwnerTranslator(const LogOwners& owners, const LogOwner& owner, int procfs_fd,
                  const LogMoment& moment, Known& known)
      : owners_(owners), owner_(owner), procfs_fd_(procfs_fd), moment_(moment), known_(known) {}

  std::optional<pid_t> pid(pid_t host) override;
  uint64_t user(uint64_t host) override;
  std::string memory_path(const std::string& host) override {
    return path_below(host, owner_.memory_path);
  }
  std::string pids_path(const std::string& host) override {
    return path_below(host, owner_.pids_path);
  }

 private:
  const LogOwners& owners_;
  const LogOwner& owner_;
  const int procfs_fd_;
  const LogMoment moment_;
  Known& known_;
  std::optional<std::vector<UserRange>> users_;
};

}  // namespace vprocfs
