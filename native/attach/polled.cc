#include "attach/polled.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <memory>

namespace vprocfs {
namespace {

/// As src/polled.ts has it: below it a name for each mount point.
constexpr char kPlaces[] = "/run/vprocfs-poll/";
/// Longer names end with a hash: what they are of is not known.
constexpr size_t kLongestWhole = 76;

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

/// "major:minor" of what is seen there; empty: nothing.
std::string device_at(const std::string& path) {
  struct statx found {};
  constexpr int kFlags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW;
  if (::statx(AT_FDCWD, path.c_str(), kFlags, STATX_TYPE, &found) != 0) return {};
  return std::to_string(found.stx_dev_major) + ":" + std::to_string(found.stx_dev_minor);
}

/// The mount point that a name is made of (encodeURIComponent of its path without the slash).
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
  const std::unique_ptr<DIR, CloseDir> dir(::opendir(kPlaces));
  if (!dir) return false;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name[0] == '.' || device_at(kPlaces + name) != device) continue;
    if (name.size() > kLongestWhole) return false;
    const std::string first = decode(name);
    return device_at(first) == device_at(first + "/..");
  }
  return false;
}

}  // namespace vprocfs
