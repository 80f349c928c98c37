#include "worker.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <vector>

namespace vprocfs_bench {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

struct Outcome {
  int error = 0;
  size_t bytes = 0;
  char last = '\0';
};

/// An epoll set of a thread, when it is to have one.
class Poller {
 public:
  explicit Poller(bool wanted) : fd_(wanted ? epoll_create1(EPOLL_CLOEXEC) : -1) {}
  ~Poller() {
    if (fd_ >= 0) close(fd_);
  }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// As the runtime of Go does it. Files that cannot be polled (EPERM) are read all the same.
  void add(int fd) const {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.fd = fd;
    if (fd_ >= 0) epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event);
  }

 private:
  int fd_;
};

Outcome read_file(const char* path, bool single, const Poller& poller, std::vector<char>& buffer) {
  Outcome outcome;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    outcome.error = errno;
    return outcome;
  }
  poller.add(fd);
  for (;;) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0) {
      outcome.error = errno;
      break;
    }
    if (got == 0) {
      break;
    }
    outcome.bytes += static_cast<size_t>(got);
    outcome.last = buffer[static_cast<size_t>(got) - 1];
    if (single) {
      break;
    }
  }
  if (close(fd) != 0 && outcome.error == 0) {
    outcome.error = errno;
  }
  return outcome;
}

bool is_cut(const Outcome& outcome, const Options& options) {
  if (outcome.bytes < options.min_bytes) {
    return true;
  }
  // A single read that filled the buffer says nothing about where the file ends.
  const bool partial = options.single && outcome.bytes == options.buffer;
  return !partial && outcome.last != '\n';
}

void round(const Options& options, const Poller& poller, std::vector<char>& buffer, Tally& tally) {
  for (const std::string& path : options.paths) {
    const uint64_t before = monotonic_ns();
    const Outcome outcome = read_file(path.c_str(), options.single, poller, buffer);
    const uint64_t after = monotonic_ns();
    if (outcome.error != 0) {
      const bool known = outcome.error > 0 && outcome.error < kErrnos;
      ++tally.errors[known ? outcome.error : 0];
      continue;
    }
    tally.service.record(after - before);
    tally.bytes += outcome.bytes;
    if (outcome.bytes == 0) {
      ++tally.empty;
    } else if (is_cut(outcome, options)) {
      ++tally.cut;
    }
  }
}

/// Waits for the start, tells when it is; 0 when it was called off.
uint64_t wait_for_start(uint32_t total, Gate& gate) {
  gate.ready.fetch_add(1);
  uint64_t start = 0;
  while ((start = gate.start_ns.load()) == 0) {
    if (gate.stop.load() != 0) {
      return 0;
    }
    sleep_until(monotonic_ns() + gate_interval_ns(total));
  }
  sleep_until(start);
  return start;
}

}  // namespace

uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

void sleep_until(uint64_t ns) {
  timespec when{};
  when.tv_sec = static_cast<time_t>(ns / kSecond);
  when.tv_nsec = static_cast<long>(ns % kSecond);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) == EINTR) {
  }
}

void work(const Options& options, uint32_t index, uint32_t total, Gate& gate, Tally& tally) {
  // Otherwise the kernel may wake paced readers 50 µs late, which is as much as is measured.
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  std::vector<char> buffer(options.buffer);
  const Poller poller(options.poller);
  Tally unmeasured{};
  for (uint64_t i = 0; i < options.warmup; ++i) {
    round(options, poller, buffer, unmeasured);
  }
  const uint64_t start = wait_for_start(total, gate);
  if (start == 0) {
    return;
  }
  const bool paced = options.rate > 0.0;
  const double period = paced ? static_cast<double>(kSecond) / options.rate : 0.0;
  const double phase = period * index / total;
  const uint64_t rounds = options.count > 0 ? options.count : std::numeric_limits<uint64_t>::max();
  const uint64_t deadline = options.seconds > 0.0
                                ? start + static_cast<uint64_t>(options.seconds * 1e9)
                                : std::numeric_limits<uint64_t>::max();
  const uint64_t cpu_before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  for (uint64_t i = 0; i < rounds && gate.stop.load(std::memory_order_relaxed) == 0; ++i) {
    uint64_t due = monotonic_ns();
    if (paced) {
      due = start + static_cast<uint64_t>(phase + period * static_cast<double>(i));
    }
    if (due >= deadline) {
      break;
    }
    if (paced) {
      sleep_until(due);
    }
    round(options, poller, buffer, tally);
    if (paced) {
      tally.response.record(monotonic_ns() - due);
    }
  }
  tally.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_before;
  tally.end_ns = monotonic_ns();
}

}  // namespace vprocfs_bench
