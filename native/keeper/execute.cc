// How a keeper becomes a keeper of another version without letting go of anything.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "base/clock.h"
#include "keeper/log.h"
#include "keeper/supervisor.h"

namespace vprocfs {
namespace {

/// How long a service manager that reads nothing may keep us from it.
constexpr uint64_t kManagerMs = 10000;

}  // namespace

bool Supervisor::is_settled() const {
  return !reloading_ && !stopping_ && probe_ == 0 && current_.serves();
}

/// Our next self would know neither of a worker that does not end by itself, nor of what the
/// service manager is still to be told. For the manager it waits until execute_by_ms_ only.
bool Supervisor::may_execute(uint64_t now) const {
  const bool ends = std::any_of(std::begin(retired_), std::end(retired_),
                                [now](const Worker& w) { return w.alive() && !w.unkillable(now); });
  return is_settled() && !ends && (!store_.pending() || now >= execute_by_ms_);
}

void Supervisor::begin_execution() {
  if (stopping_) return;
  execution_pending_ = true;
  execute_by_ms_ = monotonic_ms() + kManagerMs;
  begin_pending_execution();
  if (execution_pending_) {
    keeper_log(options_.log, LogLevel::kInfo,
               "executing itself again as soon as the worker serves and earlier ones have ended");
  }
}

/// Also for one who asks while another program is tried: that may be an older one.
void Supervisor::begin_pending_execution() {
  if (!execution_pending_ || !may_execute(monotonic_ms())) return;
  execution_pending_ = false;
  // Once execve(2) has succeeded there is no way back: the program must show that it would start.
  const char* arguments[kMaxArguments] = {options_.self[0], "--check", "1"};
  size_t count = 3;
  for (size_t i = 1; options_.self[i] != nullptr; ++i) {
    if (count + 1 >= kMaxArguments) return;
    arguments[count++] = options_.self[i];
  }
  write_resume(describe());
  probe_ = start_program(const_cast<char* const*>(arguments));
  clear_resume();
  probe_by_ms_ = monotonic_ms() + options_.start_ms;
  if (probe_ > 0) return;
  probe_ = 0;
  probe_by_ms_ = 0;
  keeper_log(options_.log, LogLevel::kError, "cannot execute itself: %s", std::strerror(errno));
}

Resume Supervisor::describe() const {
  Resume r;
  r.fuse_fd = connection_.fuse.get();
  r.state_fd = connection_.state.get();
  r.refusal_fd = connection_.refusal.get();
  r.control_fd = current_.control.get();
  r.worker_pid = current_.pid;
  r.generation = current_.generation;
  r.restarts = restarts_;
  r.born_ms = born_ms_;
  r.worker_started_ms = current_.started_ms;
  r.resent = resent_before_;
  r.requests = requests_before_;
  r.device = connection_.device;
  r.negotiated = connection_.negotiated;
  r.fd_store_fd = fd_store_.table_fd();
  r.memo_fd = memo_.fd();
  r.launch_fd = launch_.fd();
  r.polled_fuse_fd = polled_.fuse.get();
  r.polled_state_fd = polled_.state.get();
  r.polled_refusal_fd = polled_.refusal.get();
  r.connections = current_.connections;
  r.listener_fd = listener_.get();
  return r;
}

void Supervisor::execute_self() {
  if (stopping_) return;
  if (!may_execute(monotonic_ms())) {
    execution_pending_ = true;
    return;
  }
  discard_standby();
  // Signals that are blocked outlive execve(2): who asked for a reload meanwhile gets it.
  if (reload_pending_) ::kill(::getpid(), SIGHUP);
  if (execution_pending_) ::kill(::getpid(), SIGUSR2);
  end_reloads("busy: the keeper executes itself again");
  const Resume r = describe();
  write_resume(r);
  const int kept[] = {r.fuse_fd,           r.state_fd,   r.refusal_fd,     r.control_fd,
                      r.memo_fd,           r.launch_fd,  r.polled_fuse_fd, r.polled_state_fd,
                      r.polled_refusal_fd, r.listener_fd};
  for (const int fd : kept) ::fcntl(fd, F_SETFD, 0);
  fd_store_.outlive(true);
  keeper_log(options_.log, LogLevel::kInfo, "executing itself again");
  ::execv(options_.self[0], options_.self);
  keeper_log(options_.log, LogLevel::kError, "cannot execute itself: %s", std::strerror(errno));
  for (const int fd : kept) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  fd_store_.outlive(false);
  clear_resume();
}

}  // namespace vprocfs
