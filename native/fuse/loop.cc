#include "fuse/loop.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/cpu_laps.h"
#include "base/priority.h"

namespace vprocfs {
namespace {

/// Only there to make a blocking read(2) return EINTR.
int wake_signal() { return SIGRTMIN + 6; }

void ignore_wake(int) {}

}  // namespace

Loop::Loop(int fuse_fd, size_t max_threads, Handler handler, OnEnd on_end)
    : fd_(fuse_fd),
      handler_(std::move(handler)),
      on_end_(std::move(on_end)),
      threads_(max_threads, [this](size_t) { run(); }) {}

Loop::~Loop() { stop(); }

Result<bool> Loop::start() {
  struct sigaction action {};
  action.sa_handler = ignore_wake;  // without SA_RESTART
  ::sigaction(wake_signal(), &action, nullptr);
  return threads_.start(2);
}

void Loop::end(const std::string& reason) {
  if (!ended_.exchange(true) && !stopping_) on_end_(reason);
}

bool Loop::take(uint8_t* buffer, size_t& size) {
  while (!stopping_.load(std::memory_order_acquire)) {
    const ssize_t n = ::read(fd_, buffer, kRequestBytes);
    if (n >= static_cast<ssize_t>(sizeof(fuse_in_header))) {
      size = static_cast<size_t>(n);
      return true;
    }
    // ENOENT: the request was interrupted while it was handed over.
    if (n >= 0 || errno == EINTR || errno == EAGAIN || errno == ENOENT) continue;
    end(errno == ENODEV ? "unmounted" : std::strerror(errno));
    return false;
  }
  return false;
}

void Loop::run() {
  sigset_t wake;
  ::sigemptyset(&wake);
  ::sigaddset(&wake, wake_signal());
  ::pthread_sigmask(SIG_UNBLOCK, &wake, nullptr);
  go_first();
  // The kernel's structures want 8-byte alignment.
  std::vector<uint64_t> buffer(kRequestBytes / sizeof(uint64_t));
  auto* bytes = reinterpret_cast<uint8_t*>(buffer.data());
  size_t size = 0;
  CpuLaps laps;
  while (take(bytes, size)) {
    threads_.busy();
    handler_(Request(bytes, size, clock_ns(CLOCK_MONOTONIC), &laps));
    threads_.idle();
  }
}

void Loop::stop() {
  refuse();
  threads_.join(wake_signal());
}

}  // namespace vprocfs
