#include "klog/victims.h"

#include <algorithm>

#include "base/words.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxVictims = 256;

template <typename Victims>
auto find(Victims& all, pid_t pid) {
  return std::find_if(all.begin(), all.end(), [pid](const auto& one) { return one.pid == pid; });
}

}  // namespace

void Victims::note(pid_t pid, const std::string& memory_path) {
  // The PID may be that of an earlier victim.
  const auto earlier = find(all_, pid);
  if (earlier != all_.end()) all_.erase(earlier);
  if (pid == 0 || memory_path.empty()) return;
  all_.push_back({pid, memory_path, false});
  if (all_.size() > kMaxVictims) all_.pop_front();
}

std::string Victims::path_of(pid_t pid) const {
  const auto it = find(all_, pid);
  return it == all_.end() ? "" : it->memory_path;
}

bool Victims::is_named_again(pid_t pid, const std::string& killed_path) {
  const auto it = find(all_, pid);
  if (it == all_.end() || it->is_named_again) return false;
  it->is_named_again = is_below(it->memory_path, killed_path);
  return it->is_named_again;
}

}  // namespace vprocfs
