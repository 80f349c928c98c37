#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/shares.h"
#include "facts/cpu_set.h"
#include "facts/shape.h"

namespace vprocfs {

/// A zone of a machine with the container's memory.
struct Zone {
  const HostZoneinfo::Zone* host = nullptr;
  size_t node = 0;       ///< place among the nodes
  uint64_t managed = 0;  ///< pages
};

/// The zones of a machine with `pages`: every node has its share, and in a node the lower addresses
/// are filled first, as they are on a real machine. Pages that exceed the host's zones are in the
/// last zone of each node.
class ZoneLayout {
 public:
  /// Nodes that are not `allowed` are not there; nothing: all are.
  ZoneLayout(const HostZoneinfo& host, uint64_t pages, const std::optional<CpuSet>& allowed);

  const std::vector<Zone>& zones() const { return zones_; }
  uint64_t of_node(uint64_t amount, size_t node) const { return nodes_.part(amount, node); }
  uint64_t of_zone(uint64_t amount, size_t zone) const { return shares_.part(amount, zone); }
  /// Whether no zone before has memory. All events are shown at the first zone's node: if they were
  /// divided among nodes, a changing share could make them go back.
  bool is_first(size_t zone) const;

 private:
  std::vector<Zone> zones_;
  Shares nodes_, shares_;
};

}  // namespace vprocfs
