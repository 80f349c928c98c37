#include "keeper/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/fd.h"

namespace vprocfs {
namespace {

/// In a task's flags: it is on its way out (PF_EXITING, the same in all kernels).
constexpr unsigned long kExiting = 0x4;
// Numbers of fields in proc(5).
constexpr int kState = 3, kFlags = 9, kExitCode = 52;

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

struct TaskEnd {
  bool leaves = false;  ///< has left user space and every system call, for good
  int status = 0;       ///< as of wait(2)
};

/// `stat`: that file of a process or a thread, below /proc. nullopt: it is gone.
std::optional<TaskEnd> end_of_task(const char* stat) {
  char text[1024];
  if (!read_proc(stat, text)) return std::nullopt;
  // The command may hold blanks and parentheses.
  const char* at = std::strrchr(text, ')');
  if (at == nullptr) return std::nullopt;
  unsigned long flags = 0;
  TaskEnd out;
  for (int field = kState - 1; at != nullptr; at = std::strchr(at + 1, ' '), ++field) {
    if (field == kFlags) flags = std::strtoul(at, nullptr, 10);
    if (field == kExitCode) out.status = static_cast<int>(std::strtol(at, nullptr, 10));
  }
  out.leaves = (flags & kExiting) != 0;
  return out;
}

/// Whether each thread that a process still has is on its way out. False too when that cannot be
/// found out.
bool others_leave(pid_t pid) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/task", pid);
  const Fd directory(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return false;
  alignas(dirent64) char entries[4096];
  // getdents64(2) itself: opendir(3) allocates.
  for (;;) {
    const long n = ::syscall(SYS_getdents64, directory.get(), entries, sizeof(entries));
    if (n <= 0) return n == 0;
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      at += entry->d_reclen;
      if (entry->d_name[0] == '.') continue;
      std::snprintf(path, sizeof(path), "%d/task/%.16s/stat", pid, entry->d_name);
      const std::optional<TaskEnd> end = end_of_task(path);
      if (end && !end->leaves) return false;
    }
  }
}

}  // namespace

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
  char path[32];
  std::snprintf(path, sizeof(path), "%d/stat", pid);
  const std::optional<TaskEnd> first = end_of_task(path);
  // An earlier kernel (before 3.5) or one that may not tell says 0, which is no signal.
  if (!first || !first->leaves || !WIFSIGNALED(first->status)) return std::nullopt;
  if (!others_leave(pid)) return std::nullopt;
  return first->status;
}

}  // namespace vprocfs
