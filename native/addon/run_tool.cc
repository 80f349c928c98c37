#include "addon/run_tool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "addon/bind.h"
#include "addon/run_on_thread.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/pidfd.h"
#include "base/wake.h"

namespace vprocfs {
namespace {

/// More than any report has.
constexpr size_t kMaxOutputBytes = size_t{1} << 20;

/// A program that is to run, and how it is told to end.
struct Program {
  std::vector<std::string> argv, environment;
  uint64_t timeout_ms = 0;
  Wake end = Wake::open();
};

struct Outcome {
  int status = 0;  ///< as wait(2) has it
  std::string out, err;
};

/// One end of a pipe, and what has come through it.
struct Stream {
  Fd from, to;
  std::string text;

  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    from = Fd(ends[0]);
    to = Fd(ends[1]);
    return ::fcntl(from.get(), F_SETFL, O_NONBLOCK) == 0;
  }
  /// Takes what is there. False: it was too much.
  bool take() {
    char piece[16384];
    while (from) {
      const ssize_t n = ::read(from.get(), piece, sizeof piece);
      if (n < 0 && errno == EAGAIN) break;
      if (n == 0 || (n < 0 && errno != EINTR)) from.reset();
      if (n > 0) text.append(piece, static_cast<size_t>(n));
      if (text.size() > kMaxOutputBytes) return false;
    }
    return true;
  }
};

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (auto& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

/// Starts it; an errno, and 0 when it runs.
int start(Program& program, const Fd& out, const Fd& err, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  // Node ignores some.
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  auto argv = pointers(program.argv), environment = pointers(program.environment);
  const int failed =
      ::posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environment.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return failed;
}

/// Reads what it prints until it has ended: false. True: it is to be killed.
bool follow(const Program& program, const Fd& pidfd, Stream& out, Stream& err) {
  const uint64_t deadline = monotonic_ms() + program.timeout_ms;
  // Without a pidfd (no descriptor was left) its end shows by that of its output.
  while (pidfd || out.from || err.from) {
    std::array<pollfd, 4> fds{{{out.from.get(), POLLIN, 0},
                               {err.from.get(), POLLIN, 0},
                               {program.end.fd(), POLLIN, 0},
                               {pidfd.get(), POLLIN, 0}}};
    const uint64_t now = monotonic_ms();
    if (now >= deadline) return true;
    const auto left = static_cast<int>(std::min<uint64_t>(deadline - now, 60000));
    if (::poll(fds.data(), fds.size(), left) < 0 && errno != EINTR) return true;
    if (fds[2].revents != 0 || !out.take() || !err.take()) return true;
    if (fds[3].revents != 0) return false;
  }
  return false;
}

Result<Outcome> run(Program& program) {
  Stream out, err;
  if (!program.end || !out.open() || !err.open()) return Error{errno, program.argv[0]};
  pid_t pid = 0;
  const int failed = start(program, out.to, err.to, pid);
  if (failed != 0) return Error{failed, program.argv[0]};
  out.to.reset();
  err.to.reset();
  if (follow(program, open_pidfd(pid), out, err)) ::kill(pid, SIGKILL);
  Outcome outcome;
  while (::waitpid(pid, &outcome.status, 0) < 0) {
    if (errno != EINTR) return Error{errno, program.argv[0]};
  }
  outcome.out = std::move(out.text);
  outcome.err = std::move(err.text);
  return outcome;
}

Napi::Object to_js(Napi::Env env, const Outcome& outcome) {
  JsObject out(env);
  if (WIFEXITED(outcome.status)) {
    out.set("status", WEXITSTATUS(outcome.status)).set("signal", env.Null());
  } else {
    out.set("status", env.Null()).set("signal", WTERMSIG(outcome.status));
  }
  return out.set("stdout", outcome.out).set("stderr", outcome.err);
}

}  // namespace

Napi::Value run_program(Napi::Env env, const std::vector<std::string>& argv, double timeout_ms) {
  if (argv.empty()) return Given{env, {}, "arguments"}.wrong("at least one"), env.Undefined();
  const auto program = std::make_shared<Program>();
  program->argv = argv;
  // Here, since JavaScript may change it.
  for (char** at = environ; *at != nullptr; ++at) program->environment.emplace_back(*at);
  program->timeout_ms = static_cast<uint64_t>(std::max(0.0, timeout_ms));
  const auto ended = run_on_thread(
      env, "vprocfs-run", [program]() { return run(*program); },
      [](Napi::Env e, const Outcome& outcome) { return to_js(e, outcome); });
  const auto end =
      Napi::Function::New(env, [program](const Napi::CallbackInfo&) { program->end.ring(); });
  return JsObject(env).set("ended", ended).set("kill", end);
}

}  // namespace vprocfs
