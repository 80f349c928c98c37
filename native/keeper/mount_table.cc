#include "keeper/mount_table.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/cached_stat.h"
#include "base/words.h"

namespace vprocfs {
namespace {

/// Fields of a line of mountinfo that come before the mount's own options.
constexpr int kFields = 5;

struct Mount {
  std::string device, place;
  std::string type, source;
};

/// The kernel writes blanks, newlines, backslashes and # as a backslash and three octal digits.
std::string unescaped(std::string_view field) {
  std::string out;
  for (; !field.empty(); field.remove_prefix(1)) {
    unsigned byte = 0;
    const bool escape = field.size() >= 4 && field[0] == '\\' &&
                        std::sscanf(std::string(field.substr(1, 3)).c_str(), "%3o", &byte) == 1;
    out += escape ? static_cast<char>(byte) : field[0];
    if (escape) field.remove_prefix(3);
  }
  return out;
}

/// Calls `visit(const Mount&)` for each; of several at one place the one on top is the last. False:
/// the table cannot be read.
template <typename Visit>
bool for_each_mount(Visit visit) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> table(std::fopen("/proc/self/mountinfo", "re"),
                                                          close);
  if (!table) return false;
  char* buffer = nullptr;
  size_t size = 0;
  for (ssize_t n = 0; (n = ::getline(&buffer, &size, table.get())) > 0;) {
    std::string_view line = trim({buffer, static_cast<size_t>(n)});
    std::string_view fields[kFields];
    for (std::string_view& field : fields) field = take_word(line);
    // Then there may be more, up to a hyphen.
    while (!line.empty() && take_word(line) != "-") {
    }
    Mount mount{std::string(fields[2]), unescaped(fields[4]), unescaped(take_word(line)), {}};
    mount.source = unescaped(take_word(line));
    visit(mount);
  }
  std::free(buffer);
  return std::ferror(table.get()) == 0;
}

/// Whether the topmost mount at `place` is of our type and source; nothing where there is none, or
/// where the table cannot be read.
std::optional<bool> is_like_ours(const KeeperOptions& options, const char* place) {
  std::optional<bool> out;
  const bool read = for_each_mount([&](const Mount& mount) {
    if (mount.place == place) out = mount.type == options.type && mount.source == options.source;
  });
  return read ? out : std::nullopt;
}

}  // namespace

Lies how_it_lies(const char* place, uint64_t device) {
  const std::string its = device_text(device);
  Lies lies = Lies::kGone;
  const bool read = for_each_mount([&](const Mount& mount) {
    if (mount.place == place && mount.device == its) {
      lies = Lies::kThere;
    } else if (lies == Lies::kThere && is_below(place, mount.place)) {
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
