#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "facts/memory.h"
#include "source/cgroup_dir.h"
#include "source/read_file.h"

namespace vprocfs {

/// The limits of a container's cgroup and of those above it that have one, and what they leave.
///
/// A reading takes one pread(2) for the usage of each limited cgroup above the container. The
/// memory.stat of one is read only where it leaves less than the container and those below it do,
/// and swap only where the host has any and the cgroup has a limit for it that is not 0. The files
/// of the nearest few are kept open; those above are opened each time.
class MemoryLevels {
 public:
  /// Names of files, as in the version of cgroups.
  struct Files {
    const char* usage;
    const char* stat;
    const char* swap_usage;  ///< on v1 of memory and swap together
    MemoryStat (*parse_stat)(std::string_view text);
  };
  /// nothing: no limit.
  struct Limits {
    std::optional<uint64_t> memory_bytes, high_bytes;
    /// Of the limit and memory.swap.high the lower. v1 has neither.
    std::optional<uint64_t> swap_bytes;
    std::optional<uint64_t> both_bytes = std::nullopt;  ///< v1: of memory and swap together
  };

  /// `files` must outlive it.
  MemoryLevels(std::shared_ptr<const CgroupDir> dir, const Files& files)
      : dir_(std::move(dir)), files_(files) {}

  /// Forgets all limits.
  void clear();
  /// The limits of the cgroup `level` above the container; 0 is its own. From the leaf up.
  void add(size_t level, const Limits& given);

  /// What is left. `own`: of the container's own cgroup, whose usage and memory.stat have been read
  /// already. A cgroup whose files are not there (any more) limits nothing.
  Result<MemoryHeadroom> read(ReadBuffer& buffer, const MemoryFacts& own,
                              const HostMemorySize& host);

 private:
  struct Level {
    size_t level = 0;
    Limits limits;
    Fd usage, stat, swap_usage;
  };
  /// The content of a file, valid until `buffer` is used again; nothing where it is not there.
  Result<std::optional<std::string_view>> read_file(Level& at, Fd& file, const char* name,
                                                    ReadBuffer& buffer);
  std::optional<Error> read_figure(Level& at, Fd& file, const char* name, ReadBuffer& buffer,
                                   std::optional<uint64_t>& figure);
  std::optional<Error> take_memory(Level& at, ReadBuffer& buffer, const HostMemorySize& host,
                                   MemoryHeadroom& headroom);
  /// What a ceiling leaves with all that can be reclaimed, where that is less than is known so far.
  std::optional<Error> take_available(Level& at, ReadBuffer& buffer, uint64_t ceiling,
                                      uint64_t usage, MemoryHeadroom& headroom);
  /// The room that a limit of memory and swap together leaves for memory: what is swapped out
  /// already takes from it. For swap it leaves the same, and what of `own` may be swapped out.
  std::optional<Error> take_both(Level& at, ReadBuffer& buffer, const MemoryFacts& own,
                                 const HostMemorySize& host, MemoryHeadroom& headroom);
  std::optional<Error> take_swap(Level& at, ReadBuffer& buffer, const HostMemorySize& host,
                                 MemoryHeadroom& headroom);

  std::shared_ptr<const CgroupDir> dir_;
  const Files& files_;
  Limits own_;
  std::vector<Level> above_;
};

}  // namespace vprocfs
