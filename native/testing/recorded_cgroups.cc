#include "testing/recorded_cgroups.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/directory.h"

namespace vprocfs {
namespace {

std::optional<Hierarchy> v2_in(int dir_fd, const char* path) {
  Hierarchy tree;
  tree.root = open_directory(dir_fd, path);
  if (!tree.root || ::faccessat(tree.root.get(), "cgroup.controllers", F_OK, 0) != 0) {
    return std::nullopt;
  }
  tree.v2 = true;
  tree.mount = path;
  return tree;
}

/// The controllers that v1 calls so: "cpu,cpuacct".
uint32_t controllers_of(const std::string& name) {
  const auto paths = CgroupPaths::parse("1:" + name + ":/\n");
  uint32_t bits = 0;
  for (size_t i = 0; paths && i < kControllerCount; ++i) {
    if (!paths.value().v1[i].empty()) bits |= 1u << i;
  }
  return bits;
}

}  // namespace

Result<CgroupMounts> recorded_cgroups(int dir_fd) {
  std::vector<Hierarchy> hierarchies;
  if (auto whole = v2_in(dir_fd, ".")) {
    hierarchies.push_back(std::move(*whole));
    return CgroupMounts(std::move(hierarchies));
  }
  std::vector<std::string> names;
  const int failed = for_each_entry(open_directory(dir_fd, "."), [&](const dirent& entry) {
    names.emplace_back(entry.d_name);
    return true;
  });
  if (failed != 0) return Error{failed, "."};
  std::sort(names.begin(), names.end());
  uint32_t taken = 0;
  for (const auto& name : names) {
    // "cpu" and "cpuacct" are often links to "cpu,cpuacct": the same hierarchy, and not three.
    const uint32_t controllers = controllers_of(name) & ~taken;
    if (controllers == 0) continue;
    Hierarchy tree;
    tree.root = open_directory(dir_fd, name.c_str());
    if (!tree.root) return Error{errno, name};
    tree.mount = name;
    tree.controllers = controllers;
    taken |= controllers;
    hierarchies.push_back(std::move(tree));
  }
  if (auto unified = v2_in(dir_fd, "unified")) hierarchies.push_back(std::move(*unified));
  return CgroupMounts(std::move(hierarchies));
}

}  // namespace vprocfs
