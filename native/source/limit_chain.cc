#include "source/limit_chain.h"

#include <unistd.h>

namespace vprocfs {
namespace {

constexpr const char* kSubtreeControl = "../cgroup.subtree_control";

/// With more ancestors none is watched: containers choose how deep they nest, and all of them share
/// what the kernel lets one user watch.
constexpr size_t kMaxWatchedDepth = 64;

}  // namespace

uint64_t LimitChain::sum() const {
  uint64_t total = 0;
  for (const auto& counter : counters_) total += counter->load(std::memory_order_acquire);
  return total;
}

/// False when the file is there and cannot be watched.
bool LimitChain::watch(int dir_fd, const char* name,
                       std::vector<ChangeNotifier::Counter>& to) const {
  if (notifier_ == nullptr) return false;
  auto counter = notifier_->watch(dir_fd, name);
  if (!counter) return ::faccessat(dir_fd, name, F_OK, 0) != 0;
  to.push_back(std::move(counter));
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
  // The old counters stay until the new ones are there: the same files need no new watches.
  std::vector<ChangeNotifier::Counter> counters;
  Texts texts(files_.size());
  bool watched = reach_ == Reach::kSelf || dir_->depth() <= kMaxWatchedDepth;
  uint64_t seen = 0;
  const auto visit = [&](int dir_fd, size_t level) -> std::optional<Error> {
    const size_t first = counters.size();
    // Before its files: those that appear after they were looked for are told of.
    if (watched && level < dir_->depth() && reach_ == Reach::kAncestorsV2) {
      watched = watch(dir_fd, kSubtreeControl, counters);
    }
    for (const char* name : files_) watched = watched && watch(dir_fd, name, counters);
    // Counted before reading: what is written meanwhile makes this stale again.
    for (size_t i = first; i < counters.size(); ++i) {
      seen += counters[i]->load(std::memory_order_acquire);
    }
    for (size_t i = 0; i < files_.size(); ++i) {
      if (auto error = read(dir_fd, files_[i], buffer, texts[i])) return error;
    }
    take(texts, level);
    return std::nullopt;
  };
  watched_ = false;
  if (auto error = reach_ == Reach::kSelf ? visit(dir_->fd(), 0) : dir_->climb(visit)) return error;
  counters_ = std::move(counters);
  seen_ = seen;
  watched_ = watched;
  return std::nullopt;
}

}  // namespace vprocfs
