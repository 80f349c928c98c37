// Open files that a worker before us left.

#include <unordered_set>
#include <utility>
#include <vector>

#include "fuse/files/open_file.h"
#include "fuse/files/open_record.h"

namespace vprocfs {

void OpenFiles::adopt(const std::function<bool(NodeId)>& is_known, Make make) {
  make_ = std::move(make);
  std::unordered_set<RecordIndex> held;
  state_.for_each(RecordType::kOpenFile, [&](RecordIndex record, uint64_t handle, size_t bytes) {
    if (bytes != sizeof(OpenRecord)) {
      state_.release(record, RecordType::kOpenFile, handle);  // of another version
      return;
    }
    const OpenRecord* r = OpenRecord::at(state_, record);
    Left left;
    left.record = record;
    left.snapshot = r->snapshot;
    left.node = NodeId(r->node);
    left.container = ContainerId::from_packed(r->container);
    const bool good = r->checksum == r->sum() && is_known(left.node) &&
                      state_.find(left.snapshot, RecordType::kSnapshot, 0, &left.size) &&
                      held.count(left.snapshot) == 0 &&
                      shard(handle).left.try_emplace(handle, left).second;
    if (!good) {
      state_.release(record, RecordType::kOpenFile, handle);
      return;
    }
    held.insert(left.snapshot);
    adopted_by_request_.insert_or_assign(r->request, AdoptedHandle{handle, left.node});
  });
  state_.for_each(RecordType::kSnapshot, [&](RecordIndex record, uint64_t, size_t) {
    if (held.count(record) == 0) state_.release(record, RecordType::kSnapshot, 0);
  });
}

void OpenFiles::take_over(uint64_t handle) {
  Shard& s = shard(handle);
  Left left;
  {
    const std::lock_guard lock(s.mutex);
    const auto at = s.left.find(handle);
    if (at == s.left.end()) return;
    left = at->second;
  }
  auto file = make_(left.node, left.container);
  const std::lock_guard lock(s.mutex);
  // Somebody else may have been first, or have closed it.
  if (s.left.erase(handle) == 0) return;
  file->hold(std::make_shared<Snapshot>(state_, left.snapshot, left.size, boottime_us()));
  file->record_ = left.record;
  file->adopted_ = true;
  const uint32_t progress = OpenRecord::at(state_, left.record)->progress;
  file->announced_ = progress & ~OpenRecord::kBegun;
  // Where nothing is known of its reader he is shown something new at 0.
  file->begun_ = progress == 0 || (progress & OpenRecord::kBegun) != 0;
  file->read_ = true;
  s.files.emplace(handle, std::move(file));
}

void OpenFiles::adopt_rest(const IsFound& is_found) {
  for (Shard& s : shards_) {
    std::vector<std::pair<uint64_t, ContainerId>> left;
    {
      const std::lock_guard lock(s.mutex);
      for (const auto& [handle, one] : s.left) left.emplace_back(handle, one.container);
    }
    for (const auto& [handle, container] : left) {
      if (container.none() || is_found(container)) take_over(handle);
    }
  }
}

std::optional<NodeId> OpenFiles::left_node(uint64_t handle) const {
  Shard& s = shard(handle);
  const std::lock_guard lock(s.mutex);
  const auto at = s.left.find(handle);
  if (at == s.left.end() || at->second.container.none()) return std::nullopt;
  return at->second.node;
}

}  // namespace vprocfs
