#include "fuse/files/all_files.h"

namespace vprocfs {

AllFiles::AllFiles(Serving& serving, bool tick)
    : serving_(serving),
      tick_(tick),
      mirror_(serving.host),
      directories_(serving, *this),
      snapshots_(serving),
      cached_(serving, snapshots_),
      tick_files_(serving),
      mirrored_(serving, mirror_, directories_),
      tick_mirrored_(serving, mirror_, directories_) {
  if (serving.options.kernel_logs.logs != nullptr) kmsg_.emplace(serving);
}

Result<bool> AllFiles::start() {
  if (kmsg_) return kmsg_->start();
  return true;
}

void AllFiles::stop() {
  if (kmsg_) kmsg_->stop();
}

void AllFiles::adopt(InheritedContainers& containers) {
  if (kmsg_) kmsg_->adopt(containers);
}

void AllFiles::hand_over() {
  if (kmsg_) kmsg_->hand_over((serving_.state.connection().flags & kFuseHasResend) != 0);
}

bool AllFiles::is_mirrored(NodeId node) const {
  if (node.mirrored()) return true;
  const TreeDir* dir = serving_.tree.dir(node.index());
  return dir != nullptr && Mirror::root(dir->path).has_value();
}

Files& AllFiles::of(NodeId node) {
  if (const View* view = serving_.tree.file(node.index())) {
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
