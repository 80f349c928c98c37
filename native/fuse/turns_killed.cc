// How requests are answered whose callers were killed meanwhile.

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "fuse/operations.h"
#include "fuse/turns.h"
#include "source/process_status.h"

namespace vprocfs {
namespace {

/// How soon, and how often in the end, it is looked whether an interrupted caller was killed.
constexpr uint64_t kFirstLookUs = 50'000, kLastLookUs = 1'000'000;

/// Whether /proc/<tid>/status tells of a SIGKILL that waits for its thread; every signal that ends
/// a process shows as one.
bool killed(std::string_view status) {
  return (status_mask(status, "SigPnd").value_or(0) >> (SIGKILL - 1) & 1) != 0;
}

}  // namespace

void Turns::interrupt(uint64_t unique) {
  if (begin_to_look(unique)) release_killed(unique, kFirstLookUs, true);
}

bool Turns::begin_to_look(uint64_t unique) {
  {
    const std::lock_guard lock(waiting_mutex_);
    const auto it = waiting_.find(unique);
    if (it != waiting_.end()) return !std::exchange(it->second.interrupted, true);
  }
  const uint64_t request = unique & ~kFuseUniqueResend;
  const std::lock_guard lock(in_turn_mutex_);
  const auto its = [request](const Caller& one) { return one.request == request; };
  const auto at = std::find_if(in_turn_.begin(), in_turn_.end(), its);
  if (at != in_turn_.end()) return !std::exchange(at->interrupted, true);
  // One that is found nowhere may be between the first two.
  return answers_.unsettled.begin_to_look(request);
}

void Turns::interrupt_again(uint64_t unique) {
  delayed_.post_unless_stopping(boottime_us() + kFirstLookUs, [this, unique](CpuLaps& laps) {
    answers_.end(unique, EAGAIN);
    laps.skip();
  });
}

void Turns::release_killed(uint64_t unique, uint64_t again_us, bool was_found) {
  // Its turn may be far off, its source may block for long, and until it is answered the thread
  // cannot end. Signals that do not kill must not be seen, as they are not in proc.
  const std::optional<Caller> caller = caller_of(unique);
  if (caller) {
    const auto status = host_.status_of(caller->pid);
    if (status && killed(status.value())) {
      // If it does not wait, somebody works on it, or its answer waits for a notice.
      if (!answer_interrupted(unique)) {
        answers_.end(unique, answered_errno(caller->opcode, EINTR));
      }
      return;
    }
  }
  // Between two places it is in none for a moment: only one missed twice has been answered.
  if (!caller && !was_found) return;
  const auto again = [this, unique, again_us, found = caller.has_value()](CpuLaps& laps) {
    const ContainerPtr payer = container_of(unique);
    laps.skip();
    if (payer) payer->tenant().begin_lap(laps);
    release_killed(unique, std::min(2 * again_us, kLastLookUs), found);
    if (payer) payer->tenant().charge_lap(laps);
  };
  delayed_.post_unless_stopping(boottime_us() + again_us, again);
}

std::optional<Caller> Turns::caller_of(uint64_t unique) const {
  const uint64_t request = unique & ~kFuseUniqueResend;
  {
    const std::lock_guard lock(waiting_mutex_);
    const auto it = waiting_.find(unique);
    if (it != waiting_.end()) {
      return Caller::of(it->second.info.header, it->second.interrupted);
    }
  }
  const std::lock_guard lock(in_turn_mutex_);
  const auto its = [request](const Caller& one) { return one.request == request; };
  const auto at = std::find_if(in_turn_.begin(), in_turn_.end(), its);
  return at == in_turn_.end() ? answers_.unsettled.find(request) : std::optional(*at);
}

bool Turns::answer_interrupted(uint64_t unique) {
  ContainerPtr container;
  RequestInfo info;
  Delay delay;
  {
    const std::lock_guard lock(waiting_mutex_);
    const auto it = waiting_.find(unique);
    if (it == waiting_.end()) return false;
    container = it->second.container.lock();
    info = it->second.info;
    delay = it->second.delay;
    waiting_.erase(it);
  }
  // Else those whose callers are killed would use up what may wait, and nobody would be paced.
  cancel(delay);
  if (container) leave_queue(*container, unique);
  answers_.give(info, Answer::error(EINTR));
  return true;
}

}  // namespace vprocfs
