#include "keeper/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

namespace vprocfs {
namespace {

constexpr int kFirstInherited = 3;

void set_oom_score(const char* value) {
  const Fd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (file && ::write(file.get(), value, __builtin_strlen(value)) < 0) return;
}

[[noreturn]] void become_worker(const KeeperOptions& options, const Inheritance& inheritance,
                                int control) {
  // Out of the way first: dup2 must not overwrite one that is still to be moved.
  const int from[3] = {::fcntl(inheritance.fuse_fd, F_DUPFD_CLOEXEC, 10),
                       ::fcntl(inheritance.state_fd, F_DUPFD_CLOEXEC, 10),
                       ::fcntl(control, F_DUPFD_CLOEXEC, 10)};
  for (int i = 0; i < 3; ++i) {
    if (from[i] < 0 || ::dup2(from[i], kFirstInherited + i) < 0) ::_exit(126);
  }
  ::setenv(kFuseFdVariable, "3", 1);
  ::setenv(kStateFdVariable, "4", 1);
  ::setenv(kControlFdVariable, "5", 1);
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // Ctrl-C at the terminal is for the keeper, which then stops the worker in order.
  ::setpgid(0, 0);
  set_oom_score("0");
  ::execvp(options.worker[0], options.worker);
  ::_exit(127);
}

}  // namespace

const char* to_text(WorkerState state) {
  switch (state) {
    case WorkerState::kNone:
      return "none";
    case WorkerState::kStarting:
      return "starting";
    case WorkerState::kReady:
      return "ready";
    case WorkerState::kActivating:
      return "activating";
    case WorkerState::kServing:
      return "serving";
    case WorkerState::kDraining:
      return "draining";
  }
  return "?";
}

uint64_t monotonic_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

bool Worker::send(KeeperMessage type) const {
  KeeperPacket packet;
  packet.type = static_cast<uint32_t>(type);
  return ::send(control.get(), &packet, sizeof(packet), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(sizeof(packet));
}

void Worker::kill(const char* why) {
  if (!alive() || doom != nullptr) return;
  doom = why;
  ::kill(pid, SIGKILL);
}

bool start_worker(const KeeperOptions& options, const Inheritance& inheritance, uint64_t now_ms,
                  uint32_t generation, Worker& out) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  out = Worker{};
  out.control = Fd(pair[0]);
  const Fd theirs(pair[1]);
  out.pid = ::fork();
  if (out.pid == 0) become_worker(options, inheritance, theirs.get());
  if (out.pid < 0) return false;
  out.state = WorkerState::kStarting;
  out.generation = generation;
  out.started_ms = now_ms;
  out.deadline_ms = now_ms + options.start_ms;
  return true;
}

}  // namespace vprocfs
