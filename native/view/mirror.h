#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "facts/facts.h"
#include "view/writer.h"

namespace vprocfs {

/// A file of the host's sysfs as it is, and what a view may need of its path.
struct HostText {
  std::string_view text;
  std::optional<CpuSet> list;  ///< `text` as a list of ids, where it is one
  uint32_t node = 0;           ///< the N of the nodeN that it is in
  uint64_t page_kb = 0;        ///< the size in the name of the hugepages-<size>kB that it is in
  std::string_view name;       ///< the last name of its path
};

/// A file below a mirrored directory of sysfs that says something else in a container than on the
/// host. All that is not in the table passes through. Pure, as views are.
struct MirrorRule {
  /// Relative to the root of sysfs. "#" stands for a number, "*" for any part of a name.
  std::string_view pattern;
  uint32_t needs;  ///< Need bits
  void (*render)(const Facts&, const HostText&, Writer&);
};

/// The rule of a file, or nullptr: it passes through.
const MirrorRule* find_mirror_rule(std::string_view path);

/// What a name in a mirrored directory stands for, where it depends on the container whether it is
/// shown.
enum class MirrorName : uint8_t {
  kPlain,   ///< always shown
  kCpu,     ///< cpuN: with the CPU
  kNode,    ///< nodeN: with the node
  kPolicy,  ///< cpufreq's policyN: with any of its CPUs
};
struct MirrorEntry {
  MirrorName what = MirrorName::kPlain;
  uint32_t number = 0;
};

/// A file's content as its rule is to be told it: fills all but `list`. Borrows both.
HostText host_text(std::string_view path, std::string_view text);

/// What the last name of `path` stands for.
MirrorEntry mirror_entry(std::string_view path);

/// The number after `prefix` when `name` is the two together.
std::optional<uint32_t> number_after(std::string_view name, std::string_view prefix);

}  // namespace vprocfs
