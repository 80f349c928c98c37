// What the keeper does each time it comes round.

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/clock.h"
#include "keeper/log.h"
#include "keeper/notify.h"
#include "keeper/passthrough_group.h"
#include "keeper/supervisor.h"

namespace vprocfs {
namespace {

/// How long the loop waits at most, for what nothing tells of; so long while a worker serves, whose
/// beats have it come round anyway; and so long while it is idle, when the connections tell of
/// everything.
constexpr uint64_t kRoundMs = 1000, kServedRoundMs = 2000, kIdleRoundMs = 60000;
// How much too late the loop may come round before it counts as one that did not run at all.
constexpr uint64_t kPauseMs = 500;
// More time for the start is asked for so often, and so much of it. Only for a worker that is slow,
// not for one after the other.
constexpr uint64_t kExtensionMs = 5000;
constexpr uint64_t kSlowMs = 3000;
constexpr char kExtension[] = "EXTEND_TIMEOUT_USEC=30000000";
constexpr char kSlowExtension[] =
    "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=the worker takes long to start";
constexpr uint64_t kStoreAgainMs = 50;
/// The mount table is read at most so often: it may be long.
constexpr uint64_t kLookAtMountMs = 10000;
constexpr uint64_t kMaxPatienceMs = 60000;
/// So long a worker may have only been forked, and cannot be put first yet.
constexpr uint64_t kForkedMs = 100;

}  // namespace

void Supervisor::check_worker(Worker& worker, uint64_t now) {
  if (!worker.alive() || worker.kill_reason != nullptr) return;
  if (worker.deadline_ms != 0 && now >= worker.deadline_ms) {
    if (worker.extend_deadline(now)) return;
    const bool draining = worker.state == WorkerState::kDraining;
    const bool stops = worker.state == WorkerState::kStopping;
    if (!draining && !stops && !hurried(worker)) ++slow_starts_;
    worker.kill(draining ? "did not drain in time"
                : stops  ? "did not stop in time"
                         : "did not start in time",
                now);
    return;
  }
  const bool serves = worker.state == WorkerState::kServing;
  const bool stops = worker.state == WorkerState::kStopping;
  const bool beats = serves || stops || worker.state == WorkerState::kReady;
  if (!beats || !worker.is_hung(now, options_.watchdog_ms)) return;
  worker.kill(serves  ? "watchdog: it stopped serving"
              : stops ? "watchdog: it hangs while it stops"
                      : "watchdog: it does not stand by",
              now);
}

/// How long readers wait. Not for less than a start is known to take on this machine, while there
/// is one under way that nothing speaks against.
uint64_t Supervisor::patience_ms() const {
  const Worker& one = current_.alive() ? current_ : next_;
  const bool starts = one.alive() && one.kill_reason == nullptr && failures_ <= 1;
  const uint64_t slow = std::min(kMaxPatienceMs, 2 * started_in_ms_);
  return starts ? std::max<uint64_t>(options_.patience_ms, slow) : options_.patience_ms;
}

/// Whether a worker takes over and has the queue for itself, as it has at first: it has what was
/// taken and not answered sent again, and what we took after that, releases of files, nobody would
/// send once more.
bool Supervisor::leaves_queue(uint64_t now) const {
  return current_.state == WorkerState::kActivating && now < leave_until_ms_;
}

void Supervisor::refuse(uint64_t now) {
  const bool lost = !current_.serves() && unserved_since_ms_ != 0 && !stopping_;
  if (!lost || leaves_queue(now) || now < unserved_since_ms_ + patience_ms()) return;
  if (!refusing_) {
    keeper_log(options_.log, LogLevel::kError,
               "no worker serves: readers get an error until one does");
    refusing_ = true;
    // The mount is here, and a start that takes too long would end it.
    if (adopted_) {
      next_extension_ms_ = 0;
      tell_ready(ready_text());
    } else {
      notify_supervisor("STATUS=no worker serves, readers get an error");
    }
    connection_.requeue();
    polled_.requeue();
  }
  // A worker that is about to serve reads the same queue: what it takes, it answers.
  connection_.refuse_some();
  polled_.refuse_some();
}

void Supervisor::adjust_for_pause(uint64_t planned_ms, uint64_t now) {
  if (now < planned_ms + kPauseMs) return;
  // We were stopped or frozen, or the machine was, and workers with us: what they did not say in
  // that time they could not say.
  const uint64_t late = now - planned_ms;
  for (Worker* worker : {&current_, &next_}) worker->postpone(late, now);
  for (Worker& worker : retired_) worker.postpone(late, now);
  // It may have begun only after all that.
  if (unserved_since_ms_ != 0) unserved_since_ms_ = std::min(unserved_since_ms_ + late, now);
  // The service manager may have stood still with us, or a program that is tried.
  for (uint64_t* by_ms : {&stop_by_ms_, &leave_by_ms_, &execute_by_ms_, &probe_by_ms_}) {
    if (*by_ms != 0) *by_ms += late;
  }
}

void Supervisor::report_progress(uint64_t now) {
  if (next_extension_ms_ == 0 || now < next_extension_ms_ || stopping_) return;
  const bool slow = current_.alive() && !current_.serves() && now >= current_.started_ms + kSlowMs;
  // With a mount, readers may be let wait for longer than a start may take.
  if (!slow && !adopted_) return;
  next_extension_ms_ = now + kExtensionMs;
  notify_supervisor(slow ? kSlowExtension : kExtension);
}

void Supervisor::tell_ready(const char* text) {
  const bool is_over = stopping_ || notify_supervisor(text);
  ready_untold_ = is_over ? nullptr : text;
}

void Supervisor::on_timers(uint64_t now) {
  for (Worker* worker : {&current_, &next_}) check_worker(*worker, now);
  for (Worker& worker : retired_) check_worker(worker, now);
  if (current_.kill_reason != nullptr && unserved_since_ms_ == 0 && !stopping_)
    unserved_since_ms_ = current_.killed_ms;
  if (probe_by_ms_ != 0 && now >= probe_by_ms_) {
    probe_by_ms_ = 0;
    ::kill(probe_, SIGKILL);
  }
  if (reap_at_ms_ != 0 && now >= reap_at_ms_) reap();
  abandon_unkillable(now);
  move_out_unkillable(now);
  if (rest_left_ && current_.serves()) rest_left_ = !remove_passthrough_group();
  report_progress(now);
  if (next_.silent(now, options_.watchdog_ms) && !current_.alive()) discard_standby();
  if (start_at_ms_ != 0 && now >= start_at_ms_ && !current_.alive()) {
    if (!next_.alive()) {
      start(current_, now);
    } else if (next_.state == WorkerState::kReady && next_.kill_reason == nullptr) {
      promote(now);
    }
  }
  // One that had only been forked when readers began to wait, and was last after that.
  if (const Worker* one = awaited()) (one == &next_ ? next_ : current_).put_first();
  hedge(now);
  begin_pending_execution();
  begin_pending_reload(now);
  stand_by(now);
  store_.flush();
  if (ready_untold_ != nullptr) tell_ready(ready_untold_);
  if (now >= client_until_ms_) {
    client_.reset();
    client_until_ms_ = 0;
  }
  if (listen_again_ms_ != 0 && now >= listen_again_ms_) open_socket();
  refuse(now);
  if (watchdog_ms_ != 0 && now >= next_notify_ms_) {
    notify_supervisor("WATCHDOG=1");
    next_notify_ms_ = now + watchdog_ms_ / 3;
  }
}

/// While containers have files of it the connection does not end, and nothing else tells.
void Supervisor::look_after_mount(uint64_t now) {
  if (stopping_ || now < look_at_mount_ms_) return;
  look_at_mount_ms_ = now + kLookAtMountMs;
  Lies now_lies = how_it_lies(connection_.mountpoint, connection_.device);
  // Before Linux 5.8 a reader may miss a line when another one is removed.
  if (now_lies == Lies::kGone) now_lies = how_it_lies(connection_.mountpoint, connection_.device);
  const Lies before = std::exchange(lies_, now_lies);
  if (lies_ == before) return;
  if (lies_ == Lies::kThere) {
    keeper_log(options_.log, LogLevel::kInfo, "%s is where it was mounted again",
               options_.mountpoint);
  } else if (lies_ == Lies::kCovered) {
    keeper_log(options_.log, LogLevel::kError,
               "something is mounted over %s: unmount it; containers that have files keep them, "
               "others get none until then",
               options_.mountpoint);
  } else {
    keeper_log(options_.log, LogLevel::kError,
               "%s is not mounted here any more: containers that have its files keep them, others "
               "get none until a restart",
               options_.mountpoint);
  }
}

int Supervisor::wait_ms(uint64_t now) const {
  const bool serves = current_.serves() && !stopping_;
  uint64_t until = now + (!serves ? kRoundMs : current_.idle ? kIdleRoundMs : kServedRoundMs);
  const auto sooner = [&until](uint64_t at) {
    if (at != 0) until = std::min(until, at);
  };
  sooner(probe_by_ms_);
  sooner(reap_at_ms_);
  sooner(current_.look_at_ms);
  const auto consider = [&](const Worker& worker) {
    if (!worker.alive() || worker.unkillable(now)) return;
    if (worker.ending_ms != 0) sooner(worker.ending_ms + kUnkillableMs);
    if (worker.kill_reason == nullptr) {
      sooner(worker.deadline_ms);
      const bool beats = worker.serves() || worker.state == WorkerState::kReady ||
                         worker.state == WorkerState::kStopping;
      if (beats) sooner(worker.next_check_ms(options_.watchdog_ms));
    } else {
      sooner(worker.killed_ms + kUnkillableMs);
    }
  };
  for (const Worker* worker : {&current_, &next_}) consider(*worker);
  for (const Worker& worker : retired_) consider(worker);
  if (const Worker* slow = awaited()) {
    sooner(hedge_at_ms(*slow));
    if (now < slow->started_ms + kForkedMs) sooner(now + kForkedMs / 10);
  }
  const bool may_start = !next_.alive() || next_.state == WorkerState::kReady;
  if (!current_.alive() && may_start) sooner(start_at_ms_);
  if (wants_standby()) sooner(standby_at_ms_);
  if (lacks_polled() || awaits_polled()) sooner(polled_again_ms_);
  sooner(client_until_ms_);
  sooner(listen_again_ms_);
  if (stopping_) sooner(waits_for_manager() ? leave_by_ms_ : stop_by_ms_);
  if (store_.pending() || ready_untold_ != nullptr) sooner(now + kStoreAgainMs);
  if (watchdog_ms_ != 0) sooner(next_notify_ms_);
  if (unserved_since_ms_ != 0 && leaves_queue(now)) {
    sooner(leave_until_ms_);
  } else if (unserved_since_ms_ != 0 && !refusing_ && !current_.serves() && !stopping_) {
    sooner(unserved_since_ms_ + patience_ms());
  }
  return static_cast<int>(until > now ? until - now : 0);
}

int Supervisor::run() {
  const sigset_t set = keeper_signals();
  signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_ || !open_socket()) return 1;
  if (!current_.alive()) start(current_, monotonic_ms());
  reap();
  uint64_t woken_ms = 0;
  // We may be stopped anywhere in here.
  const auto come_to = [&] {
    const uint64_t now = monotonic_ms();
    adjust_for_pause(woken_ms, now);
    woken_ms = now;
  };
  while (!stopped(monotonic_ms())) {
    // poll(2) ignores negative descriptors. One client at a time: the others wait in the backlog.
    // Whoever waits for /dev/fuse is woken by every request, whatever it asked to be told of: only
    // while requests are to be refused, or are so rare that the worker is idle. Otherwise the end
    // of the mount shows at the worker's, or at a timer.
    const bool awaits = current_.serves() && current_.idle && !stopping_;
    // One that has ended would wake us at once, until it is made again.
    const bool refuses = refusing_ && !leaves_queue(monotonic_ms());
    const bool asks_polled = (refuses || awaits || wants_polled()) && !polled_.ended();
    pollfd fds[] = {{refuses || awaits ? connection_.refusal.get() : -1, POLLIN, 0},
                    {signals_.get(), POLLIN, 0},
                    {current_.control.get(), POLLIN, 0},
                    {next_.control.get(), POLLIN, 0},
                    {client_until_ms_ != 0 ? -1 : listener_.get(), POLLIN, 0},
                    {client_.get(), POLLIN, 0},
                    {asks_polled ? polled_.refusal.get() : -1, POLLIN, 0},
                    {current_.look_at_ms != 0 ? -1 : current_.thread.get(), POLLIN, 0},
                    {current_.look_at_ms != 0 ? -1 : current_.other_thread.get(), POLLIN, 0}};
    const pid_t asked = current_.pid;
    const uint64_t begin = monotonic_ms();
    if (woken_ms != 0) adjust_for_pause(woken_ms, begin);
    const int wait = wait_ms(begin);
    ::poll(fds, std::size(fds), wait);
    woken_ms = monotonic_ms();
    adjust_for_pause(begin + static_cast<uint64_t>(wait), woken_ms);
    if (!stopping_ && connection_.ended()) {
      keeper_log(options_.log, LogLevel::kError, "%s was unmounted", options_.mountpoint);
      exit_status_ = 1;
      begin_stop();
    }
    // The worker may have taken it already, or have stopped.
    if (awaits && (fds[0].revents != 0 || fds[6].revents != 0)) on_idle_beat(current_, false);
    look_after_polled(woken_ms);
    if (fds[2].revents != 0) on_packet(current_);
    if (fds[3].revents != 0) on_packet(next_);
    // Before the end of a worker is told, upon which the standby must not count as silent.
    come_to();
    const bool looks = current_.look_at_ms != 0 && woken_ms >= current_.look_at_ms;
    const bool thread_ended = fds[7].revents != 0 || fds[8].revents != 0;
    if (current_.pid == asked && (thread_ended || looks)) on_thread_end(woken_ms);
    if (fds[1].revents != 0) on_signal();
    if (fds[4].revents != 0) on_connect(monotonic_ms());
    if (fds[5].revents != 0) on_client();
    come_to();
    on_timers(woken_ms);
    // Last: that reads the whole mount table, and readers may wait for what we were woken for.
    look_after_mount(woken_ms);
    note();
  }
  reap();
  // The last of them may have had a little less time to end than others.
  move_out_unkillable(monotonic_ms() + kUnkillableMs / 2);
  if (options_.socket != nullptr) ::unlink(options_.socket);
  if (leaving_ && store_.flush()) return 0;
  if (leaving_ && store_.has_mounts()) {
    keeper_log(options_.log, LogLevel::kError,
               "the service manager does not take all descriptors of containers: system calls of "
               "some of them fail until they are started again");
    return 0;
  }
  if (leaving_) {
    leaving_ = false;
    keeper_log(options_.log, LogLevel::kError,
               "the service manager does not take all descriptors: unmounting");
  }
  // Usually the worker has done it.
  for (const Connection* connection : {&polled_, &connection_}) {
    if (connection->made()) disconnect(options_, *connection);
    // It has the connection open, so that readers would wait for it.
    if (connection->made() && is_outlived()) abort_connection(options_, *connection);
    forget(*connection, memo_, store_);
  }
  // Only who goes on with the mount needs them, and with any there the next start counts as one.
  store_.remove({StoreKind::kMemo});
  store_.remove({StoreKind::kLaunch});
  // A directory of ours, which nothing else is in.
  if (options_.polled != nullptr) ::rmdir(options_.polled);
  return exit_status_;
}

}  // namespace vprocfs
