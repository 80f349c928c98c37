#include "view/zone_layout.h"

#include <algorithm>
#include <utility>

#include "base/wide.h"

namespace vprocfs {

ZoneLayout::ZoneLayout(const HostZoneinfo& host, uint64_t pages,
                       const std::optional<CpuSet>& allowed) {
  const auto is_allowed = [&allowed](const HostZoneinfo::Zone& zone) {
    return !allowed || allowed->contains(zone.node);
  };
  // Memory has to be somewhere, also where the allowed nodes have none or are gone.
  const bool all = std::none_of(
      host.zones.begin(), host.zones.end(),
      [&](const HostZoneinfo::Zone& zone) { return is_allowed(zone) && zone.managed() > 0; });
  std::vector<uint64_t> node_pages;
  for (const auto& zone : host.zones) {
    if (!all && !is_allowed(zone)) continue;
    const bool same = !zones_.empty() && zones_.back().host->node == zone.node;
    if (!same) node_pages.push_back(0);
    node_pages.back() = saturating_add(node_pages.back(), zone.managed());
    zones_.push_back({&zone, node_pages.size() - 1, 0});
  }
  Shares host_nodes;
  for (const uint64_t node : node_pages) host_nodes.add(node);
  pages = std::min(pages, host_nodes.sum());
  for (size_t i = 0; i < node_pages.size(); ++i) node_pages[i] = host_nodes.part(pages, i);
  for (const uint64_t node : node_pages) nodes_.add(node);
  for (auto& zone : zones_) {
    zone.managed = std::min(node_pages[zone.node], zone.host->managed());
    node_pages[zone.node] -= zone.managed;
  }
  for (size_t i = zones_.size(); i-- > 0;) {
    if (zones_[i].host->managed() > 0) {
      zones_[i].managed += std::exchange(node_pages[zones_[i].node], 0);
    }
  }
  for (const auto& zone : zones_) shares_.add(zone.managed);
}

bool ZoneLayout::is_first(size_t zone) const {
  for (size_t i = 0; i < zone; ++i) {
    if (zones_[i].managed > 0) return false;
  }
  return true;
}

}  // namespace vprocfs
