#include "enter.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace vprocfs_bench {
namespace {

std::string failure(const std::string& what) { return what + ": " + std::strerror(errno); }

bool same_user_namespace(pid_t pid) {
  struct stat own {};
  struct stat other {};
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/user";
  return stat("/proc/self/ns/user", &own) == 0 && stat(path.c_str(), &other) == 0 &&
         own.st_ino == other.st_ino;
}

std::string join_cgroup(const std::string& directory) {
  const std::string path = directory + "/cgroup.procs";
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    return failure(path);
  }
  const bool written = write(fd, "0", 1) == 1;  // 0: whoever writes
  const std::string error = written ? "" : failure(path);
  close(fd);
  return error;
}

}  // namespace

bool parse_container(const std::string& text, Container& container) {
  size_t end = text.find(':');
  char* rest = nullptr;
  const std::string number = text.substr(0, end);
  container.pid = static_cast<pid_t>(std::strtol(number.c_str(), &rest, 10));
  while (end != std::string::npos) {
    const size_t start = end + 1;
    end = text.find(':', start);
    container.cgroups.push_back(text.substr(start, end - start));
  }
  return !number.empty() && *rest == '\0' && container.pid > 0;
}

std::string enter(const Container& container) {
  for (const std::string& directory : container.cgroups) {
    std::string error = join_cgroup(directory);
    if (!error.empty()) {
      return error;
    }
  }
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, container.pid, 0));
  if (pidfd < 0) {
    return failure("process " + std::to_string(container.pid));
  }
  int namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP;
  if (!same_user_namespace(container.pid)) {
    namespaces |= CLONE_NEWUSER;  // joining the one we are in is an error
  }
  const bool joined = setns(pidfd, namespaces) == 0;
  std::string error = joined ? "" : failure("namespaces of " + std::to_string(container.pid));
  close(pidfd);
  return error;
}

}  // namespace vprocfs_bench
