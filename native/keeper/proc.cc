#include "keeper/proc.h"

#include <fcntl.h>
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

/// Reads a file of a process. False: there is nothing to be read.
template <size_t N>
bool read_proc(pid_t pid, const char* name, char (&text)[N]) {
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
  const Fd file(::open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t n = file ? ::read(file.get(), text, N - 1) : -1;
  if (n <= 0) return false;
  text[n] = '\0';
  return true;
}

}  // namespace

uint64_t starved_ms(pid_t pid) {
  char text[128];
  if (!read_proc(pid, "schedstat", text)) return 0;
  // Nanoseconds on a CPU, and then those of waiting for one.
  char* after = nullptr;
  std::strtoull(text, &after, 10);
  return std::strtoull(after, nullptr, 10) / 1000000;
}

std::optional<int> ending(pid_t pid) {
  char text[1024];
  if (!read_proc(pid, "stat", text)) return std::nullopt;
  // The command may hold blanks and parentheses.
  const char* at = std::strrchr(text, ')');
  if (at == nullptr) return std::nullopt;
  unsigned long flags = 0;
  int status = 0;
  for (int field = kState - 1; at != nullptr; at = std::strchr(at + 1, ' '), ++field) {
    if (field == kFlags) flags = std::strtoul(at, nullptr, 10);
    if (field == kExitCode) status = static_cast<int>(std::strtol(at, nullptr, 10));
  }
  // An earlier kernel (before 3.5) or one that may not tell says 0, which is no signal.
  if ((flags & kExiting) == 0 || !WIFSIGNALED(status)) return std::nullopt;
  return status;
}

}  // namespace vprocfs
