#include "fuse/files/all_files.h"

namespace vprocfs {

AllFiles::AllFiles(ServerParts& parts, bool tick)
    : parts_(parts),
      tick_(tick),
      mirror_(parts.host),
      directories_(parts, *this),
      snapshots_(parts),
      cached_(parts, snapshots_),
      tick_files_(parts),
      mirrored_(parts, mirror_, directories_),
      tick_mirrored_(parts, mirror_, directories_) {
  if (parts.options.kernel_logs.logs != nullptr) kmsg_.emplace(parts);
}

void AllFiles::start() {
  if (kmsg_) kmsg_->start();
}

void AllFiles::stop() {
  if (kmsg_) kmsg_->stop();
}

void AllFiles::adopt(InheritedContainers& containers) {
  if (kmsg_) kmsg_->adopt(containers);
}

void AllFiles::adopt_rest(const OpenFiles::IsFound& is_found) {
  if (kmsg_) kmsg_->adopt_rest(is_found);
}

void AllFiles::hand_over() {
  if (kmsg_) kmsg_->hand_over((parts_.state.connection().flags & kFuseHasResend) != 0);
}

bool AllFiles::is_mirrored(NodeId node) const {
  if (node.mirrored()) return true;
  const TreeDir* dir = parts_.tree.dir(node.index());
  return dir != nullptr && Mirror::root(dir->path).has_value();
}

Files& AllFiles::of(NodeId node) {
  if (const View* view = parts_.tree.file(node.index())) {
    if (kmsg_ && is_of_log(*view)) return *kmsg_;
    if (tick_) return tick_files_;
    const bool cached = view->changes == Changes::kWithLimits && !node.container().none();
    if (cached) return cached_;
    return snapshots_;
  }
  if (!is_mirrored(node)) return directories_;
  if (tick_) return tick_mirrored_;
  return mirrored_;
}

}  // namespace vprocfs
