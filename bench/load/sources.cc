#include "sources.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>

namespace vprocfs_bench {
namespace {

constexpr char kCgroups[] = "/sys/fs/cgroup/";
constexpr size_t kMaxSourceBytes = 4096;

struct Known {
  std::string_view file;        ///< of the container
  std::string_view controller;  ///< of v1; empty: v2; "host": not of a cgroup
  std::string_view source;
};

/// What the figures cannot do without, on v1 and on v2. Limits are not among them: they change so
/// rarely that a daemon may wait to be told.
constexpr std::array<Known, 14> kKnown{{
    {"meminfo", "host", "/proc/meminfo"},
    {"meminfo", "memory", "memory.usage_in_bytes"},
    {"meminfo", "memory", "memory.stat"},
    {"meminfo", "", "memory.current"},
    {"meminfo", "", "memory.stat"},
    {"stat", "cpuset", "cpuset.effective_cpus"},
    {"stat", "cpuacct", "cpuacct.usage_all"},
    {"stat", "cpuacct", "cpuacct.stat"},
    {"stat", "", "cpuset.cpus.effective"},
    {"stat", "", "cpu.stat"},
    {"uptime", "cpuset", "cpuset.effective_cpus"},
    {"uptime", "cpuacct", "cpuacct.usage_all"},
    {"uptime", "", "cpuset.cpus.effective"},
    {"uptime", "", "cpu.stat"},
}};

/// Whether one of the names of a hierarchy ("cpu,cpuacct") is that of the controller.
bool has_controller(std::string_view names, std::string_view controller) {
  while (names != controller) {
    const size_t comma = names.find(',');
    if (comma == std::string_view::npos) return false;
    if (names.substr(0, comma) == controller) return true;
    names.remove_prefix(comma + 1);
  }
  return true;
}

}  // namespace

std::shared_ptr<const Sources::Opened> Sources::sources_of(uint32_t tid) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto& known = known_[tid];
  if (known) return known;
  auto opened = std::make_shared<Opened>();
  const auto open_one = [&](const Known& what, const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) opened->push_back({what.file, fd});
  };
  for (const Known& what : kKnown) {
    if (what.controller == "host") open_one(what, std::string(what.source));
  }
  std::ifstream cgroups("/proc/" + std::to_string(tid) + "/cgroup");
  std::string line;  // ID:CONTROLLERS:PATH
  while (std::getline(cgroups, line)) {
    const size_t names = line.find(':') + 1, path = line.find(':', names) + 1;
    const std::string controllers = line.substr(names, path - 1 - names);
    for (const Known& what : kKnown) {
      if (!has_controller(controllers, what.controller)) continue;
      const std::string below = line.substr(path) + "/" + std::string(what.source);
      // The names of v1 are those of its mount points, or links to them.
      open_one(what, kCgroups + std::string(what.controller) + below);
      // On hybrid hosts.
      if (controllers.empty()) open_one(what, kCgroups + std::string("unified") + below);
    }
  }
  return known = std::move(opened);
}

void Sources::read_for(uint32_t tid, std::string_view file) {
  std::array<char, kMaxSourceBytes> buffer;
  for (const Source& source : *sources_of(tid)) {
    if (source.file != file) continue;
    // It is gone with its container.
    if (pread(source.fd, buffer.data(), buffer.size(), 0) < 0) continue;
  }
}

}  // namespace vprocfs_bench
