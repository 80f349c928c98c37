#include "keeper/mount_table.h"

#include <fcntl.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/cached_stat.h"
#include "base/words.h"
#include "source/mount_table.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

/// Calls `visit(const MountEntry&)` for each; of several at one place the one on top is the last.
/// False: the table cannot be read.
template <typename Visit>
bool for_each_mount(Visit visit) {
  const auto table = open_file(AT_FDCWD, "/proc/self/mountinfo");
  if (!table) return false;
  std::string buffer;
  const auto take = [&](std::string_view line) {
    if (const auto mount = parse_mount(line)) visit(*mount);
  };
  return for_each_line_of(table.value().get(), buffer, take) == 0;
}

/// Whether the topmost mount at `place` is of our type and source; nothing where there is none, or
/// where the table cannot be read.
std::optional<bool> is_like_ours(const KeeperOptions& options, const char* place) {
  std::optional<bool> out;
  const bool read = for_each_mount([&](const MountEntry& mount) {
    if (mount.path == place) out = mount.type == options.type && mount.source == options.source;
  });
  return read ? out : std::nullopt;
}

}  // namespace

Lies how_it_lies(const char* place, uint64_t device) {
  const std::string its = device_text(device);
  Lies lies = Lies::kGone;
  const bool read = for_each_mount([&](const MountEntry& mount) {
    if (mount.path == place && mount.device == its) {
      lies = Lies::kThere;
    } else if (lies == Lies::kThere && is_below(place, mount.path)) {
      lies = Lies::kCovered;
    }
  });
  return read && device != 0 ? lies : Lies::kThere;
}

bool is_foreign(const KeeperOptions& options, const char* place) {
  return !is_like_ours(options, place).value_or(true);
}

bool is_ours(const KeeperOptions& options, const char* place) {
  return is_like_ours(options, place).value_or(false);
}

}  // namespace vprocfs
