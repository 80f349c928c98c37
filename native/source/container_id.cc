#include "source/container_id.h"

#include "source/cgroup_mounts.h"

namespace vprocfs {
namespace {

constexpr char kPrefix[] = {'\0', 'm', 'c', 'p'};

}  // namespace

std::optional<Controller> controller_of(IdentityHierarchy hierarchy) {
  switch (hierarchy) {
    case IdentityHierarchy::kV2:
      break;
    case IdentityHierarchy::kV1Memory:
      return Controller::kMemory;
    case IdentityHierarchy::kV1Cpu:
      return Controller::kCpu;
    case IdentityHierarchy::kV1Pids:
      return Controller::kPids;
  }
  return std::nullopt;
}

std::string ContainerId::name() const {
  const char prefix = kPrefix[static_cast<size_t>(hierarchy())];
  std::string out;
  if (prefix != '\0') out.push_back(prefix);
  return out + std::to_string(cgroup_id());
}

std::optional<ContainerId> ContainerId::parse(const std::string& name) {
  size_t at = 0;
  auto hierarchy = IdentityHierarchy::kV2;
  for (size_t i = 1; i < sizeof(kPrefix); ++i) {
    if (!name.empty() && name[0] == kPrefix[i]) {
      hierarchy = static_cast<IdentityHierarchy>(i);
      at = 1;
    }
  }
  // One spelling per container: no leading zero, nothing but digits.
  if (name.size() <= at || name.size() > at + 14 || name[at] == '0') return std::nullopt;
  uint64_t id = 0;
  for (; at < name.size(); ++at) {
    if (name[at] < '0' || name[at] > '9') return std::nullopt;
    id = id * 10 + static_cast<uint64_t>(name[at] - '0');
  }
  return make(hierarchy, id);
}

}  // namespace vprocfs
