// vprocfs-attach: puts the files of a running vprocfs over those of one container. See
// docs/attach.md.

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "attach/attach.h"
#include "attach/hook.h"
#include "attach/kernel.h"

namespace {

using namespace vprocfs;

constexpr int kUsage = 2;

void say(const std::string& line) {
  const std::string text = "vprocfs-attach: " + line + "\n";
  // One write, so that lines of two containers do not mix.
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

/// Why something was not done. A hook's stderr is that of the container, whose log is no place for
/// our lines: it tells the system's log. A strict one keeps the container from starting, and says
/// why to the runtime.
void explain(const Options& options, const std::string& line) {
  if (options.hook != Hook::kOci || options.strict) return say(line);
  ::openlog("vprocfs-attach", LOG_PID, LOG_DAEMON);
  ::syslog(LOG_WARNING, "%s", line.c_str());
}

/// Hooks fail open: a container must start whatever happens to vprocfs.
int status_of(const Options& options, bool failed) { return failed && options.strict ? 1 : 0; }

/// The work itself, in a process of its own.
int work(Options options) {
  if (::geteuid() != 0) {
    explain(options, "must be run as root");
    return status_of(options, true);
  }
  if (options.hook != Hook::kNone) {
    const auto wanted = read_hook(options);
    if (!wanted) {
      explain(options, wanted.error().path);
      return status_of(options, true);
    }
    if (!wanted.value()) return 0;
  }
  const Report report = run_attach(options);
  if (report.failed()) explain(options, report.line());
  if (options.json) {
    const std::string text = report.json() + "\n";
    if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) return 1;
  }
  return status_of(options, report.failed());
}

/// Waits for the process that works, but never longer than the time it was given: a daemon that
/// hangs must not keep a container from starting.
int wait_for(pid_t worker, const Options& options) {
  const Fd pidfd(sys_pidfd_open(worker));
  pollfd p{pidfd.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = pidfd ? ::poll(&p, 1, static_cast<int>(options.timeout_ms)) : 1;
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    ::kill(worker, SIGKILL);
    explain(options, "gave up after " + std::to_string(options.timeout_ms) + " ms");
    return status_of(options, true);
  }
  int status = 0;
  while (::waitpid(worker, &status, 0) < 0) {
    if (errno != EINTR) return status_of(options, true);
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  explain(options, std::string("ended by signal ") + ::strsignal(WTERMSIG(status)));
  return status_of(options, true);
}

}  // namespace

int main(int argc, char** argv) {
  auto options = parse_arguments(argc, argv);
  if (!options) {
    say(options.error().path);
    return kUsage;
  }
  const pid_t parent = ::getpid();
  const pid_t worker = ::fork();
  if (worker < 0) {
    explain(options.value(), std::string("fork: ") + std::strerror(errno));
    return status_of(options.value(), true);
  }
  if (worker > 0) return wait_for(worker, options.value());
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) return 1;
  ::fflush(nullptr);
  return work(std::move(options.value()));
}
