// Sets the stage for a benchmark: limited containers without a container runtime, mounts, and the
// certainty that all of it is gone afterwards. It owns what it makes and removes it when its
// standard input ends, which the kernel does for a parent that was killed.
//
// One command per line, words separated by tabs; each is answered by one line, "ok" or
// "ok<TAB>value" or "error<TAB>why".

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "init.h"

namespace vprocfs_bench {
namespace {

using Words = std::vector<std::string>;

/// A command's answer: a value, or why it failed.
struct Answer {
  std::string error;
  std::string value;
};

Answer failed(const std::string& what) { return {what + ": " + std::strerror(errno), ""}; }

uint64_t to_ns(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(time.tv_nsec);
}

uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return to_ns(now);
}

void sleep_ns(long ns) {
  const timespec pause{ns / 1'000'000'000L, ns % 1'000'000'000L};
  nanosleep(&pause, nullptr);
}

/// A process that must not outlive the benchmark, by pidfd, since its number may be used again.
struct Guarded {
  int pidfd = -1;
  std::string mountpoint;
};

class Stage {
 public:
  ~Stage();
  Answer run(const Words& words);

 private:
  Answer directory(const std::string& path);
  Answer remove(const std::string& path);
  static Answer write_file(const std::string& path, const std::string& text);
  Answer set(const std::string& path, const std::string& text);
  Answer mount_tmpfs(const std::string& path);
  Answer container(const Words& words);
  Answer bind(const std::string& name, const std::string& source, const std::string& target);
  Answer head(const std::string& name, const std::string& path);
  Answer stop(const std::string& name);
  Answer guard(const std::string& pid, const std::string& mountpoint);
  Answer unguard(const std::string& pid);
  static Answer clock(const std::string& pid);
  static Answer await(const std::string& path, const std::string& milliseconds);

  Words directories_;  ///< in the order made
  Words mounts_;
  std::map<std::string, Init> containers_;
  std::map<pid_t, Guarded> guarded_;
  std::map<std::string, std::string> settings_;  ///< as they were
};

/// The processes of a cgroup that was just emptied are counted for a moment longer.
int remove_directory(const std::string& path) {
  int result = rmdir(path.c_str());
  for (int i = 0; result != 0 && errno == EBUSY && i < 2000; ++i) {
    sleep_ns(1'000'000);
    result = rmdir(path.c_str());
  }
  return result;
}

void end_process(const Guarded& process) {
  pollfd exited{process.pidfd, POLLIN, 0};
  syscall(SYS_pidfd_send_signal, process.pidfd, SIGTERM, nullptr, 0);
  if (poll(&exited, 1, 2000) == 0) {
    syscall(SYS_pidfd_send_signal, process.pidfd, SIGKILL, nullptr, 0);
    poll(&exited, 1, 2000);
  }
  close(process.pidfd);
  umount2(process.mountpoint.c_str(), MNT_DETACH);
}

Stage::~Stage() {
  for (const auto& [path, text] : settings_) {
    write_file(path, text);
  }
  for (const auto& [name, init] : containers_) {
    kill(init.pid, SIGKILL);  // all of them before waiting for the first: they end side by side
  }
  for (auto& [name, init] : containers_) {
    stop_container(init);
  }
  for (auto& [pid, process] : guarded_) {
    end_process(process);
  }
  for (auto path = mounts_.rbegin(); path != mounts_.rend(); ++path) {
    umount2(path->c_str(), MNT_DETACH);
  }
  for (auto path = directories_.rbegin(); path != directories_.rend(); ++path) {
    if (remove_directory(*path) != 0 && errno != ENOENT) {
      std::fprintf(stderr, "stage: cannot remove %s: %s\n", path->c_str(), std::strerror(errno));
    }
  }
}

Answer Stage::directory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0) {
    return failed(path);
  }
  directories_.push_back(path);
  return {};
}

Answer Stage::remove(const std::string& path) {
  // The last one made is most often the first to go.
  const auto found = std::find(directories_.rbegin(), directories_.rend(), path);
  if (found == directories_.rend()) {
    return {path + ": not made here", ""};
  }
  if (remove_directory(path) != 0) {
    return failed(path);
  }
  directories_.erase(std::next(found).base());
  return {};
}

Answer Stage::write_file(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    return failed(path);
  }
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const Answer answer = written ? Answer{} : failed(path);
  close(fd);
  return answer;
}

/// A setting of the machine, which gets back what it had.
Answer Stage::set(const std::string& path, const std::string& text) {
  std::ifstream file(path);
  std::string before;
  if (!std::getline(file, before)) {
    return failed(path);
  }
  settings_.emplace(path, before);
  return write_file(path, text);
}

Answer Stage::mount_tmpfs(const std::string& path) {
  if (mount("vprocfs-bench", path.c_str(), "tmpfs", 0, "mode=755") != 0) {
    return failed(path);
  }
  mounts_.push_back(path);
  return {};
}

Answer Stage::container(const Words& words) {
  const std::string& name = words[1];
  if (containers_.count(name) != 0) {
    return {name + ": exists", ""};
  }
  std::string error;
  const Init init = start_container(Words(words.begin() + 2, words.end()), error);
  if (!error.empty()) {
    return {name + ": " + error, ""};
  }
  containers_.emplace(name, init);
  return {"", std::to_string(init.pid)};
}

Answer Stage::bind(const std::string& name, const std::string& source, const std::string& target) {
  const auto found = containers_.find(name);
  if (found == containers_.end()) {
    return {name + ": no such container", ""};
  }
  return {bind_inside(found->second, source, target), ""};
}

Answer Stage::head(const std::string& name, const std::string& path) {
  const auto found = containers_.find(name);
  if (found == containers_.end()) {
    return {name + ": no such container", ""};
  }
  std::string error;
  const std::string line = first_line_inside(found->second, path, error);
  return {error, line};
}

Answer Stage::stop(const std::string& name) {
  const auto found = containers_.find(name);
  if (found == containers_.end()) {
    return {name + ": no such container", ""};
  }
  stop_container(found->second);
  containers_.erase(found);
  return {};
}

Answer Stage::guard(const std::string& pid, const std::string& mountpoint) {
  const auto number = static_cast<pid_t>(std::atoi(pid.c_str()));
  const auto pidfd = static_cast<int>(syscall(SYS_pidfd_open, number, 0));
  if (pidfd < 0) {
    return failed("process " + pid);
  }
  guarded_[number] = {pidfd, mountpoint};
  return {};
}

Answer Stage::unguard(const std::string& pid) {
  const auto found = guarded_.find(static_cast<pid_t>(std::atoi(pid.c_str())));
  if (found != guarded_.end()) {
    end_process(found->second);
    guarded_.erase(found);
  }
  return {};
}

/// The CPU time of all threads that a process has or had, exact to the ns.
Answer Stage::clock(const std::string& pid) {
  clockid_t clock = 0;
  timespec used{};
  errno = clock_getcpuclockid(static_cast<pid_t>(std::atoi(pid.c_str())), &clock);
  if (errno != 0 || clock_gettime(clock, &used) != 0) {
    return failed("process " + pid);
  }
  return {"", std::to_string(to_ns(used))};
}

/// Tries to read a file, or to open a directory, until that works; answers with the time
/// (CLOCK_MONOTONIC, ns).
Answer Stage::await(const std::string& path, const std::string& milliseconds) {
  const uint64_t until =
      monotonic_ns() + 1'000'000U * static_cast<uint64_t>(std::atoll(milliseconds.c_str()));
  do {
    char byte = 0;
    errno = 0;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const bool good = fd >= 0 && (read(fd, &byte, 1) == 1 || errno == EISDIR);
    if (fd >= 0) {
      close(fd);
    }
    if (good) {
      return {"", std::to_string(monotonic_ns())};
    }
    sleep_ns(500'000);
  } while (monotonic_ns() < until);
  return {path + ": not readable in time", ""};
}

Answer Stage::run(const Words& words) {
  const struct {
    const char* name;
    size_t words;  ///< with the name
    std::function<Answer()> action;
  } commands[] = {
      {"directory", 2, [&] { return directory(words[1]); }},
      {"remove", 2, [&] { return remove(words[1]); }},
      {"write", 3, [&] { return write_file(words[1], words[2]); }},
      {"set", 3, [&] { return set(words[1], words[2]); }},
      {"tmpfs", 2, [&] { return mount_tmpfs(words[1]); }},
      {"bind", 4, [&] { return bind(words[1], words[2], words[3]); }},
      {"head", 3, [&] { return head(words[1], words[2]); }},
      {"stop", 2, [&] { return stop(words[1]); }},
      {"guard", 3, [&] { return guard(words[1], words[2]); }},
      {"unguard", 2, [&] { return unguard(words[1]); }},
      {"clock", 2, [&] { return clock(words[1]); }},
      {"await", 3, [&] { return await(words[1], words[2]); }},
  };
  if (words.size() >= 2 && words[0] == "container") {
    return container(words);
  }
  for (const auto& command : commands) {
    if (words[0] == command.name && words.size() == command.words) {
      return command.action();
    }
  }
  return {"bad command: " + words[0], ""};
}

Words split(const std::string& line) {
  Words words;
  size_t start = 0;
  for (size_t tab = 0; (tab = line.find('\t', start)) != std::string::npos; start = tab + 1) {
    words.push_back(line.substr(start, tab - start));
  }
  words.push_back(line.substr(start));
  return words;
}

int run_stage() {
  // Whoever drives the benchmark decides when it ends, by ending our input.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
    signal(number, SIG_IGN);
  }
  Stage stage;
  for (std::string line; std::getline(std::cin, line);) {
    const Answer answer = stage.run(split(line));
    if (!answer.error.empty()) {
      std::cout << "error\t" << answer.error << std::endl;
    } else {
      std::cout << "ok" << (answer.value.empty() ? "" : "\t") << answer.value << std::endl;
    }
  }
  return 0;
}

}  // namespace
}  // namespace vprocfs_bench

int main() { return vprocfs_bench::run_stage(); }
