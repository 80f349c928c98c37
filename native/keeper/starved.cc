#include "keeper/starved.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/fd.h"

namespace vprocfs {

uint64_t starved_ms(pid_t pid) {
  char path[32], text[128];
  std::snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
  const Fd file(::open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t n = file ? ::read(file.get(), text, sizeof(text) - 1) : -1;
  if (n <= 0) return 0;
  text[n] = '\0';
  // Nanoseconds on a CPU, and then those of waiting for one.
  char* after = nullptr;
  std::strtoull(text, &after, 10);
  return std::strtoull(after, nullptr, 10) / 1000000;
}

}  // namespace vprocfs
