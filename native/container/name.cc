#include "container/name.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "base/words.h"

namespace vprocfs {
namespace {

using Components = std::vector<std::string_view>;

enum class Inner { kMayBe, kMustBe };

/// How a runtime names the cgroup of a container: affixes around the name, below a directory.
struct NamingRule {
  std::string_view parent;  ///< name of the directory above, "pod*": its beginning; empty: any
  std::string_view prefix, suffix;
  std::string_view runtime;
  std::string_view inner = {};  ///< a directory below, in which the container itself is
  Inner inner_is = Inner::kMayBe;
  std::string_view within = {};  ///< name of a directory further above, or its beginning
};

// The first that fits counts.
constexpr NamingRule kRules[] = {
    {"", "lxc.payload.", "", "lxc"},
    {"lxc.payload", "", "", "lxc"},
    // Proxmox: lxc/100/ns.
    {"lxc", "", "", "lxc", "ns"},
    {"", "docker-", ".scope", "docker"},
    {"docker", "", "", "docker"},
    // crun makes the directory within.
    {"", "libpod-", ".scope", "podman", "container"},
    {"", "libpod-payload-", "", "podman", "container"},
    {"", "libpod-", "", "podman", "container"},
    {"", "crio-", ".scope", "crio", "container"},
    {"", "crio-", "", "crio", "container"},
    {"", "cri-containerd-", ".scope", "containerd", "container"},
    {"", "nerdctl-", ".scope", "containerd", "container"},
    // containerd's namespaces: of ctr and nerdctl, of the kubelet.
    {"default", "", "", "containerd"},
    {"k8s.io", "", "", "containerd"},
    // The cgroupfs driver: containerd and Docker name them alike.
    {"pod*", "", "", "kubernetes", "", Inner::kMayBe, "kubepods"},
    {"", "runc-", ".scope", "runc"},
    {"", "crun-", ".scope", "crun", "container"},
    {"", "machine-", ".scope", "systemd-nspawn", "payload"},
    {"", "systemd-nspawn@", ".service", "systemd-nspawn", "payload"},
    // systemd-nspawn --keep-unit.
    {"", "", ".service", "systemd-nspawn", "payload", Inner::kMustBe},
    {"", "", ".scope", "", "container", Inner::kMustBe},
};

/// Processes of podman and CRI-O that are beside containers.
constexpr std::string_view kNoContainers[] = {"libpod-conmon-", "crio-conmon-"};

struct Match {
  ContainerName found;
  size_t begin = 0, end = 0;  ///< its components: one, or two where it is in an inner directory
};

Components components_of(std::string_view path) {
  Components out;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    if (slash > 0) out.push_back(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return out;
}

/// Without the escapes of systemd's unit names ("web\x2d1"), as far as they stand for printable
/// characters that a name may hold.
std::string unescape_unit(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    const char c = hex_escape(s.substr(i)).value_or('\0');
    const bool plain = c > ' ' && c < 0x7f && c != '/';
    out += plain ? c : s[i];
    if (plain) i += 3;
  }
  return out;
}

bool fits(std::string_view pattern, std::string_view name) {
  if (pattern.empty() || !ends_with(pattern, "*")) return pattern.empty() || pattern == name;
  return starts_with(name, pattern.substr(0, pattern.size() - 1));
}

bool is_within(const Components& path, size_t at, std::string_view within) {
  if (within.empty()) return true;
  const auto end = path.begin() + static_cast<Components::difference_type>(at);
  return std::any_of(path.begin(), end,
                     [within](std::string_view above) { return starts_with(above, within); });
}

/// Whether the cgroup at `at` is one that a runtime made for a container.
std::optional<Match> match(const Components& path, size_t at) {
  const std::string_view name = path[at];
  const std::string_view above = at > 0 ? path[at - 1] : std::string_view();
  const std::string_view below = at + 1 < path.size() ? path[at + 1] : std::string_view();
  for (const std::string_view prefix : kNoContainers) {
    if (starts_with(name, prefix)) return std::nullopt;
  }
  for (const NamingRule& rule : kRules) {
    const size_t affixes = rule.prefix.size() + rule.suffix.size();
    if (name.size() <= affixes || !starts_with(name, rule.prefix)) continue;
    if (!ends_with(name, rule.suffix) || !fits(rule.parent, above)) continue;
    const bool inner = !rule.inner.empty() && rule.inner == below;
    if (!inner && rule.inner_is == Inner::kMustBe) continue;
    if (!is_within(path, at, rule.within)) continue;
    const std::string_view bare = name.substr(rule.prefix.size(), name.size() - affixes);
    // Others write the names of their units as they are.
    const bool unit = rule.runtime == "systemd-nspawn";
    return Match{{unit ? unescape_unit(bare) : std::string(bare), std::string(rule.runtime)},
                 at,
                 at + (inner ? 2 : 1)};
  }
  return std::nullopt;
}

/// By the container that is nearest to the root.
Match outermost(const Components& path) {
  for (size_t at = 0; at < path.size(); ++at) {
    if (auto found = match(path, at)) return std::move(*found);
  }
  return {{path.empty() ? "/" : std::string(path.back()), ""}, 0, path.size()};
}

/// By the path's end alone. Nothing: no rule matches.
std::optional<Match> match_end(const Components& path) {
  for (size_t back = 1; back <= 2 && back <= path.size(); ++back) {
    auto found = match(path, path.size() - back);
    if (found && found->end == path.size()) return found;
  }
  return std::nullopt;
}

ContainerName innermost(const Components& path) {
  if (auto found = match_end(path)) return std::move(found->found);
  return {path.empty() ? "/" : std::string(path.back()), ""};
}

/// Of a container that is in no other, as far as its PID namespace tells. Its init may have gone
/// into a cgroup of its own making.
ContainerName outer_name(const std::string& cgroup) {
  const Components path = components_of(cgroup);
  Match outer = outermost(path);
  if (outer.end == path.size()) return std::move(outer.found);
  ContainerName own = innermost(path);
  return {outer.found.name + "/" + own.name, own.runtime};
}

}  // namespace

ContainerName container_name(const std::string& cgroup, const std::string& tenant) {
  if (cgroup == tenant) return outer_name(cgroup);
  ContainerName own = innermost(components_of(cgroup));
  return {outer_name(tenant).name + "/" + own.name, own.runtime};
}

std::string limited_cgroup(const std::string& cgroup) {
  const auto found = match_end(components_of(cgroup));
  const bool is_inner = found && found->end - found->begin > 1;
  return is_inner ? cgroup.substr(0, cgroup.rfind('/')) : cgroup;
}

}  // namespace vprocfs
