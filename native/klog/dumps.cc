#include "klog/dumps.h"

#include <algorithm>

#include "base/affix.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxTasks = 256;
/// A dump ends when its task prints nothing for so long: slow consoles delay its lines.
constexpr uint64_t kQuietUs = 1'000'000;

/// How dumps begin: mm/page_alloc.c warn_alloc(), drivers/tty/sysrq.c, kernel/panic.c and the
/// handlers of exceptions.
bool begins_dump(std::string_view text) {
  constexpr std::string_view kStarts[] = {
      "sysrq",  "BUG:",     "WARNING:",   "INFO:",           "------------[",    "Mem-Info",
      "CPU:",   "rcu:",     "Showing ",   "Call ",           "Unable to handle", "Internal error",
      "Oops",   "watchdog", "stack segm", "general protect", "Modules linked",   "Tainted:",
      "kernel "};
  constexpr std::string_view kParts[] = {"page allocation failure", "page allocation stall",
                                         "allocation failed", "unable to allocate", "slab"};
  for (const std::string_view start : kStarts) {
    if (starts_with(text, start)) return true;
  }
  return std::any_of(std::begin(kParts), std::end(kParts),
                     [text](std::string_view part) { return text.find(part) != text.npos; });
}

}  // namespace

bool Dumps::take(pid_t task, std::string_view text, uint64_t time_us) {
  const auto it = last_us_.find(task);
  const bool goes_on = (it != last_us_.end() && time_us < it->second + kQuietUs) ||
                       (lost_us_ && time_us < *lost_us_ + kQuietUs);
  if (!goes_on && !begins_dump(text)) {
    if (it != last_us_.end()) last_us_.erase(it);
    return false;
  }
  note(task, time_us);
  return true;
}

void Dumps::note(pid_t task, uint64_t time_us) {
  if (task == 0) return;
  if (last_us_.size() >= kMaxTasks) {
    const auto oldest = std::min_element(
        last_us_.begin(), last_us_.end(),
        [](const auto& left, const auto& right) { return left.second < right.second; });
    last_us_.erase(oldest);
  }
  last_us_[task] = time_us;
}

}  // namespace vprocfs
