#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/wake.h"
#include "seccomp/pending_calls.h"

namespace vprocfs {

/// The processes that write into the memory of callers (native/writer), at most one for each slot
/// of the pending calls. The agent take()s a slot, fills it, and give()s it to its writer. Once the
/// writer is done, next_done() returns the slot, and put_back() makes it free. Not thread-safe, but
/// a slot that is taken is its taker's alone.
class Writers {
 public:
  Writers(PendingCalls& pending, int procfs_fd) : pending_(pending), procfs_fd_(procfs_fd) {}
  ~Writers() { stop(); }
  Writers(const Writers&) = delete;
  Writers& operator=(const Writers&) = delete;

  /// `calls_fd`: the descriptor that the pending calls were opened with. False with errno set.
  bool start(int calls_fd);
  /// Rings when a writer is done; next_done() says which.
  const Wake& done() const { return done_; }

  /// Kills the writers of earlier agents. Those that do not end are stuck; `visit` is called with
  /// the slot and the pidfd of each.
  template <typename Visit>
  void adopt(Visit visit) {
    for (size_t i = 0; i < PendingCalls::kWriterSlots; ++i) {
      if (!end_former(i)) visit(i, places_[i].process.get());
    }
  }

  /// A slot with an idle writer, which is started if there is none. nullopt: all slots are in use,
  /// or no writer can be started. `started`: the pidfd of a writer that was started; else -1.
  std::optional<size_t> take(int& started);
  /// Starts another writer for a slot that was taken, if its writer has ended since. False: none
  /// can be started. `started`: as of take().
  bool renew(size_t slot, int& started);
  /// Hands a slot over to its writer.
  void give(size_t slot);
  /// Takes back the slot of a writer that is done.
  std::optional<size_t> next_done();
  bool any_done() const;
  /// Clears the call in a slot: its writer, if it lives, is idle again.
  void put_back(size_t slot);
  /// The same, but leaves the call in the slot for the next agent.
  void leave(size_t slot);

  /// Kills a busy writer that has been in a caller's memory for too long. True, once for each
  /// writer: it was killed and does not end, so it is stuck.
  bool check(size_t slot, uint64_t now_us);

  bool is_busy(size_t slot) const { return places_[slot].state == State::kBusy; }
  /// Whether check() has killed the slot's writer.
  bool was_killed(size_t slot) const { return places_[slot].killed_us != 0; }
  bool is_stuck(size_t slot) const { return places_[slot].state == State::kStuck; }
  /// Reaps the slot's writer. Another one may get the slot once its call was put_back(). False: the
  /// writer has not ended.
  bool reap(size_t slot);

  /// Kills all writers that are not stuck.
  void stop();

 private:
  enum class State : uint8_t { kNone, kIdle, kBusy, kStuck };
  struct Place {
    State state = State::kNone;
    bool in_use = false;  ///< it is taken or has a call, though its writer may have ended
    Fd process;           ///< pidfd
    uint64_t killed_us = 0;
  };

  bool start_writer(size_t slot);
  bool end_former(size_t slot);
  bool is_runnable(size_t slot) const;

  PendingCalls& pending_;
  const int procfs_fd_;
  std::string program_;
  Fd calls_fd_, agent_;
  Wake done_;
  std::array<Place, PendingCalls::kWriterSlots> places_;
};

}  // namespace vprocfs
