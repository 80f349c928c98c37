#include "keeper/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <string>
#include <utility>

#include "base/descriptors.h"
#include "base/pidfd.h"
#include "base/write_text.h"
#include "keeper/proc.h"

namespace vprocfs {
namespace {

constexpr int kFirstInherited = 3;
/// When a process ends, the kernel closes its highest descriptor first, and some of the others take
/// long to close. We learn of a worker's end by this one.
constexpr int kControlFd = 1023;
constexpr uint64_t kProvenMs = 250;
/// How often, a millisecond apart, we look whether all threads of a worker have ended as one has.
constexpr uint32_t kMaxLooks = 10;
/// What one that missed its time has left to say that it is well.
constexpr uint64_t kGraceMs = 250;
/// So many beats of a quiet worker for each time after which it is replaced, and two before one
/// that stands by counts as silent.
constexpr uint32_t kBeatsPerWatchdog = 4;
/// How many times the watchdog's time an idle one may be silent: whoever asks something wakes us.
constexpr uint32_t kWatchdogsPerIdle = 2;

/// How far a worker that nobody waits for starts behind others: threads that wake up, such as
/// readers and the worker that serves, do not wait for the time slices of its start, and without
/// any of them it is as quick as ever.
constexpr int kNiceStart = 10;

/// Where the kernel gives each session a share of the CPUs (sched(7), "The autogroup feature"), a
/// worker has a session of its own, and once readers wait for it that is as far before others as
/// its threads are (base/priority.h). Otherwise it would share one with whatever else the same
/// terminal or supervisor has started, and readers in containers would wait.
void nice_session(pid_t pid, const char* nice) {
  // One that has only been forked is still in ours.
  if (::getsid(pid) != pid) return;
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/%d/autogroup", pid);
  write_text(AT_FDCWD, path, nice);
}

void put_session_first(pid_t pid) { nice_session(pid, "-10\n"); }

/// When memory is short, the kernel kills by size unless told otherwise. Of two workers the one
/// that serves is the larger, so it would die each time that another one is started beside it.
constexpr int kExpendable = 1000, kUsual = 0;

bool set_oom_score_adj(pid_t pid, int value) {
  char path[32], text[16];
  std::snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
  std::snprintf(text, sizeof(text), "%d\n", value);
  return write_text(AT_FDCWD, path, text);
}

void make_expendable(pid_t pid) {
  // If lowering the score is refused, a raised one could not be lowered again.
  if (set_oom_score_adj(pid, kUsual)) set_oom_score_adj(pid, kExpendable);
}

/// All threads of a worker that has started no process yet, and leads a group.
void nice_group(pid_t pid, int nice) {
  if (::getpgid(pid) == pid) ::setpriority(PRIO_PGRP, static_cast<id_t>(pid), nice);
}

/// What is left of a process that a signal has ended is the kernel's work, some milliseconds of it:
/// it must not keep the next worker, nor readers, from a CPU.
constexpr int kNiceEnding = 19;

/// Of the calling process, a worker to be. Does nothing without the privilege to undo it.
void put_last() {
  const int usual = ::getpriority(PRIO_PROCESS, 0);
  if (::setpriority(PRIO_PROCESS, 0, usual - 1) != 0) return;
  ::setpriority(PRIO_PROCESS, 0, usual + kNiceStart);
  nice_session(::getpid(), "10\n");
}

void unblock_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
}

/// A descriptor that a worker finds through a variable; -1: it gets none.
struct InheritedDescriptor {
  int fd;
  const char* variable;
};

void tell_device(const char* variable, uint64_t device) {
  ::unsetenv(variable);
  if (device != 0) ::setenv(variable, std::to_string(device).c_str(), 1);
}

bool send_packet(const Fd& control, const KeeperPacket& packet) {
  return ::send(control.get(), &packet, sizeof(packet), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(sizeof(packet));
}

/// While the kernel dumps a process, readers wait: nothing tells of its end before. A pipe in
/// core_pattern takes a limit of 0 for none, and one of 1 for no dump at all (fs/coredump.c). The
/// hard limit stays: an operator may raise it.
void dump_no_core() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(1, limit.rlim_max);
  ::setrlimit(RLIMIT_CORE, &limit);
}

[[noreturn]] void become_worker(const KeeperOptions& options, const Inheritance& inheritance,
                                int control, Start start) {
  const InheritedDescriptor passed[] = {{inheritance.fuse_fd, kFuseFdVariable},
                                        {inheritance.state_fd, kStateFdVariable},
                                        {control, kControlFdVariable},
                                        {inheritance.polled_fuse_fd, kPolledFuseFdVariable},
                                        {inheritance.polled_state_fd, kPolledStateFdVariable}};
  int from[std::size(passed)];
  // Out of the way first: dup2 must not overwrite one that is still to be moved.
  for (size_t i = 0; i < std::size(passed); ++i) {
    ::unsetenv(passed[i].variable);
    from[i] = passed[i].fd < 0 ? -1 : ::fcntl(passed[i].fd, F_DUPFD_CLOEXEC, 10);
    if (from[i] < 0 && passed[i].fd >= 0) ::_exit(126);
  }
  int next = kFirstInherited;
  // The control socket last: with many descriptors another one may lie where it goes.
  for (const bool is_control : {false, true}) {
    for (size_t i = 0; i < std::size(passed); ++i) {
      if (from[i] < 0 || (passed[i].fd == control) != is_control) continue;
      char number[16];
      int to = is_control ? ::dup2(from[i], kControlFd) : -1;
      // It may be allowed fewer.
      if (to < 0) to = ::dup2(from[i], next++);
      // What lay there already was not duplicated.
      if (to < 0 || ::fcntl(to, F_SETFD, 0) != 0) ::_exit(126);
      std::snprintf(number, sizeof(number), "%d", to);
      ::setenv(passed[i].variable, number, 1);
    }
  }
  ::setenv(kMountpointVariable, options.mountpoint, 1);
  tell_device(kDeviceVariable, inheritance.device);
  tell_device(kPolledDeviceVariable, inheritance.polled_device);
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  unblock_signals();
  // Ctrl-C at the terminal is for the keeper, which then stops the worker in order.
  ::setsid();
  start == Start::kAwaited ? put_session_first(::getpid()) : put_last();
  if (start == Start::kAwaited) {
    set_oom_score_adj(::getpid(), kUsual);
  } else {
    make_expendable(::getpid());
  }
  dump_no_core();
  ::execvp(options.worker[0], options.worker);
  ::_exit(127);
}

}  // namespace

const char* to_text(WorkerState state) {
  static constexpr const char* kTexts[] = {"none",    "starting", "ready",   "activating",
                                           "serving", "draining", "stopping"};
  static_assert(std::size(kTexts) == static_cast<size_t>(WorkerState::kStopping) + 1);
  return kTexts[static_cast<size_t>(state)];
}

bool Worker::send(KeeperMessage type, bool serving) const {
  KeeperPacket packet;
  packet.type = static_cast<uint32_t>(type);
  packet.serving = serving ? 1 : 0;
  return send_packet(control, packet);
}

void Worker::pace(uint32_t watchdog_ms, bool may_idle) const {
  KeeperPacket packet;
  packet.type = static_cast<uint32_t>(KeeperMessage::kPace);
  packet.requests = watchdog_ms / kBeatsPerWatchdog;
  packet.lost = may_idle ? watchdog_ms * kWatchdogsPerIdle : 0;
  send_packet(control, packet);
}

void Worker::wake(uint32_t watchdog_ms, bool may_idle, uint64_t now_ms) {
  // How long it was silent while it might be is no sign of anything.
  if (idle) last_beat_ms = now_ms;
  idle = false;
  pace(watchdog_ms, may_idle);
}

uint64_t Worker::due_ms(uint32_t watchdog_ms) const {
  return last_beat_ms + watchdog_ms + (idle ? watchdog_ms * kWatchdogsPerIdle : 0);
}

uint64_t Worker::next_check_ms(uint32_t watchdog_ms) const {
  const uint64_t due = due_ms(watchdog_ms);
  return missed_ms >= due ? missed_ms + kGraceMs : due;
}

bool Worker::is_hung(uint64_t now_ms, uint32_t watchdog_ms) {
  if (now_ms < next_check_ms(watchdog_ms)) return false;
  if (missed_ms >= due_ms(watchdog_ms)) return true;
  missed_ms = now_ms;
  return false;
}

bool Worker::proven(uint64_t now_ms) const {
  if (serving_ms == 0) return false;
  // Of one that we killed only its own word counts: it may have hung from the beginning.
  return (kill_reason == nullptr ? now_ms : last_beat_ms) >= serving_ms + kProvenMs;
}

void Worker::kill(const char* reason, uint64_t now_ms) {
  if (!alive() || kill_reason != nullptr) return;
  kill_reason = reason;
  killed_ms = now_ms;
  ::kill(pid, SIGKILL);
}

bool Worker::unkillable(uint64_t now_ms) const {
  const uint64_t since_ms = kill_reason != nullptr ? killed_ms : ending_ms;
  return alive() && since_ms != 0 && now_ms >= since_ms + kUnkillableMs;
}

bool Worker::silent(uint64_t now_ms, uint32_t watchdog_ms) const {
  return state == WorkerState::kReady && now_ms + watchdog_ms / 2 >= due_ms(watchdog_ms);
}

void Worker::postpone(uint64_t by_ms, uint64_t now_ms) {
  if (deadline_ms != 0) deadline_ms += by_ms;
  if (ending_ms != 0) ending_ms += by_ms;
  if (kill_reason == nullptr) {
    last_beat_ms = now_ms;
  } else {
    killed_ms += by_ms;
  }
}

bool Worker::extend_deadline(uint64_t now_ms) {
  const bool starts = state == WorkerState::kStarting && now_ms < started_ms + kMaxStartMs;
  if (!starts && state != WorkerState::kActivating) return false;
  const uint64_t starved = starved_ms(pid);
  if (starved <= extended_ms) return false;
  deadline_ms = now_ms + starved - extended_ms;
  extended_ms = starved;
  return true;
}

void Worker::put_back() const {
  if (!alive()) return;
  nice_group(pid, ::getpriority(PRIO_PROCESS, 0));
  nice_session(pid, "0\n");
  make_expendable(pid);
}

void Worker::put_first() {
  if (!alive()) return;
  behind = false;
  nice_group(pid, ::getpriority(PRIO_PROCESS, 0));
  put_session_first(pid);
  set_oom_score_adj(pid, kUsual);
}

void Worker::watch_threads(pid_t reported) {
  const pid_t one = reported != 0 ? reported : vprocfs::other_thread(pid, 0);
  const pid_t other = vprocfs::other_thread(pid, one);
  if (one != 0) thread = open_thread_pidfd(one);
  if (other != 0) other_thread = open_thread_pidfd(other);
}

std::optional<int> Worker::look_at_end(uint64_t now_ms) {
  std::optional<int> status = ending_by_threads(pid);
  // A signal to all reaches them within a fraction of a millisecond.
  for (int again = 0; again < 5 && !status && looks == 0; ++again) {
    const timespec moment{0, 100'000};
    ::nanosleep(&moment, nullptr);
    status = ending_by_threads(pid);
  }
  look_at_ms = now_ms + 1;
  // Of one that drains a thread ends and the process does not: `control` tells the rest.
  if (!status && ++looks < kMaxLooks) return status;
  look_at_ms = 0;
  looks = 0;
  for (Fd* one : {&thread, &other_thread}) {
    if (*one && has_ended(*one)) one->reset();
  }
  if (status) nice_threads(pid, kNiceEnding);
  // A thread may be in a system call that only the next worker ends: the kernel waits for the
  // answer to a request that this one had taken.
  if (!status && ending(pid)) ending_ms = now_ms;
  return status;
}

bool Worker::receive(KeeperPacket& packet, Fd& descriptor) {
  packet = KeeperPacket{};
  PassedFds passed;
  const auto take = [&] {
    return receive_with(control.get(), &packet, sizeof(packet), passed, 1, MSG_DONTWAIT);
  };
  ssize_t n = take();
  // It ended without having read all: that is told once, and before what it sent last.
  if (n < 0 && errno == ECONNRESET) n = take();
  if (passed.count > 0) descriptor = std::move(passed.fds[0]);
  packet.why[sizeof(packet.why) - 1] = '\0';
  if (n >= static_cast<ssize_t>(kShortestPacket)) return true;
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) control.reset();
  return false;
}

pid_t start_program(char* const* argv) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  unblock_signals();
  ::execv(argv[0], argv);
  ::_exit(127);
}

bool start_worker(const KeeperOptions& options, const Inheritance& inheritance, Start start,
                  uint64_t now_ms, Worker& out) {
  out = Worker{};
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  Fd ours(pair[0]);
  const Fd theirs(pair[1]);
  const pid_t pid = ::fork();
  if (pid == 0) become_worker(options, inheritance, theirs.get(), start);
  if (pid < 0) return false;
  out.pid = pid;
  out.control = std::move(ours);
  out.state = WorkerState::kStarting;
  out.behind = start == Start::kBesideAnother;
  out.started_ms = now_ms;
  out.deadline_ms = now_ms + options.start_ms;
  return true;
}

}  // namespace vprocfs
