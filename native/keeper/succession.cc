// How one worker follows another.

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "keeper/log.h"
#include "keeper/passthrough_group.h"
#include "keeper/proc.h"
#include "keeper/supervisor.h"

namespace vprocfs {
namespace {

constexpr uint64_t kMaxKilledBackoffMs = 200;
/// How long after a takeover the next standby starts: readers who have waited for it come first.
constexpr uint64_t kStandbyRestMs = 100;

uint64_t backoff_ms(uint32_t failures) {
  // The first death is answered at once; a loop of them is slowed down.
  if (failures <= 1) return 0;
  return std::min<uint64_t>(kMaxBackoffMs, uint64_t{50} << std::min<uint32_t>(failures - 2, 10));
}

}  // namespace

void Supervisor::remember(const char* what) {
  std::memmove(reasons_[1], reasons_[0], sizeof(reasons_) - sizeof(reasons_[0]));
  std::snprintf(reasons_[0], kReasonBytes, "%s", what);
}

/// Until when a worker may take to get ready that was started at `started_ms`. A machine that is
/// starved does not get faster by beginning from nothing again.
uint64_t Supervisor::start_by_ms(uint64_t started_ms) const {
  const uint64_t usual = std::max<uint64_t>(options_.start_ms, 4 * started_in_ms_);
  return started_ms + std::min(kMaxStartMs, usual << std::min<uint32_t>(slow_starts_, 10));
}

void Supervisor::start(Worker& slot, uint64_t now) {
  start_at_ms_ = 0;
  Inheritance inheritance{connection_.fuse.get(), connection_.state.get(), connection_.device};
  if (polled_.made() && !polled_.ended()) {
    inheritance.polled_fuse_fd = polled_.fuse.get();
    inheritance.polled_state_fd = polled_.state.get();
    inheritance.polled_device = polled_.device;
  }
  const Start how = current_.serves() ? Start::kBesideAnother : Start::kAwaited;
  if (start_worker(options_, inheritance, how, now, slot)) {
    slot.deadline_ms = start_by_ms(now);
    return;
  }
  keeper_log(options_.log, LogLevel::kError, "cannot start a worker: %s", std::strerror(errno));
  if (&slot == &next_) {
    standby_at_ms_ = now + kMaxBackoffMs;
    return;
  }
  ++failures_;
  start_at_ms_ = now + kMaxBackoffMs;
}

/// A takeover takes some ms: readers who wait for one that is at fault get their error this late.
/// Of these, KeeperLink may wait 500 for the daemon before it says that it serves.
constexpr uint64_t kTakeoverMs = 1500;

void Supervisor::activate(Worker& worker, uint64_t now) {
  // Whoever served before writes no more: what it damaged is put right unseen.
  for (const Connection* connection : {&connection_, &polled_}) {
    if (!connection->made()) continue;
    StateFile::repair_connection(connection->state.get(), connection->negotiated);
  }
  worker.put_first();
  worker.state = WorkerState::kActivating;
  worker.idle = false;
  worker.generation = ++generation_;
  worker.deadline_ms = activate_by_ms(now);
  leave_until_ms_ = now + kTakeoverMs;
  if (!worker.send(KeeperMessage::kActivate, true)) worker.kill("unreachable", now);
  // What it waited for before.
  worker.extended_ms = starved_ms(worker.pid);
}

void Supervisor::hand_over_to_next(uint64_t now) {
  resent_before_ += current_.resent;
  requests_before_ += current_.requests;
  retire(current_).deadline_ms = now + options_.drain_ms;
  follow_drained(now);
}

/// The next one may have ended meanwhile, so that another one is starting, or is yet to start.
void Supervisor::follow_drained(uint64_t now) {
  if (unserved_since_ms_ == 0) unserved_since_ms_ = now;
  if (next_.alive() && next_.kill_reason == nullptr) {
    start_at_ms_ = 0;
    return next_.state == WorkerState::kReady ? promote(now) : await_next();
  }
  discard_standby();
  start(current_, now);
}

/// Readers wait for the next one from now on, which is still starting.
void Supervisor::await_next() {
  next_.put_first();
  // A reload's had less time, while there was another one to serve.
  next_.deadline_ms = std::max(next_.deadline_ms, start_by_ms(next_.started_ms));
}

void Supervisor::promote(uint64_t now) {
  current_ = std::move(next_);
  next_ = Worker{};
  start_at_ms_ = 0;
  standby_failures_ = 0;
  activate(current_, now);
}

void Supervisor::on_ready(Worker& worker, uint64_t now) {
  if (worker.state != WorkerState::kStarting) return;
  worker.state = WorkerState::kReady;
  const uint64_t took_ms = now - worker.started_ms;
  // One that readers wait for takes no longer than one behind others.
  const bool tells_more = !worker.behind || started_in_ms_ == 0 || took_ms < started_in_ms_;
  if (tells_more) started_in_ms_ = took_ms;
  worker.deadline_ms = 0;
  worker.last_beat_ms = now;
  // Or readers wait for it already.
  const bool stands_by = current_.serves() || current_.state == WorkerState::kActivating;
  if (&worker == &next_) stands_by ? worker.put_back() : worker.put_first();
  worker.pace(options_.watchdog_ms, &worker == &next_ && current_.idle);
  if (&worker == &current_) return activate(worker, now);
  // It was quicker than one that had begun before it, and has taken nothing.
  if (current_.alive() && current_.state == WorkerState::kStarting) {
    current_.kill("another one was ready before it", now);
    retire(current_);
    return promote(now);
  }
  if (!current_.alive()) {
    if (now >= start_at_ms_) promote(now);
    return;
  }
  if (current_.kill_reason != nullptr) return;  // promoted when that one has ended
  // The one before it ended while the worker drained, which has been told to already.
  if (!reloading_ || current_.state == WorkerState::kDraining) return;
  // Readers were served until now, even if not for long enough to prove anything.
  if (current_.serves() || unserved_since_ms_ == 0) unserved_since_ms_ = now;
  // From here to the end of what the old one has taken only this one takes more. When memory is
  // short, the old one goes first: what it has taken this one is asked again.
  worker.put_first();
  begin_drain(now, true);
}

void Supervisor::begin_drain(uint64_t now, bool is_followed) {
  current_.state = WorkerState::kDraining;
  current_.deadline_ms = now + options_.drain_ms;
  // The kernel takes seconds to close what it may have, such as many triggers, and a process that
  // ends stays in its cgroup: the service manager would wait for that when it stops us. Once it
  // ends it cannot be moved any more.
  move_out(current_);
  if (!current_.send(KeeperMessage::kDrain, is_followed)) current_.kill("unreachable", now);
}

void Supervisor::on_serving(Worker& worker, const char* ignored, uint64_t now) {
  if (worker.state != WorkerState::kActivating) return;
  if (ignored[0] != '\0') {
    keeper_log(options_.log, LogLevel::kWarn, "ignored state of the previous worker: %s", ignored);
    ++states_ignored_;
  }
  worker.state = WorkerState::kServing;
  worker.deadline_ms = 0;
  worker.serving_ms = worker.last_beat_ms = now;
  worker.pace(options_.watchdog_ms, true);
  refusing_ = polled_remade_ = false;
  slow_starts_ = 0;
  next_extension_ms_ = 0;
  standby_at_ms_ = std::max(standby_at_ms_, now + kStandbyRestMs);
  launch_.confirm();
  keeper_log(options_.log, LogLevel::kInfo, "worker %d serves, generation %u", worker.pid,
             worker.generation);
  // A reload says so itself.
  if (!reloading_) tell_ready("READY=1\nSTATUS=serving");
  end_reload("ok");
}

void Supervisor::on_child(int pid, int status) {
  for (Worker& worker : retired_) {
    if (pid == worker.pid) {
      if (worker.moved_out) remove_passthrough_group();
      worker = Worker{};
      return;
    }
  }
  if (pid == probe_) {
    probe_ = 0;
    probe_by_ms_ = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return execute_self();
    keeper_log(options_.log, LogLevel::kError,
               "the keeper on disk does not start: continuing with this one");
    return;
  }
  Worker& worker = pid == next_.pid ? next_ : current_;
  if (worker.pid != pid) return;
  drain_packets(worker);
  char what[kReasonBytes];
  if (worker.kill_reason != nullptr || worker.why[0] != '\0') {
    std::snprintf(what, sizeof(what), "%s",
                  worker.kill_reason != nullptr ? worker.kill_reason : worker.why);
  } else if (WIFSIGNALED(status)) {
    std::snprintf(what, sizeof(what), "signal %d", WTERMSIG(status));
  } else {
    std::snprintf(what, sizeof(what), "exit status %d", WEXITSTATUS(status));
  }
  const uint64_t now = monotonic_ms();
  if (&worker == &next_) return lose_next(what, now);
  const Worker gone = std::move(current_);
  current_ = Worker{};
  resent_before_ += gone.resent;
  requests_before_ += gone.requests;
  // Whoever kills it (an operator, the kernel when memory is short) says nothing about whether it
  // works: only one that never gets to serve is in trouble.
  killed_ = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && gone.kill_reason == nullptr;
  if (gone.proven(now) || (killed_ && gone.serving_ms != 0)) unserved_since_ms_ = failures_ = 0;
  const bool handed_over = gone.state == WorkerState::kDraining && status == 0;
  if (handed_over && !stopping_) return follow_drained(now);
  if (was_second(gone)) return lose_second(what, now);
  lose_current(what, now);
}

void Supervisor::lose_current(const char* why, uint64_t now) {
  if (unserved_since_ms_ == 0) unserved_since_ms_ = now;
  if (stopping_) return;
  if (refusing_) {
    connection_.requeue();
    polled_.requeue();
  }
  remember(why);
  ++restarts_;
  uint64_t wait = backoff_ms(++failures_);
  if (killed_) wait = std::min(wait, kMaxKilledBackoffMs);
  killed_ = false;
  if (next_.silent(now, options_.watchdog_ms)) discard_standby();
  if (next_.alive() && next_.kill_reason == nullptr) {
    // One that is ready is put first when it takes over.
    if (next_.state == WorkerState::kStarting) await_next();
    // It becomes the replacement when it is ready, and not before its time.
    keeper_log(options_.log, LogLevel::kWarn,
               "the worker ended (%s), the next one takes over in %llu ms", why,
               static_cast<unsigned long long>(wait));
    start_at_ms_ = now + wait;
    if (wait == 0 && next_.state == WorkerState::kReady) promote(now);
    return;
  }
  discard_standby();
  end_reload(why);
  keeper_log(options_.log, LogLevel::kWarn, "the worker ended (%s), starting another in %llu ms",
             why, static_cast<unsigned long long>(wait));
  if (wait == 0) return start(current_, now);
  start_at_ms_ = now + wait;
}

}  // namespace vprocfs
