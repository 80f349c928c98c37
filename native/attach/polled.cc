#include "attach/polled.h"

#include <fcntl.h>

#include <cstdlib>

#include "base/cached_stat.h"
#include "base/directory.h"

namespace vprocfs {
namespace {

/// As src/polled.ts has it: below it a name for each mount point.
constexpr char kPlaces[] = "/run/vprocfs-poll/";
/// A longer name ends with a hash, so its mount point is not known.
constexpr size_t kLongestWhole = 76;

uint64_t device_at(const std::string& path) {
  return cached_stat(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW).device;
}

/// The mount point of a name, which is encodeURIComponent() of its path without the first slash.
std::string decode(const std::string& name) {
  std::string path = "/";
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '%' || i + 2 >= name.size()) {
      path += name[i];
      continue;
    }
    path += static_cast<char>(std::strtoul(name.substr(i + 1, 2).c_str(), nullptr, 16));
    i += 2;
  }
  return path;
}

}  // namespace

bool is_orphan(const std::string& device) {
  bool orphan = false;
  for_each_entry(open_directory(AT_FDCWD, kPlaces), [&](const dirent& entry) {
    const std::string name = entry.d_name;
    if (device_text(device_at(kPlaces + name)) != device) return true;
    const std::string first = decode(name);
    orphan = name.size() <= kLongestWhole && device_at(first) == device_at(first + "/..");
    return false;
  });
  return orphan;
}

}  // namespace vprocfs
