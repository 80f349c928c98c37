#include "container/name.h"

#include <string_view>

namespace vprocfs {
namespace {

struct Habit {
  std::string_view parent;  ///< name of the directory above; empty: any
  std::string_view prefix, suffix;
  std::string_view runtime;
};

constexpr Habit kHabits[] = {
    {"", "lxc.payload.", "", "lxc"},
    {"lxc", "", "", "lxc"},
    {"lxc.payload", "", "", "lxc"},
    {"", "docker-", ".scope", "docker"},
    {"docker", "", "", "docker"},
    {"", "libpod-", ".scope", "podman"},
    {"libpod_parent", "libpod-", "", "podman"},
    {"", "libpod-", "", "podman"},
    {"", "crio-", ".scope", "crio"},
    {"", "cri-containerd-", ".scope", "containerd"},
    {"", "machine-", ".scope", "systemd-nspawn"},
    {"", "systemd-nspawn@", ".service", "systemd-nspawn"},
};

bool starts_with(std::string_view s, std::string_view prefix) {
  return s.substr(0, prefix.size()) == prefix;
}

bool ends_with(std::string_view s, std::string_view suffix) {
  return s.size() >= suffix.size() && s.substr(s.size() - suffix.size()) == suffix;
}

}  // namespace

ContainerName container_name(const std::string& cgroup_path) {
  const std::string_view path = cgroup_path;
  const size_t slash = path.rfind('/');
  const std::string_view last = slash == std::string_view::npos ? path : path.substr(slash + 1);
  std::string_view above =
      slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  above = above.substr(above.rfind('/') == std::string_view::npos ? 0 : above.rfind('/') + 1);
  for (const Habit& habit : kHabits) {
    if (!habit.parent.empty() && habit.parent != above) continue;
    const size_t affixes = habit.prefix.size() + habit.suffix.size();
    if (last.size() <= affixes || !starts_with(last, habit.prefix)) continue;
    if (!ends_with(last, habit.suffix)) continue;
    return {std::string(last.substr(habit.prefix.size(), last.size() - affixes)),
            std::string(habit.runtime)};
  }
  return {std::string(last), ""};
}

}  // namespace vprocfs
