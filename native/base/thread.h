#pragma once

#include <pthread.h>
#include <signal.h>

#include <memory>
#include <utility>

#include "base/result.h"

namespace vprocfs {

/// A thread. Unlike std::thread it returns an error if no thread can be started, instead of ending
/// the process, because a node may be out of PIDs for a while. Must be joined before it is
/// destroyed.
class Thread {
 public:
  Thread() = default;
  Thread(Thread&& other) noexcept
      : handle_(other.handle_), joinable_(std::exchange(other.joinable_, false)) {}
  Thread& operator=(Thread&& other) noexcept {
    handle_ = other.handle_;
    joinable_ = std::exchange(other.joinable_, false);
    return *this;
  }

  /// Has a thread run `body`. Error, and nothing runs, when the host or the service has as many
  /// threads as it may (EAGAIN).
  template <typename Body>
  Result<bool> start(Body body) {
    auto kept = std::make_unique<Body>(std::move(body));
    const int refused = ::pthread_create(&handle_, nullptr, run<Body>, kept.get());
    if (refused != 0) return Error{refused, "cannot start a thread"};
    static_cast<void>(kept.release());  // the thread's from now on
    joinable_ = true;
    return true;
  }

  void join() {
    if (std::exchange(joinable_, false)) ::pthread_join(handle_, nullptr);
  }
  /// Nobody waits for its end.
  void detach() {
    if (std::exchange(joinable_, false)) ::pthread_detach(handle_);
  }
  bool joinable() const { return joinable_; }
  /// 0: none.
  void signal(int number) const {
    if (number != 0 && joinable_) ::pthread_kill(handle_, number);
  }

 private:
  template <typename Body>
  static void* run(void* body) {
    const std::unique_ptr<Body> mine(static_cast<Body*>(body));
    (*mine)();
    return nullptr;
  }

  pthread_t handle_{};
  bool joinable_ = false;
};

}  // namespace vprocfs
