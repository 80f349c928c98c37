#include "view/node_model.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/shares.h"

namespace vprocfs {
namespace {

bool memory_allowed(const HostNode& node, const Facts& facts) {
  const auto& allowed = facts.allowed_nodes;
  return node.total_kb > 0 && (!allowed || allowed->contains(node.id));
}

bool are_none(const std::vector<uint64_t>& weights) {
  return std::all_of(weights.begin(), weights.end(), [](uint64_t weight) { return weight == 0; });
}

/// Parts that sum to `amount`. If all weights are 0, the first part is the whole amount.
std::vector<uint64_t> in_proportion(uint64_t amount, std::vector<uint64_t> weights) {
  if (!weights.empty() && are_none(weights)) weights.front() = 1;
  return split(amount, weights);
}

/// The same in whole pages, all in kB: no kernel shows parts of pages. The rest of an amount that
/// is not a whole page goes to the first weight that is not 0.
std::vector<uint64_t> pages_in_proportion(uint64_t amount, std::vector<uint64_t> weights,
                                          uint64_t page_kb) {
  if (weights.empty()) return weights;
  const auto some =
      std::find_if(weights.begin(), weights.end(), [](uint64_t weight) { return weight != 0; });
  const size_t first = some == weights.end() ? 0 : static_cast<size_t>(some - weights.begin());
  for (uint64_t& weight : weights) weight /= page_kb;
  if (are_none(weights)) weights[first] = 1;
  std::vector<uint64_t> parts = split(amount / page_kb, weights);
  for (uint64_t& part : parts) part *= page_kb;
  parts[first] += amount % page_kb;
  return parts;
}

/// Whole pages of `amount` in proportion to `weights`, as far as there is `room`, which is reduced
/// by them. What does not fit goes to the first nodes with room left.
std::vector<uint64_t> place(uint64_t amount, std::vector<uint64_t> weights, uint64_t page_kb,
                            std::vector<uint64_t>& room) {
  std::vector<uint64_t> parts = pages_in_proportion(amount, std::move(weights), page_kb);
  uint64_t over = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const uint64_t part = std::min(parts[i], room[i]);
    over += parts[i] - part;
    parts[i] = part;
    room[i] -= part;
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    const uint64_t more = std::min(over, room[i]);
    parts[i] += more;
    room[i] -= more;
    over -= more;
  }
  return parts;
}

}  // namespace

CpuSet shown_nodes(const Facts& facts) {
  std::vector<uint32_t> ids;
  if (!facts.host_nodes) return CpuSet();
  for (const HostNode& node : *facts.host_nodes) {
    if (memory_allowed(node, facts) || !node.cpus.intersect(facts.shown_cpus).empty()) {
      ids.push_back(node.id);
    }
  }
  return CpuSet(std::move(ids));
}

NodeModel::NodeModel(const Facts& facts, uint64_t total, uint64_t used, uint64_t own)
    : page_kb_(std::max<uint64_t>(facts.page_kb, 1)) {
  const CpuSet shown = shown_nodes(facts);
  std::vector<uint64_t> sizes;
  uint64_t sum = 0;
  for (const uint32_t id : shown.ids()) {
    for (const HostNode& host : *facts.host_nodes) {
      if (host.id != id) continue;
      nodes_.push_back({id, host.cpus.intersect(facts.shown_cpus), memory_allowed(host, facts)});
      sizes.push_back(nodes_.back().has_memory ? host.total_kb : 0);
      sum += sizes.back();
    }
  }
  // If all the container's memory is on nodes that are gone, the first shown one has it.
  if (sum == 0 && !nodes_.empty()) nodes_.front().has_memory = true;
  const std::vector<uint64_t> totals = pages_in_proportion(total, sizes, page_kb_);
  std::vector<uint64_t> weights;
  for (const NodeShare& node : nodes_) {
    uint64_t bytes = 0;
    for (const NodeUse& use : facts.node_use) {
      if (use.id == node.id) bytes = use.bytes;
    }
    weights.push_back(bytes >> 10);
  }
  if (are_none(weights)) weights = totals;
  own = std::min(own, used);
  std::vector<uint64_t> room = totals;
  const std::vector<uint64_t> placed = place(own, std::move(weights), page_kb_, room);
  const std::vector<uint64_t> others = place(used - own, totals, page_kb_, room);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].total = totals[i];
    nodes_[i].own = placed[i];
    nodes_[i].used = placed[i] + others[i];
  }
}

size_t NodeModel::find(uint32_t id) const {
  size_t place = 0;
  while (place < nodes_.size() && nodes_[place].id != id) ++place;
  return place;
}

uint64_t NodeModel::part(uint64_t amount, size_t place) const {
  std::vector<uint64_t> weights;
  for (const NodeShare& node : nodes_) weights.push_back(node.own);
  if (place >= nodes_.size()) return 0;
  return pages_in_proportion(amount, std::move(weights), page_kb_)[place];
}

uint64_t NodeModel::part_of_others(uint64_t amount, size_t place) const {
  std::vector<uint64_t> weights;
  for (const NodeShare& node : nodes_) weights.push_back(node.used - node.own);
  if (place >= nodes_.size()) return 0;
  return pages_in_proportion(amount, std::move(weights), page_kb_)[place];
}

uint64_t NodeModel::part_by_size(uint64_t amount, size_t place) const {
  std::vector<uint64_t> weights;
  for (const NodeShare& node : nodes_) weights.push_back(node.total);
  return place < nodes_.size() ? in_proportion(amount, std::move(weights))[place] : 0;
}

}  // namespace vprocfs
