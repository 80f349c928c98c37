#include "init.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vprocfs_bench {
namespace {

/// A request is "SOURCE NUL TARGET NUL" for a bind or "PATH NUL" for the first line of a file. The
/// answer is kFailed and why, or kDone and the line: never an empty message, which reads as the
/// end.
constexpr size_t kMessage = 8192;
constexpr char kDone = '=';
constexpr char kFailed = '!';

std::string failure(const std::string& what) { return what + ": " + std::strerror(errno); }

std::string join(const std::vector<std::string>& cgroups) {
  for (const std::string& directory : cgroups) {
    const std::string path = directory + "/cgroup.procs";
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) {
      return failure(path);
    }
    close(fd);
  }
  return "";
}

std::string set_up(const std::vector<std::string>& cgroups) {
  std::string error = join(cgroups);
  if (!error.empty()) {
    return error;
  }
  // Only now: the root of the cgroup namespace is where its creator is.
  if (unshare(CLONE_NEWCGROUP) != 0) {
    return failure("cgroup namespace");
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return failure("private mounts");
  }
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return failure("/proc");
  }
  return "";
}

std::string answer(const std::string& error, const std::string& text = "") {
  return error.empty() ? kDone + text : kFailed + error;
}

std::string bind(const char* source, const char* target) {
  const bool bound = mount(source, target, nullptr, MS_BIND, nullptr) == 0;
  return answer(bound ? "" : failure(std::string(source) + " on " + target));
}

std::string first_line(const char* path) {
  char text[1024];
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text));
  const std::string error = got < 0 ? failure(path) : "";
  if (fd >= 0) {
    close(fd);
  }
  const std::string whole(text, got < 0 ? 0 : static_cast<size_t>(got));
  return answer(error, whole.substr(0, whole.find('\n')));
}

std::string carry_out(const std::string& request) {
  const size_t end = request.find('\0');
  if (end + 1 == request.size()) {
    return first_line(request.c_str());
  }
  return bind(request.c_str(), request.c_str() + end + 1);
}

/// What the first process does: what it is told, until its parent is gone.
[[noreturn]] void be_init(int socket, const std::vector<std::string>& cgroups) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "bench-init");
  signal(SIGCHLD, SIG_IGN);
  std::string reply = answer(set_up(cgroups));
  for (;;) {
    if (send(socket, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) {
      _exit(0);
    }
    char message[kMessage];
    const ssize_t got = recv(socket, message, sizeof(message), 0);
    if (got <= 0) {
      _exit(0);
    }
    reply = carry_out(std::string(message, static_cast<size_t>(got)));
  }
}

/// The text of an answer; what failed goes to `error`.
std::string take_answer(int socket, std::string& error) {
  char message[kMessage];
  const ssize_t got = recv(socket, message, sizeof(message), 0);
  if (got <= 0) {
    error = "the container's first process is gone";
    return "";
  }
  const std::string text(message + 1, static_cast<size_t>(got) - 1);
  if (message[0] == kFailed) {
    error = text;
    return "";
  }
  return text;
}

std::string ask(const Init& init, const std::string& request, std::string& error) {
  if (request.size() > kMessage) {
    error = "path too long";
    return "";
  }
  if (send(init.socket, request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    error = failure("the container's first process");
    return "";
  }
  return take_answer(init.socket, error);
}

}  // namespace

Init start_container(const std::vector<std::string>& cgroups, std::string& error) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    error = failure("socketpair");
    return {};
  }
  constexpr unsigned long kFlags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;
  const auto pid = static_cast<pid_t>(syscall(
      SYS_clone, kFlags | static_cast<unsigned long>(SIGCHLD), nullptr, nullptr, nullptr, nullptr));
  if (pid == 0) {
    // Nothing else of the parent may stay open in here, above all no other container's socket.
    const int own = dup2(ends[1], 0);
    close_range(3, ~0U, 0);
    be_init(own, cgroups);
  }
  close(ends[1]);
  Init init{pid, ends[0]};
  if (pid < 0) {
    error = failure("clone");
  } else {
    take_answer(init.socket, error);
  }
  if (!error.empty()) {
    stop_container(init);
  }
  return init;
}

std::string bind_inside(const Init& init, const std::string& source, const std::string& target) {
  std::string error;
  ask(init, source + '\0' + target + '\0', error);
  return error;
}

std::string first_line_inside(const Init& init, const std::string& path, std::string& error) {
  return ask(init, path + '\0', error);
}

void stop_container(Init& init) {
  if (init.pid > 0) {
    kill(init.pid, SIGKILL);
    waitpid(init.pid, nullptr, 0);
    init.pid = -1;
  }
  if (init.socket >= 0) {
    close(init.socket);
    init.socket = -1;
  }
}

}  // namespace vprocfs_bench
