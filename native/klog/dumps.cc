#include "klog/dumps.h"

#include <algorithm>

#include "base/affix.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxTasks = 256;
/// A dump ends when its task prints nothing for so long: slow consoles delay its lines.
constexpr uint64_t kQuietUs = 1'000'000;
/// A task that prints steadily is in no dump for longer than this whose beginning was not read.
constexpr uint64_t kUnknownUs = 5'000'000;

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
  const auto it = dumps_.find(task);
  const bool is_noted = it != dumps_.end() && it->second.goes_on(time_us);
  const bool may_go_on = lost_us_ && time_us < *lost_us_ + kQuietUs;
  uint64_t until_us = 0;
  if (is_noted) until_us = it->second.until_us;
  if (may_go_on) until_us = std::max(until_us, *lost_us_ + kUnknownUs);
  if (begins_dump(text)) until_us = UINT64_MAX;
  if (until_us == 0) {
    if (it != dumps_.end()) dumps_.erase(it);
    return false;
  }
  note(task, {time_us, until_us});
  return true;
}

bool Dumps::Dump::goes_on(uint64_t now_us) const {
  return now_us < last_us + kQuietUs && now_us < until_us;
}

void Dumps::note(pid_t task, const Dump& dump) {
  if (task == 0) return;
  if (dumps_.size() >= kMaxTasks) {
    const auto oldest =
        std::min_element(dumps_.begin(), dumps_.end(), [](const auto& left, const auto& right) {
          return left.second.last_us < right.second.last_us;
        });
    dumps_.erase(oldest);
  }
  dumps_[task] = dump;
}

}  // namespace vprocfs
