#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

namespace vprocfs {

/// A set of CPU ids, always sorted and without duplicates.
class CpuSet {
 public:
  CpuSet() = default;
  explicit CpuSet(std::vector<uint32_t> ids) : ids_(std::move(ids)) {
    std::sort(ids_.begin(), ids_.end());
    ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
  }

  /// Ids in ascending order.
  const std::vector<uint32_t>& ids() const { return ids_; }
  size_t size() const { return ids_.size(); }
  bool empty() const { return ids_.empty(); }
  bool contains(uint32_t id) const { return std::binary_search(ids_.begin(), ids_.end(), id); }

  /// The ids that are in both sets.
  CpuSet intersect(const CpuSet& other) const {
    CpuSet out;
    out.ids_.reserve(std::min(size(), other.size()));
    std::set_intersection(ids_.begin(), ids_.end(), other.ids_.begin(), other.ids_.end(),
                          std::back_inserter(out.ids_));
    return out;
  }

  /// The ids that are in this set and not in `other`.
  CpuSet without(const CpuSet& other) const {
    CpuSet out;
    std::set_difference(ids_.begin(), ids_.end(), other.ids_.begin(), other.ids_.end(),
                        std::back_inserter(out.ids_));
    return out;
  }

  /// The `count` lowest ids (all of them when the set has fewer).
  CpuSet first(size_t count) const {
    CpuSet out;
    out.ids_.assign(ids_.begin(),
                    ids_.begin() + static_cast<std::ptrdiff_t>(std::min(count, ids_.size())));
    return out;
  }

  friend bool operator==(const CpuSet& a, const CpuSet& b) { return a.ids_ == b.ids_; }
  friend bool operator!=(const CpuSet& a, const CpuSet& b) { return !(a == b); }

 private:
  std::vector<uint32_t> ids_;
};

}  // namespace vprocfs
