#include "keeper/supervisor.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "base/clock.h"
#include "keeper/log.h"
#include "keeper/notify.h"

namespace vprocfs {
namespace {

/// How long the service manager may take for what we leave to the next keeper. Readers wait
/// meanwhile, which is better than to have every container lose its files.
constexpr uint64_t kLeaveMs = 15000;
/// How long after a child has ended it is reaped. To reap it the kernel clears away what /proc has
/// of it, and where a thread of it that has been preempted is clearing the same, it spins until
/// that one runs again: with one CPU for both, for a whole time slice, while readers wait for us.
constexpr uint64_t kReapMs = 50;

}  // namespace

Supervisor::Supervisor(const KeeperOptions& options, const PersistentState& state)
    : options_(options),
      connection_(state.connection),
      polled_(state.polled),
      fd_store_(state.fd_store),
      memo_(state.memo),
      store_(state.store),
      launch_(state.launch),
      born_ms_(monotonic_ms()),
      unserved_since_ms_(born_ms_) {
  if (const char* usec = std::getenv("WATCHDOG_USEC")) {
    watchdog_ms_ = std::strtoull(usec, nullptr, 10) / 1000;
  }
}

void Supervisor::resume(const Resume& from) {
  generation_ = from.generation;
  restarts_ = from.restarts;
  born_ms_ = from.born_ms;
  current_.pid = from.worker_pid;
  current_.control = Fd(from.control_fd);
  current_.watch_threads(0);
  listener_ = Fd(from.listener_fd);
  current_.state = WorkerState::kServing;
  current_.generation = from.generation;
  current_.connections = from.connections;
  polled_remade_ = polled_.made() && from.connections == 1;
  current_.started_ms = from.worker_started_ms;
  current_.serving_ms = current_.last_beat_ms = monotonic_ms();
  resent_before_ = from.resent;
  requests_before_ = from.requests;
  unserved_since_ms_ = 0;
  // Not known where an earlier self had no memo, or noted nothing there.
  started_in_ms_ = memo_.record().started_in_ms;
  current_.pace(options_.watchdog_ms, true);
  launch_.confirm();
  keeper_log(options_.log, LogLevel::kInfo, "continuing with worker %d", current_.pid);
}

void Supervisor::succeed(const MemoRecord& from) {
  adopted_ = rest_left_ = true;
  generation_ = from.generation;
  restarts_ = from.restarts;
  born_ms_ = from.born_ms;
  resent_before_ = from.resent;
  requests_before_ = from.requests;
  started_in_ms_ = from.started_in_ms;
  keeper_log(options_.log, LogLevel::kInfo,
             "continuing with the mount of an earlier keeper, %zu descriptors", store_.size());
}

/// Keeps up to date what the next keeper is to know.
void Supervisor::note() {
  MemoRecord& record = memo_.record();
  record.generation = generation_;
  record.restarts = restarts_;
  record.born_ms = born_ms_;
  record.resent = resent_before_ + current_.resent;
  record.requests = requests_before_ + current_.requests;
  record.started_in_ms = started_in_ms_;
}

void Supervisor::look_after(pid_t child) {
  siginfo_t info{};
  if (child <= 0) return;
  const int got = ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT);
  if (got != 0 || info.si_pid != child) return;
  // As of wait(2).
  const int status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
  on_child(child, status);
}

void Supervisor::look_after_children() {
  for (const Worker& worker : retired_) look_after(worker.pid);
  look_after(probe_);
  look_after(next_.pid);
  look_after(current_.pid);
  if (reap_at_ms_ == 0) reap_at_ms_ = monotonic_ms() + kReapMs;
}

void Supervisor::reap() {
  reap_at_ms_ = 0;
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) on_child(pid, status);
}

void Supervisor::on_signal() {
  signalfd_siginfo info{};
  bool child = false, stop = false, leave = false;
  while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    switch (info.ssi_signo) {
      case SIGCHLD:
        child = true;
        break;
      case SIGHUP:
      case SIGUSR1:  // LXCFS's signal for the same
        begin_reload(-1);
        break;
      case SIGUSR2:
        begin_execution();
        break;
      default:
        stop = true;
        leave = leave || static_cast<int>(info.ssi_signo) == leave_signal();
    }
  }
  // Of those that have come together the lower number is read first, but it was sent last.
  if (leave) begin_leave();
  if (stop) begin_stop();
  // Last: if it was the program that we tried, we become that, which would not know of a stop.
  if (child) look_after_children();
}

void Supervisor::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  notify_supervisor("STOPPING=1\nSTATUS=stopping");
  keeper_log(options_.log, LogLevel::kInfo, "stopping");
  const uint64_t now = monotonic_ms();
  start_at_ms_ = 0;
  stop_by_ms_ = now + options_.stop_ms + kUnkillableMs;
  next_.kill("stopping", now);
  end_reloads("stopping");
  if (!current_.alive()) return;
  on_idle_beat(current_, false);
  const bool asked = current_.serves() && current_.send(KeeperMessage::kStop);
  if (!asked) return current_.kill("stopping", now);
  // The worker unmounts while it still serves, and knows who keeps the mount busy.
  current_.state = WorkerState::kStopping;
  current_.deadline_ms = now + options_.stop_ms;
}

void Supervisor::begin_leave() {
  if (stopping_) return;
  if (store_.size() == 0) {
    keeper_log(options_.log, LogLevel::kWarn,
               "the service manager holds no descriptors: unmounting");
    return begin_stop();
  }
  stopping_ = leaving_ = true;
  notify_supervisor("STOPPING=1\nSTATUS=leaving the mount to the next keeper");
  keeper_log(options_.log, LogLevel::kInfo, "leaving the mount to the next keeper");
  const uint64_t now = monotonic_ms();
  start_at_ms_ = 0;
  stop_by_ms_ = now + options_.drain_ms + kUnkillableMs;
  leave_by_ms_ = now + kLeaveMs;
  next_.kill("stopping", now);
  end_reloads("stopping");
  if (!current_.alive()) return;
  // It holds nothing yet.
  const bool begins =
      current_.state == WorkerState::kStarting || current_.state == WorkerState::kReady;
  if (begins) return current_.kill("stopping", now);
  // What it holds it answers, so that nobody waits for the next one, which an older kernel could
  // not hand it again.
  begin_drain(now, false);
}

bool Supervisor::stopped(uint64_t now) const {
  if (!stopping_) return false;
  if (waits_for_manager()) return now >= leave_by_ms_;
  if (now >= stop_by_ms_) return true;
  const auto awaited = [now](const Worker& w) { return w.alive() && !w.unkillable(now); };
  const bool some = std::any_of(std::begin(retired_), std::end(retired_), awaited);
  return drained_ || !(awaited(current_) || awaited(next_) || some);
}

}  // namespace vprocfs
