#include "keeper/ending.h"

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

}  // namespace

std::optional<int> ending(pid_t pid) {
  char path[32], text[1024];
  std::snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  const Fd file(::open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t n = file ? ::read(file.get(), text, sizeof(text) - 1) : -1;
  if (n <= 0) return std::nullopt;
  text[n] = '\0';
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
