#include "source/limit_chain.h"

#include <unistd.h>

#include <algorithm>

namespace vprocfs {
namespace {

constexpr const char* kSubtreeControl = "../cgroup.subtree_control";

/// With more ancestors none is watched: containers choose how deep they nest, and all of them share
/// what the kernel lets one user watch with the host's own programs. A container in a container of
/// a pod has eight or so.
constexpr size_t kMaxWatchedDepth = 16;

}  // namespace

bool LimitChain::changed() const {
  return std::any_of(watches_.begin(), watches_.end(), [](const ChangeNotifier::Watched& file) {
    return file->changed.load(std::memory_order_acquire);
  });
}

/// False when the file is there and cannot be watched.
bool LimitChain::watch(int dir_fd, const char* name,
                       std::vector<ChangeNotifier::Watched>& to) const {
  if (notifier_ == nullptr) return false;
  auto file = notifier_->watch(dir_fd, name);
  if (!file) return ::faccessat(dir_fd, name, F_OK, 0) != 0;
  to.push_back(std::move(file));
  return true;
}

std::optional<Error> LimitChain::read(int dir_fd, const char* name, ReadBuffer& buffer,
                                      std::optional<std::string>& text) const {
  text.reset();
  const auto fd = open_file(dir_fd, name);
  const int code = fd ? buffer.read_record(fd.value().get()) : fd.error().code;
  if (code == 0) {
    text.emplace(buffer.text());
    return std::nullopt;
  }
  if (is_absence(code)) return std::nullopt;
  return dir_->error(code, name);
}

std::optional<Error> LimitChain::refresh(ReadBuffer& buffer, const Take& take) {
  // The old ones stay until the new ones are there: files that were not written need no new watch.
  std::vector<ChangeNotifier::Watched> watches;
  Texts texts(files_.size());
  bool watched = reach_ == Reach::kSelf || dir_->depth() <= kMaxWatchedDepth;
  const auto visit = [&](int dir_fd, size_t level) -> std::optional<Error> {
    // All before reading: what is written meanwhile makes this stale again. The directory's before
    // its files: those that appear after they were looked for are told of.
    if (watched && level < dir_->depth() && reach_ == Reach::kAncestorsV2) {
      watched = watch(dir_fd, kSubtreeControl, watches);
    }
    for (const char* name : files_) watched = watched && watch(dir_fd, name, watches);
    for (size_t i = 0; i < files_.size(); ++i) {
      if (auto error = read(dir_fd, files_[i], buffer, texts[i])) return error;
    }
    take(texts, level);
    return std::nullopt;
  };
  const bool was_stale = stale();
  watched_ = false;
  if (auto error = reach_ == Reach::kSelf ? visit(dir_->fd(), 0) : dir_->climb(visit)) return error;
  // What was written after the notifier was drained, and is told of no more.
  if (was_stale || watches != watches_) ++refreshed_;
  watches_ = std::move(watches);
  watched_ = watched;
  return std::nullopt;
}

}  // namespace vprocfs
