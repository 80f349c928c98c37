#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "source/cgroup_dir.h"
#include "source/change_notifier.h"

namespace vprocfs {

/// The control files of a cgroup and its ancestors, read again only after one of them was written.
class LimitChain {
 public:
  enum class Reach {
    kSelf,       ///< the cgroup alone
    kAncestors,  ///< up to the hierarchy's root, whose files may be missing
    /// The same on cgroup2, where files appear and disappear as an ancestor's
    /// cgroup.subtree_control is written.
    kAncestorsV2,
  };

  /// `notifier` may be nullptr.
  LimitChain(std::shared_ptr<const CgroupDir> dir, ChangeNotifier* notifier,
             std::vector<const char*> files, Reach reach)
      : dir_(std::move(dir)), notifier_(notifier), files_(std::move(files)), reach_(reach) {}

  /// Whether anything may have been written since the last refresh() (and before the notifier was
  /// last drained). Always, before the first one and where files cannot be watched.
  bool stale() const { return !watched_ || changed(); }
  /// Grows when the files are written, as far as the notifier was drained: once for all writes
  /// between two refresh(). Nothing before the first one and where files cannot be watched.
  std::optional<uint64_t> writes() const {
    return watched_ ? std::optional(refreshed_ + (changed() ? 1 : 0)) : std::nullopt;
  }

  /// Called for each cgroup from the leaf up, with the texts of `files`; nothing for files that are
  /// not there.
  using Texts = std::vector<std::optional<std::string>>;
  using Take = std::function<void(const Texts& texts, size_t level)>;

  /// Reads all of it where it is stale(), and watches it until the next write. Absent files are no
  /// error.
  std::optional<Error> refresh(ReadBuffer& buffer, const Take& take);

 private:
  bool changed() const;
  bool watch(int dir_fd, const char* name, std::vector<ChangeNotifier::Watched>& to) const;
  std::optional<Error> read(int dir_fd, const char* name, ReadBuffer& buffer,
                            std::optional<std::string>& text) const;

  std::shared_ptr<const CgroupDir> dir_;
  ChangeNotifier* notifier_;
  std::vector<const char*> files_;
  Reach reach_;
  std::vector<ChangeNotifier::Watched> watches_;
  uint64_t refreshed_ = 0;  ///< how often
  bool watched_ = false;
};

}  // namespace vprocfs
