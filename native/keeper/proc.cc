#include "keeper/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/fd.h"
#include "source/process_stat.h"

namespace vprocfs {
namespace {

/// Reads a file below /proc. False: there is nothing to be read.
template <size_t N>
bool read_proc(const char* name, char (&text)[N]) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%s", name);
  const Fd file(::open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t n = file ? ::read(file.get(), text, N - 1) : -1;
  if (n <= 0) return false;
  text[n] = '\0';
  return true;
}

/// A number that is all of a file below /proc; `other` if there is none.
long number_in(pid_t pid, const char* name, long other) {
  char path[32], text[32];
  std::snprintf(path, sizeof(path), "%d/%s", pid, name);
  if (!read_proc(path, text)) return other;
  char* end = nullptr;
  const long number = std::strtol(text, &end, 10);
  return end == text ? other : number;
}

struct TaskStat {
  bool leaves = false;  ///< past its last system call
  int status = 0;       ///< as of wait(2), if it leaves
  long threads = 0;     ///< of its process
};

/// `stat`: that file of a process or a thread, below /proc.
std::optional<TaskStat> read_stat(const char* stat) {
  char text[1024];
  if (!read_proc(stat, text)) return std::nullopt;
  const auto number = [&text](StatField field) { return stat_number(text, field).value_or(0); };
  return TaskStat{(number(StatField::kFlags) & kExiting) != 0,
                  static_cast<int>(number(StatField::kExitCode)),
                  static_cast<long>(number(StatField::kThreads))};
}

std::optional<TaskStat> stat_of(pid_t pid) {
  char name[32];
  std::snprintf(name, sizeof(name), "%d/stat", pid);
  return read_stat(name);
}

bool is_signal(const TaskStat& first) {
  // An earlier kernel (before 3.5) or one that may not tell says 0, which is no signal.
  return first.leaves && WIFSIGNALED(first.status);
}

/// Calls `visit` with the name of each thread of a process until it returns false. False if there
/// is no list of them. The kernel's list may end early where a thread ends meanwhile.
template <typename Visit>
bool for_each_thread(pid_t pid, Visit visit) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/task", pid);
  const Fd directory(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return false;
  alignas(dirent64) char entries[4096];
  // getdents64(2) itself: opendir(3) allocates. What does not fit is too much to look at.
  const long n = ::syscall(SYS_getdents64, directory.get(), entries, sizeof(entries));
  for (long at = 0; at < n;) {
    const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
    at += entry->d_reclen;
    if (entry->d_name[0] != '.' && !visit(entry->d_name)) break;
  }
  return true;
}

/// How many threads of a process are on their way out; -1: not all that were found, or it cannot be
/// found out.
long count_leaving(pid_t pid) {
  long count = 0;
  bool all = true;
  const bool listed = for_each_thread(pid, [&](const char* thread) {
    char path[64];
    std::snprintf(path, sizeof(path), "%d/task/%.16s/stat", pid, thread);
    const std::optional<TaskStat> one = read_stat(path);
    all = one && one->leaves;
    ++count;
    return all;
  });
  return listed && all ? count : -1;
}

/// Whether no thread has any memory. That is what an OOM score of 0 says, unless the adjustment
/// (below 0) makes it one; or the OOM reaper, or a vfork(2), so that it proves nothing by itself.
bool has_left_memory(pid_t pid) {
  return number_in(pid, "oom_score_adj", -1) >= 0 && number_in(pid, "oom_score", 1) == 0;
}

}  // namespace

pid_t other_thread(pid_t pid, pid_t but) {
  pid_t found = 0;
  for_each_thread(pid, [&](const char* name) {
    const auto thread = static_cast<pid_t>(std::strtol(name, nullptr, 10));
    if (thread != pid && thread != but) found = thread;
    return found == 0;
  });
  return found;
}

void nice_threads(pid_t pid, int nice) {
  for_each_thread(pid, [nice](const char* name) {
    const auto thread = static_cast<id_t>(std::strtoul(name, nullptr, 10));
    if (thread != 0) ::setpriority(PRIO_PROCESS, thread, nice);
    return true;
  });
}

uint64_t starved_ms(pid_t pid) {
  char name[32], text[128];
  std::snprintf(name, sizeof(name), "%d/schedstat", pid);
  if (!read_proc(name, text)) return 0;
  // Nanoseconds on a CPU, and then those of waiting for one.
  char* after = nullptr;
  std::strtoull(text, &after, 10);
  return std::strtoull(after, nullptr, 10) / 1000000;
}

std::optional<int> ending(pid_t pid) {
  const std::optional<TaskStat> first = stat_of(pid);
  return first && is_signal(*first) ? std::optional(first->status) : std::nullopt;
}

std::optional<int> ending_by_threads(pid_t pid) {
  // Reading `stat` of a thread that still has its memory keeps the memory alive meanwhile, so that
  // in the end it might be us who take it apart.
  if (!has_left_memory(pid)) return std::nullopt;
  const std::optional<TaskStat> first = stat_of(pid);
  // From here on it starts none.
  if (!first || !is_signal(*first) || count_leaving(pid) != first->threads) return std::nullopt;
  return first->status;
}

}  // namespace vprocfs
