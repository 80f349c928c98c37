#include "view/zone_layout.h"

#include <algorithm>

#include "base/wide.h"

namespace vprocfs {

ZoneLayout::ZoneLayout(const HostZoneinfo& host, uint64_t pages) {
  std::vector<uint64_t> node_pages;
  for (const auto& zone : host.zones) {
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
    shares_.add(zone.managed);
  }
}

bool ZoneLayout::is_first(size_t zone) const {
  for (size_t i = 0; i < zone; ++i) {
    if (zones_[i].managed > 0) return false;
  }
  return true;
}

}  // namespace vprocfs
