// vprocfs-attach: puts the files of a running vprocfs over those of one container. See
// docs/guide/attach.md.

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "attach/attach.h"
#include "attach/hook.h"
#include "attach/limits.h"
#include "attach/system_log.h"
#include "base/affix.h"
#include "base/clock.h"
#include "base/pidfd.h"
#include "source/read_file.h"

namespace {

using namespace vprocfs;

constexpr int kUsage = 2;
/// CPU time that every run may take at our own cost; many times what one takes as a rule.
constexpr uint64_t kFreeMs = 50;
/// How long a process that was killed may take to end.
constexpr uint64_t kEndWithinMs = 200;

constexpr char kSays[] = "vprocfs-attach: ";

void say(const std::string& line) {
  const std::string text = kSays + line + "\n";
  // One write, so that lines of two containers do not mix.
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

/// Whether lines are for the system's log. A hook's stderr is that of the container, whose log is
/// no place for them. A strict one keeps the container from starting, and says why to the runtime.
bool uses_system_log(const Options& options) {
  return options.hook == Hook::kOci && !options.strict;
}

/// Why something was not done. Only in the process that waits: the one that works may be in the
/// container's mount namespace, whose /dev/log and /etc/localtime are not the system's.
/// False: nobody takes it.
bool explain(const Options& options, const std::string& line) {
  if (uses_system_log(options)) return warn_system("vprocfs-attach", line);
  say(line);
  return true;
}

/// Hooks fail open: a container must start whatever happens to vprocfs.
int status_of(const Options& options, bool failed) { return failed && options.strict ? 1 : 0; }

/// Prints what was done, and what not; returns the exit status.
int tell(const Options& options, const Report& report) {
  if (options.json) {
    const std::string text = report.json() + "\n";
    if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) return 1;
  }
  return status_of(options, report.failed());
}

/// The work itself, in a process of its own.
int work(Options options) {
  if (::geteuid() != 0) {
    say("must be run as root");
    return status_of(options, true);
  }
  const auto wanted = read_target(options);
  if (!wanted) {
    say(wanted.error().path);
    return status_of(options, true);
  }
  if (!wanted.value()) {
    if (options.hook == Hook::kNone) say("left alone: the patterns exclude this container");
    return 0;
  }
  // As root of a user namespace (rootless podman): whom to leave alone is for the watcher to say.
  if (options.settings_denied) {
    if (options.strict) say("no permission to read the settings");
    return status_of(options, true);
  }
  if (options.hook == Hook::kLxc) leave_lxc_profile();
  limit_self();
  Report report = run_attach(options);
  report.cpu_us = cpu_time_us(::getpid());
  if (report.failed()) say(report.line());
  return tell(options, report);
}

/// Waits until the process of a pidfd has ended; false: not until `deadline_ms`.
bool wait_until(const Fd& pidfd, uint64_t deadline_ms) {
  for (;;) {
    const uint64_t now = monotonic_ms();
    const uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
    errno = 0;
    if (has_ended(pidfd, static_cast<int>(left))) return true;
    // A signal may have woken it sooner. Without memory to wait there is nothing to wait for.
    if (now >= deadline_ms) return false;
    if (errno != 0 && errno != EINTR) return true;
  }
}

/// The same, and has the container of `payer` pay for a process that takes long.
bool wait_for_worker(pid_t worker, const Fd& pidfd, const Options& options,
                     const std::optional<Payer>& payer) {
  const uint64_t begun = monotonic_ms();
  const uint64_t deadline = begun + options.timeout_ms;
  for (uint64_t look = begun + kFreeMs; look < deadline; look += kFreeMs) {
    if (wait_until(pidfd, look)) return true;
    // Not before: what takes as long as it should is ours, and the container may be starting.
    if (cpu_time_us(worker) < kFreeMs * 1000) continue;
    if (payer) payer->charge(worker);
    break;
  }
  return wait_until(pidfd, deadline);
}

/// Says why the process that works has not come to its end, and what it has cost.
int give_up(const Options& options, const std::string& why, uint64_t cpu_us) {
  Report report;
  report.pid = options.pid;
  report.name = options.name;
  report.problems.push_back(why);
  report.cpu_us = cpu_us;
  explain(options, why);
  return tell(options, report);
}

/// What the process that works has printed. It is kept in memory: a process that cannot be killed
/// would hold the pipes of a caller, who waits until nobody has them open.
struct Printed {
  Fd out{::memfd_create("vprocfs-attach", MFD_CLOEXEC)};
  Fd err{::memfd_create("vprocfs-attach", MFD_CLOEXEC)};
};

/// Makes what is kept the output of this process.
void print_to(const Printed& printed) {
  if (printed.out) ::dup2(printed.out.get(), STDOUT_FILENO);
  if (printed.err) ::dup2(printed.err.get(), STDERR_FILENO);
}

void pass_on(const Fd& kept, int to) {
  char piece[4096];
  off_t at = 0;
  for (;;) {
    const ssize_t n = kept ? ::pread(kept.get(), piece, sizeof piece, at) : 0;
    if (n <= 0) return;
    const ssize_t written = ::write(to, piece, static_cast<size_t>(n));
    if (written <= 0 && errno != EINTR) return;
    at += std::max<ssize_t>(written, 0);
  }
}

/// The same with what it has said.
void pass_on_said(const Options& options, const Fd& kept) {
  if (!uses_system_log(options)) return pass_on(kept, STDERR_FILENO);
  if (!kept) return;
  std::string buffer;
  // Each line that nobody takes costs time.
  bool taken = true;
  for_each_line_of(kept.get(), buffer, [&](std::string_view line) {
    if (!taken) return;
    if (starts_with(line, kSays)) line.remove_prefix(sizeof kSays - 1);
    taken = explain(options, std::string(line));
  });
}

/// Waits for the process that works, but never longer than the time it was given: a daemon that
/// hangs must not keep a container from starting.
int wait_for(pid_t worker, const Options& options, const std::optional<Payer>& payer,
             const Printed& printed) {
  const Fd pidfd = open_pidfd(worker);
  if (pidfd && !wait_for_worker(worker, pidfd, options, payer)) {
    ::kill(worker, SIGKILL);
    const bool ended = wait_until(pidfd, monotonic_ms() + kEndWithinMs);
    const std::string why = "gave up after " + std::to_string(options.timeout_ms) + " ms" +
                            (ended ? "" : "; it is blocked and cannot be ended");
    return give_up(options, why, cpu_time_us(worker));
  }
  int status = 0;
  rusage used{};
  while (::wait4(worker, &status, 0, &used) < 0) {
    if (errno != EINTR) return status_of(options, true);
  }
  pass_on_said(options, printed.err);
  if (WIFEXITED(status)) {
    pass_on(printed.out, STDOUT_FILENO);
    return WEXITSTATUS(status);
  }
  const auto us = [](const timeval& t) {
    return static_cast<uint64_t>(t.tv_sec) * 1000000 + static_cast<uint64_t>(t.tv_usec);
  };
  const std::string why = std::string("ended by signal ") + ::strsignal(WTERMSIG(status));
  return give_up(options, why, us(used.ru_utime) + us(used.ru_stime));
}

/// The exit status if the arguments are wrong. A hook may have options of another version: what
/// names it, as the configuration of a container does, lives longer than a package.
int refuse(int argc, char** argv, const std::string& why) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--strict") options.strict = true;
    if (word != "--hook") continue;
    const bool is_oci = i + 1 < argc && std::string_view(argv[i + 1]) == "oci";
    options.hook = is_oci ? Hook::kOci : Hook::kLxc;
  }
  explain(options, why);
  return options.hook == Hook::kNone || options.strict ? kUsage : 0;
}

}  // namespace

int main(int argc, char** argv) {
  auto options = parse_arguments(argc, argv);
  if (!options) return refuse(argc, argv, options.error().path);
  if (options.value().action == Action::kHelp) return std::fputs(kHelp, stdout) < 0 ? 1 : 0;
  const pid_t parent = ::getpid();
  const Printed printed;
  std::optional<Payer> payer;
  if (options.value().pid != 0) payer.emplace(options.value().pid);
  const pid_t worker = ::fork();
  if (worker < 0) {
    explain(options.value(), std::string("fork: ") + std::strerror(errno));
    return status_of(options.value(), true);
  }
  if (worker > 0) return wait_for(worker, options.value(), payer, printed);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) return 1;
  end_after(options.value().timeout_ms);
  print_to(printed);
  ::fflush(nullptr);
  return work(std::move(options.value()));
}
