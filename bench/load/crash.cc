// Has the kernel log faults of a container: `crash CONTAINER PROCESSES RATE SECONDS`, the container
// as the load program takes it. So many processes in it have children that end by a segmentation
// fault, together RATE a second if the machine is fast enough. Prints how many there were.

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cinttypes>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "enter.h"

namespace vprocfs_bench {
namespace {

uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(now.tv_nsec);
}

void sleep_until(uint64_t ns) {
  timespec until{};
  until.tv_sec = static_cast<time_t>(ns / 1'000'000'000U);
  until.tv_nsec = static_cast<long>(ns % 1'000'000'000U);
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

/// Ends the process that calls it.
void crash() {
  volatile uintptr_t nowhere = 8;
  *reinterpret_cast<volatile int*>(nowhere) = 1;
}

void crash_children(double rate, double seconds, std::atomic<uint64_t>& count) {
  const uint64_t begun = now_ns();
  for (uint64_t i = 0;; ++i) {
    const auto due = begun + static_cast<uint64_t>(static_cast<double>(i) / rate * 1e9);
    if (static_cast<double>(due - begun) >= seconds * 1e9) return;
    if (static_cast<double>(now_ns() - begun) >= seconds * 1e9) return;
    sleep_until(due);
    const pid_t child = fork();
    if (child == 0) {
      crash();
      _exit(0);
    }
    if (child < 0) return;
    waitpid(child, nullptr, 0);
    count.fetch_add(1);
  }
}

int run(int argc, char** argv) {
  Container container;
  if (argc != 5 || !parse_container(argv[1], container)) {
    std::fputs("crash: CONTAINER PROCESSES RATE SECONDS\n", stderr);
    return 2;
  }
  const int processes = std::atoi(argv[2]);
  const double rate = std::atof(argv[3]) / processes, seconds = std::atof(argv[4]);
  void* shared = mmap(nullptr, sizeof(std::atomic<uint64_t>), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const std::string error = enter(container);
  if (shared == MAP_FAILED || !error.empty()) {
    std::fprintf(stderr, "crash: %s\n", error.c_str());
    return 1;
  }
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  auto& count = *static_cast<std::atomic<uint64_t>*>(shared);
  for (int i = 0; i < processes; ++i) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    crash_children(rate, seconds, count);
    _exit(0);
  }
  while (wait(nullptr) > 0) {
  }
  std::printf("%" PRIu64 "\n", count.load());
  return 0;
}

}  // namespace
}  // namespace vprocfs_bench

int main(int argc, char** argv) { return vprocfs_bench::run(argc, argv); }
