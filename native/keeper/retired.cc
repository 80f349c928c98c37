// Workers that are gone, as far as readers are concerned, and have not ended.

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "keeper/log.h"
#include "keeper/passthrough_group.h"
#include "keeper/proc.h"
#include "keeper/supervisor.h"

namespace vprocfs {

Worker& Supervisor::retire(Worker& worker) {
  // When there is no room, the longest dead is only forgotten: it is reaped whenever it ends.
  Worker* place = &retired_[0];
  for (Worker& other : retired_) {
    if (!other.alive()) {
      place = &other;
      break;
    }
    if (other.kill_reason != nullptr &&
        (place->kill_reason == nullptr || other.killed_ms < place->killed_ms)) {
      place = &other;
    }
  }
  if (place->alive()) ::kill(place->pid, SIGKILL);
  *place = std::move(worker);
  place->control.reset();
  place->thread.reset();
  place->other_thread.reset();
  worker = Worker{};
  return *place;
}

void Supervisor::abandon_unkillable(uint64_t now) {
  if (stopping_) return;
  for (Worker* worker : {&current_, &next_}) {
    if (!worker->unkillable(now)) continue;
    keeper_log(options_.log, LogLevel::kError,
               "worker %d was killed and does not end: continuing without it", worker->pid);
    const bool by_us = worker->kill_reason != nullptr;
    const char* why = by_us ? worker->kill_reason : "killed, and does not end";
    if (worker == &current_) {
      const auto status = ending(worker->pid);
      killed_ = !by_us && status && WTERMSIG(*status) == SIGKILL;
      resent_before_ += current_.resent;
      requests_before_ += current_.requests;
    }
    const Worker& gone = retire(*worker);
    if (worker == &next_) {
      note_stood_by(gone, now);
      lose_next(why, now);
    } else if (was_second(gone)) {
      lose_second(why, now);
    } else {
      lose_current(why, now);
    }
  }
}

/// The service manager would kill it too once we end, and wait for minutes for its end before it
/// starts the next keeper.
void Supervisor::move_out_unkillable(uint64_t now) {
  const auto move = [this, now](Worker& worker) {
    if (worker.unkillable(now)) move_out(worker);
  };
  for (Worker* worker : {&current_, &next_}) move(*worker);
  for (Worker& worker : retired_) move(worker);
}

void Supervisor::move_out(Worker& worker) {
  if (worker.moved_out || !worker.alive()) return;
  worker.moved_out = rest_left_ = true;
  enter_passthrough_group(worker.pid);
}

bool Supervisor::is_outlived() const {
  const auto lives = [](const Worker& worker) { return worker.alive(); };
  return lives(current_) || lives(next_) ||
         std::any_of(std::begin(retired_), std::end(retired_), lives);
}

}  // namespace vprocfs
