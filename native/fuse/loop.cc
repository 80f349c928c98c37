#include "fuse/loop.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/priority.h"

namespace vprocfs {
namespace {

/// Only there to make a blocking read(2) return EINTR.
int wake_signal() { return SIGRTMIN + 6; }

void ignore_wake(int) {}

}  // namespace

Loop::Loop(int fuse_fd, size_t max_threads, Handler handler, OnEnd on_end)
    : fd_(fuse_fd),
      max_threads_(max_threads),
      handler_(std::move(handler)),
      on_end_(std::move(on_end)) {}

Loop::~Loop() { stop(); }

void Loop::start() {
  struct sigaction action {};
  action.sa_handler = ignore_wake;  // without SA_RESTART
  ::sigaction(wake_signal(), &action, nullptr);
  spawn();
  spawn();
  if (threads() == 0) end("no thread can be had");
}

void Loop::spawn() {
  const std::lock_guard lock(mutex_);
  if (stopping_ || workers_.size() >= max_threads_) return;
  workers_.push_back(std::make_unique<Worker>());
  Worker& worker = *workers_.back();
  idle_.fetch_add(1);
  if (!worker.thread.start([this, &worker] { run(worker); })) {
    idle_.fetch_sub(1);
    workers_.pop_back();
  }
  thread_count_.store(workers_.size(), std::memory_order_relaxed);
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

void Loop::run(Worker& self) {
  sigset_t wake;
  ::sigemptyset(&wake);
  ::sigaddset(&wake, wake_signal());
  ::pthread_sigmask(SIG_UNBLOCK, &wake, nullptr);
  go_first();
  // The kernel's structures want 8-byte alignment.
  std::vector<uint64_t> buffer(kRequestBytes / sizeof(uint64_t));
  auto* bytes = reinterpret_cast<uint8_t*>(buffer.data());
  size_t size = 0;
  while (take(bytes, size)) {
    if (idle_.fetch_sub(1) == 1) spawn();
    handler_(Request(bytes, size, clock_ns(CLOCK_MONOTONIC)));
    idle_.fetch_add(1);
  }
  idle_.fetch_sub(1);
  self.done.store(true, std::memory_order_release);
}

void Loop::stop() {
  stopping_.store(true, std::memory_order_release);
  std::vector<std::unique_ptr<Worker>> workers;
  {
    // Not held while they end: one that has just taken a request may be about to spawn() another.
    const std::lock_guard lock(mutex_);
    workers.swap(workers_);
  }
  // All at once first, so that they end at the same time.
  for (auto& worker : workers) ::pthread_kill(worker->thread.handle(), wake_signal());
  for (auto& worker : workers) {
    // The signal may come just before the read(2) that it is to interrupt: repeated until it works.
    while (!worker->done.load(std::memory_order_acquire)) {
      ::pthread_kill(worker->thread.handle(), wake_signal());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    worker->thread.join();
  }
  thread_count_.store(0, std::memory_order_relaxed);
}

}  // namespace vprocfs
