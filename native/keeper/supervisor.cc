#include "keeper/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fuse/mount.h"
#include "keeper/log.h"

namespace vprocfs {
namespace {

constexpr uint64_t kStableMs = 10000;  // serving that long forgives earlier failures
constexpr uint64_t kMaxBackoffMs = 5000;
constexpr int kRefusalsAtOnce = 256;
constexpr char kResumeVariable[] = "VPROCFS_KEEPER_RESUME";

uint64_t backoff_ms(uint32_t failures) {
  // The first death is answered at once; a loop of them is slowed down.
  if (failures <= 1) return 0;
  return std::min<uint64_t>(kMaxBackoffMs, uint64_t{50} << std::min<uint32_t>(failures - 2, 10));
}

}  // namespace

Supervisor::Supervisor(const KeeperOptions& options, Connection& connection)
    : options_(options),
      connection_(connection),
      born_ms_(monotonic_ms()),
      unserved_since_ms_(born_ms_) {
  if (const char* usec = std::getenv("WATCHDOG_USEC")) {
    watchdog_ms_ = std::strtoull(usec, nullptr, 10) / 1000;
  }
}

bool Supervisor::open_descriptors() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD}) ::sigaddset(&set, s);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return false;
  signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  return signals_ && open_socket();
}

bool Supervisor::open_socket() {
  if (options_.socket == nullptr) return true;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(options_.socket) >= sizeof(address.sun_path)) return false;
  std::strcpy(address.sun_path, options_.socket);
  listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::unlink(options_.socket);
  const mode_t mask = ::umask(0177);
  const bool bound = listener_ && ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address),
                                         sizeof(address)) == 0;
  ::umask(mask);
  if (bound && ::listen(listener_.get(), 16) == 0) return true;
  keeper_log(options_.json, "warn", "%s: no control socket: %s", options_.socket,
             std::strerror(errno));
  listener_.reset();
  return true;
}

void Supervisor::notify(const char* text) const {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length == 0 || length >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  ::sendto(fd.get(), text, std::strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
           reinterpret_cast<sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

void Supervisor::remember(const char* what) {
  std::memmove(reasons_[1], reasons_[0], sizeof(reasons_) - sizeof(reasons_[0]));
  std::snprintf(reasons_[0], kReasonBytes, "%s", what);
}

void Supervisor::start(Worker& slot, uint64_t now) {
  start_at_ms_ = 0;
  if (start_worker(options_, {connection_.fuse.get(), connection_.state.get()}, now, ++generation_,
                   slot)) {
    return;
  }
  keeper_log(options_.json, "error", "cannot start a worker: %s", std::strerror(errno));
  ++failures_;
  start_at_ms_ = now + kMaxBackoffMs;
}

void Supervisor::activate(Worker& worker, uint64_t now) {
  worker.state = WorkerState::kActivating;
  worker.deadline_ms = now + options_.start_ms;
  if (!worker.send(KeeperMessage::kActivate)) worker.kill("unreachable");
}

void Supervisor::promote(uint64_t now) {
  current_ = std::move(next_);
  next_ = Worker{};
  activate(current_, now);
}

void Supervisor::on_packet(Worker& worker) {
  KeeperPacket packet;
  const ssize_t n = ::recv(worker.control.get(), &packet, sizeof(packet), MSG_DONTWAIT);
  if (n != static_cast<ssize_t>(sizeof(packet))) {
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) worker.control.reset();
    return;
  }
  const uint64_t now = monotonic_ms();
  switch (static_cast<KeeperMessage>(packet.type)) {
    case KeeperMessage::kReady:
      worker.state = WorkerState::kReady;
      worker.deadline_ms = 0;
      if (&worker == &current_) return activate(worker, now);
      if (!current_.alive()) return promote(now);
      current_.state = WorkerState::kDraining;
      current_.deadline_ms = now + options_.drain_ms;
      if (!current_.send(KeeperMessage::kDrain)) current_.kill("unreachable");
      return;
    case KeeperMessage::kServing:
      worker.state = WorkerState::kServing;
      worker.deadline_ms = 0;
      worker.last_beat_ms = now;
      unserved_since_ms_ = 0;
      refusing_ = false;
      keeper_log(options_.json, "info", "worker %d serves, generation %u", worker.pid,
                 worker.generation);
      notify(announced_ ? "READY=1\nSTATUS=serving" : "READY=1\nSTATUS=serving\n");
      announced_ = true;
      return end_reload("ok");
    case KeeperMessage::kBeat:
      worker.resent = packet.resent;
      worker.requests = packet.requests;
      if (packet.serving != 0) worker.last_beat_ms = now;
      return;
    default:
      return;
  }
}

void Supervisor::on_child(int pid, int status) {
  Worker& worker = next_.alive() && next_.pid == pid ? next_ : current_;
  if (worker.pid != pid) return;
  const uint64_t now = monotonic_ms();
  const bool drained = worker.state == WorkerState::kDraining;
  const bool stable = worker.state == WorkerState::kServing && now - worker.started_ms > kStableMs;
  char what[kReasonBytes];
  if (worker.doom != nullptr) {
    std::snprintf(what, sizeof(what), "%s", worker.doom);
  } else if (WIFSIGNALED(status)) {
    std::snprintf(what, sizeof(what), "signal %d", WTERMSIG(status));
  } else {
    std::snprintf(what, sizeof(what), "exit status %d", WEXITSTATUS(status));
  }
  resent_before_ += worker.resent;
  const bool standby = &worker == &next_;
  worker = Worker{};
  if (standby) {
    keeper_log(options_.json, "error", "the new worker did not get ready (%s): the old one goes on",
               what);
    return end_reload(what);
  }
  if (unserved_since_ms_ == 0) unserved_since_ms_ = now;
  if (stopping_) return;
  if (next_.state == WorkerState::kReady) {
    if (!drained) remember(what);
    return promote(now);
  }
  remember(what);
  ++restarts_;
  failures_ = stable ? 1 : failures_ + 1;
  const uint64_t wait = backoff_ms(failures_);
  keeper_log(options_.json, "warn", "worker %d ended (%s), starting another in %llu ms", pid, what,
             static_cast<unsigned long long>(wait));
  if (next_.alive()) {
    // A reload was under way: its worker becomes the replacement when it is ready.
    return;
  }
  if (wait == 0) return start(current_, now);
  start_at_ms_ = now + wait;
}

void Supervisor::on_signal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    switch (info.ssi_signo) {
      case SIGCHLD: {
        int status = 0;
        for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) on_child(pid, status);
        break;
      }
      case SIGHUP:
      case SIGUSR1:  // LXCFS's signal for the same
        begin_reload(-1);
        break;
      case SIGUSR2:
        execute_self();
        break;
      default:
        begin_stop();
    }
  }
}

void Supervisor::begin_reload(int client) {
  if (next_.alive() || stopping_) {
    if (client >= 0) {
      const char busy[] = "a reload is under way";
      ::send(client, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
      ::close(client);
    }
    return;
  }
  reload_client_ = Fd(client);
  keeper_log(options_.json, "info", "reloading");
  const uint64_t now = monotonic_ms();
  if (!current_.alive()) {
    failures_ = 0;
    return start(current_, now);
  }
  start(next_, now);
  if (!next_.alive()) end_reload("cannot start a worker");
}

void Supervisor::end_reload(const char* result) {
  if (!reload_client_) return;
  ::send(reload_client_.get(), result, std::strlen(result), MSG_NOSIGNAL | MSG_DONTWAIT);
  reload_client_.reset();
}

void Supervisor::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  notify("STOPPING=1");
  keeper_log(options_.json, "info", "stopping");
  start_at_ms_ = 0;
  next_.kill("stopping");
  if (!current_.alive()) return;
  current_.deadline_ms = monotonic_ms() + options_.start_ms;
  // The worker unmounts while it still serves, and knows who keeps the mount busy.
  if (current_.state == WorkerState::kServing) {
    ::kill(current_.pid, SIGTERM);
  } else {
    current_.kill("stopping");
  }
}

void Supervisor::on_timers(uint64_t now) {
  for (Worker* worker : {&current_, &next_}) {
    if (!worker->alive() || worker->doom != nullptr) continue;
    if (worker->deadline_ms != 0 && now >= worker->deadline_ms) {
      worker->kill(worker->state == WorkerState::kDraining ? "did not drain in time"
                                                           : "did not start in time");
    } else if (worker->state == WorkerState::kServing &&
               now - worker->last_beat_ms >= options_.watchdog_ms) {
      worker->kill("watchdog: it stopped serving");
    }
  }
  if (start_at_ms_ != 0 && now >= start_at_ms_ && !current_.alive() && !next_.alive()) {
    start(current_, now);
  }
  if (unserved_since_ms_ != 0 && !stopping_ && now - unserved_since_ms_ >= options_.patience_ms) {
    if (!refusing_) {
      keeper_log(options_.json, "error", "no worker serves: readers get an error until one does");
      refusing_ = true;
      connection_.requeue();
    }
    // A worker that is about to serve reads the same queue: what it takes, it answers.
    for (int i = 0; i < kRefusalsAtOnce && connection_.refuse_one(); ++i) {
    }
  }
  if (watchdog_ms_ != 0 && now >= next_notify_ms_) {
    notify("WATCHDOG=1");
    next_notify_ms_ = now + watchdog_ms_ / 3;
  }
}

int Supervisor::wait_ms(uint64_t now) const {
  if (refusing_) return 20;
  uint64_t until = now + 1000;
  const auto sooner = [&until](uint64_t at) {
    if (at != 0) until = std::min(until, at);
  };
  sooner(start_at_ms_);
  sooner(current_.deadline_ms);
  sooner(next_.deadline_ms);
  if (watchdog_ms_ != 0) sooner(next_notify_ms_);
  if (unserved_since_ms_ != 0) sooner(unserved_since_ms_ + options_.patience_ms);
  return static_cast<int>(until > now ? until - now : 0);
}

int Supervisor::run() {
  if (!open_descriptors()) return 1;
  if (!current_.alive()) start(current_, monotonic_ms());
  while (!(stopping_ && !current_.alive() && !next_.alive())) {
    // poll(2) ignores negative descriptors; the FUSE one only tells of the connection's end.
    pollfd fds[] = {{signals_.get(), POLLIN, 0},
                    {listener_.get(), POLLIN, 0},
                    {current_.control.get(), POLLIN, 0},
                    {next_.control.get(), POLLIN, 0},
                    {connection_.fuse.get(), 0, 0}};
    ::poll(fds, std::size(fds), wait_ms(monotonic_ms()));
    if (fds[2].revents != 0) on_packet(current_);
    if (fds[3].revents != 0) on_packet(next_);
    if (fds[0].revents != 0) on_signal();
    if (fds[1].revents != 0) on_client();
    if ((fds[4].revents & POLLERR) != 0 && !stopping_) {
      keeper_log(options_.json, "error", "%s was unmounted", options_.mountpoint);
      exit_status_ = 1;
      begin_stop();
    }
    on_timers(monotonic_ms());
  }
  return finish();
}

int Supervisor::finish() {
  bool lazy = false;
  // Usually the worker has done it.
  const auto done = unmount_fuse(options_.mountpoint, lazy);
  if (done && lazy) {
    keeper_log(options_.json, "warn", "%s was busy: unmounted lazily", options_.mountpoint);
  }
  if (options_.socket != nullptr) ::unlink(options_.socket);
  return exit_status_;
}

void Supervisor::execute_self() {
  if (next_.alive() || stopping_ || current_.state != WorkerState::kServing) {
    keeper_log(options_.json, "warn", "not executing itself again: the worker is being replaced");
    return;
  }
  char resume[160];
  std::snprintf(resume, sizeof(resume), "%d %d %d %d %u %u", connection_.fuse.get(),
                connection_.state.get(), current_.control.get(), current_.pid, generation_,
                restarts_);
  ::setenv(kResumeVariable, resume, 1);
  for (const int fd : {connection_.fuse.get(), connection_.state.get(), current_.control.get()}) {
    ::fcntl(fd, F_SETFD, 0);
  }
  keeper_log(options_.json, "info", "executing itself again");
  ::execvp(options_.self[0], options_.self);
  keeper_log(options_.json, "error", "cannot execute itself: %s", std::strerror(errno));
  for (const int fd : {connection_.fuse.get(), connection_.state.get(), current_.control.get()}) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  ::unsetenv(kResumeVariable);
}

bool Supervisor::inherited(int& fuse_fd, int& state_fd) {
  const char* text = std::getenv(kResumeVariable);
  return text != nullptr && std::sscanf(text, "%d %d", &fuse_fd, &state_fd) == 2;
}

void Supervisor::resume() {
  int fuse = -1, state = -1, control = -1, pid = 0;
  const char* text = std::getenv(kResumeVariable);
  if (text == nullptr || std::sscanf(text, "%d %d %d %d %u %u", &fuse, &state, &control, &pid,
                                     &generation_, &restarts_) != 6) {
    return;
  }
  for (const int fd : {fuse, state, control}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  current_.pid = pid;
  current_.control = Fd(control);
  current_.state = WorkerState::kServing;
  current_.generation = generation_;
  current_.started_ms = current_.last_beat_ms = monotonic_ms();
  unserved_since_ms_ = 0;
  announced_ = true;
  ::unsetenv(kResumeVariable);
  keeper_log(options_.json, "info", "goes on with worker %d", pid);
}

}  // namespace vprocfs
