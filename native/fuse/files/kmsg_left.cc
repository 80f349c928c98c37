// Open files of kernel logs that a worker before us left.

#include <algorithm>
#include <vector>

#include "fuse/files/kmsg_files.h"

namespace vprocfs {

const View* KmsgFiles::log_view(NodeId node) {
  if (node.container().none()) return nullptr;
  for (const View* one : kLogViews) {
    if (node.index() == kFirstFileIndex + one->index) return one;
  }
  return nullptr;
}

void KmsgFiles::adopt(InheritedContainers& containers) {
  inherited_ = &containers;
  const std::lock_guard lock(mutex_);
  KmsgFile::adopt(parts_.state, [&](const KmsgFile::SavedFile& saved) {
    if (log_view(saved.node) == nullptr) return false;
    left_[saved.node.container()].push_back(saved);
    if (saved.request != 0) adopted_[saved.request] = saved.handle;
    return true;
  });
  has_left_ = !left_.empty();
}

void KmsgFiles::take_over(ContainerId id) {
  if (!has_left_) return;
  {
    const std::lock_guard lock(mutex_);
    if (left_.count(id) == 0) return;
  }
  const ContainerPtr container = inherited_->of(id);
  bool polled = false;
  {
    const std::lock_guard lock(mutex_);
    const auto left = left_.find(id);
    // Another thread was first.
    if (left == left_.end()) return;
    for (const KmsgFile::SavedFile& saved : left->second) {
      add_locked(std::make_shared<KmsgFile>(parts_.state, saved, *log_view(saved.node), container));
      polled = polled || saved.state.poll_handle != 0;
    }
    left_.erase(left);
    has_left_ = !left_.empty();
  }
  // The worker before us may have died between a record and its notice, and nobody was told of
  // records since. Other threads tell the kernel, because there may be thousands of pollers.
  if (polled) note_change(id);
}

void KmsgFiles::adopt_rest(const OpenFiles::IsFound& is_found) {
  std::vector<ContainerId> left;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, files] : left_) left.push_back(id);
  }
  for (const ContainerId id : left) {
    if (is_found(id)) take_over(id);
  }
}

void KmsgFiles::drop_left_locked(uint64_t handle, NodeId node) {
  const auto left = left_.find(node.container());
  if (left == left_.end()) return;
  auto& files = left->second;
  const auto is_it = [&](const KmsgFile::SavedFile& saved) {
    return saved.handle == handle && saved.node.raw() == node.raw();
  };
  const auto at = std::find_if(files.begin(), files.end(), is_it);
  if (at == files.end()) return;
  KmsgFile::drop(parts_.state, *at);
  files.erase(at);
  if (files.empty()) left_.erase(left);
  has_left_ = !left_.empty();
}

}  // namespace vprocfs
