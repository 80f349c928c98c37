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

/// The processes that write into the memory of callers (native/writer), one for each slot of the
/// pending calls. The agent gives one a slot with an answer in it and does not wait. Not
/// thread-safe.
class Writers {
 public:
  Writers(PendingCalls& pending, int procfs_fd) : pending_(pending), procfs_fd_(procfs_fd) {}
  ~Writers() { stop(); }
  Writers(const Writers&) = delete;
  Writers& operator=(const Writers&) = delete;

  /// `calls_fd` is what the pending calls were opened from. False with errno set.
  bool start(int calls_fd);
  /// Rings once a writer is done; next_done() says which.
  const Wake& done() const { return done_; }

  /// Ends the writers of agents before us. Those that do not end stay stuck; `visit` is called with
  /// the slot and the pidfd of each.
  template <typename Visit>
  void adopt(Visit visit) {
    for (size_t i = 0; i < PendingCalls::kWriterSlots; ++i) {
      if (end_former(i)) visit(i, places_[i].process.get());
    }
  }

  /// A slot whose writer has nothing to do; starts one where there is none. nullopt: there
  /// are no more, or it cannot be started. `started`: its pidfd, when it was; else -1.
  std::optional<size_t> take(int& started);
  /// Hands the slot to its writer.
  void give(size_t slot);
  /// Takes back a slot whose writer is done.
  std::optional<size_t> next_done();
  /// Whether another one is.
  bool any_done() const;
  /// It has nothing to do again.
  void put_back(size_t slot);
  /// Likewise, and what lies there is for the next agent.
  void leave(size_t slot);

  enum class Health : uint8_t {
    kWell,
    kKilled,  ///< it was in a caller's memory for too long
    kStuck,   ///< likewise, and does not end; once for each
  };
  /// Looks after one that is at work.
  Health look(size_t slot, uint64_t now_us);

  bool is_busy(size_t slot) const { return places_[slot].state == State::kBusy; }
  /// look() has killed it.
  bool was_killed(size_t slot) const { return places_[slot].killed_us != 0; }
  bool is_stuck(size_t slot) const { return places_[slot].state == State::kStuck; }
  /// The process has ended: another one may get the slot, once what lies there was put_back().
  /// False: it has not.
  bool reap(size_t slot);

  /// Ends all of them.
  void stop();

 private:
  enum class State : uint8_t { kNone, kIdle, kBusy, kStuck };
  struct Place {
    State state = State::kNone;
    bool in_use = false;  ///< a call lies there, though its writer may have ended
    Fd process;           ///< pidfd
    uint64_t killed_us = 0;
  };

  bool start_writer(size_t slot);
  bool end_former(size_t slot);
  bool computes(size_t slot) const;

  PendingCalls& pending_;
  const int procfs_fd_;
  std::string program_;
  Fd calls_fd_, agent_;
  Wake done_;
  std::array<Place, PendingCalls::kWriterSlots> places_;
};

}  // namespace vprocfs
