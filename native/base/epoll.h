#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>

#include "base/fd.h"

namespace vprocfs {

/// Waits for many descriptors (epoll(7)); each event has the key that its descriptor was added
/// with, in `data.u64`. Functions fail with errno. Thread-safe once it is open.
class Epoll {
 public:
  Epoll() = default;
  /// Not open, with errno, on failure.
  static Epoll open() {
    Epoll out;
    out.fd_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    return out;
  }

  explicit operator bool() const { return static_cast<bool>(fd_); }

  /// `events` as of epoll_ctl(2).
  bool add(int fd, uint64_t key, uint32_t events) const {
    return control(EPOLL_CTL_ADD, fd, key, events);
  }
  bool modify(int fd, uint64_t key, uint32_t events) const {
    return control(EPOLL_CTL_MOD, fd, key, events);
  }
  bool remove(int fd) const { return control(EPOLL_CTL_DEL, fd, 0, 0); }

  /// Returns how many have happened, -1 on failure. `timeout_ms` -1: waits without an end.
  template <size_t N>
  int wait(epoll_event (&out)[N], int timeout_ms = -1) const {
    return wait(out, static_cast<int>(N), timeout_ms);
  }
  /// The same where there is room for `most`, at least one.
  int wait(epoll_event* out, int most, int timeout_ms) const {
    return ::epoll_wait(fd_.get(), out, most, timeout_ms);
  }

 private:
  bool control(int operation, int fd, uint64_t key, uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = key;
    return ::epoll_ctl(fd_.get(), operation, fd, &event) == 0;
  }

  Fd fd_;
};

}  // namespace vprocfs
