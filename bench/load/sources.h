#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vprocfs_bench {

/// The kernel's files from which a container's file is made. They are read as a daemon would that
/// keeps them open for each container, and what they say is thrown away.
class Sources {
 public:
  /// Reads what `file` ("meminfo", "stat", ...) is made from for the cgroups of the thread `tid`.
  /// Reads nothing if the thread is gone.
  void read_for(uint32_t tid, std::string_view file);

 private:
  struct Source {
    std::string_view file;
    int fd;
  };
  using Opened = std::vector<Source>;

  std::shared_ptr<const Opened> sources_of(uint32_t tid);

  std::mutex mutex_;
  std::unordered_map<uint32_t, std::shared_ptr<const Opened>> known_;  ///< by thread
};

}  // namespace vprocfs_bench
