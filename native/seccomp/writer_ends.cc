// Writers that hang, end, or are left to the next worker.

#include <chrono>

#include "seccomp/agent.h"

namespace vprocfs {

void Agent::check_writers(size_t index) {
  for (size_t i = 0; i < PendingCalls::kWriterSlots; ++i) {
    {
      const std::lock_guard lock(mutex_);
      if (!writers_.check(i, boottime_us())) continue;
      Turn& turn = turns_[pending_.writer_slot(i).tenant];
      turn.taken = turn.stuck = true;
      turn.slot = i;
    }
    counters_.stuck.fetch_add(1, std::memory_order_relaxed);
    counters_.late.fetch_add(1, std::memory_order_relaxed);
    finish(i, WriterSlot::kUnwritable, index);
  }
}

void Agent::on_writer_end(size_t slot_index, size_t index) {
  bool was_stuck = false, had_call = false, too_late = false;
  std::vector<uint64_t> tenants;
  WriterSlot& slot = pending_.writer_slot(slot_index);
  {
    const std::lock_guard lock(mutex_);
    was_stuck = writers_.is_stuck(slot_index);
    // A slot that the agent owns again has been taken back: another thread ends its call.
    had_call = writers_.is_busy(slot_index) && slot.owner != WriterSlot::kAgent;
    too_late = writers_.was_killed(slot_index);
    if (!writers_.reap(slot_index)) return;
    for (auto& [tenant, turn] : turns_) {
      if (!turn.stuck || turn.slot != slot_index) continue;
      turn.taken = turn.stuck = false;
      tenants.push_back(tenant);
    }
  }
  if (was_stuck) counters_.stuck.fetch_sub(1, std::memory_order_relaxed);
  for (const uint64_t tenant : tenants) end_turn(tenant, index);
  if (!had_call) return;
  const bool done = slot.owner.load(std::memory_order_acquire) == WriterSlot::kDone;
  if (done) return finish(slot_index, static_cast<WriterSlot::End>(slot.end), index);
  if (too_late) counters_.late.fetch_add(1, std::memory_order_relaxed);
  // If somebody else killed the writer, the call is answered again, by another one.
  finish(slot_index, too_late ? WriterSlot::kUnwritable : WriterSlot::kReturned, index);
}

void Agent::adopt_writers() {
  writers_.adopt([this](size_t slot, int pidfd) {
    Turn& turn = turns_[pending_.writer_slot(slot).tenant];
    turn.taken = turn.stuck = true;
    turn.slot = slot;
    watch_end(slot, pidfd);
    ++counters_.stuck;
  });
}

/// Waits a moment until what is being written has been written.
void Agent::finish_writes() {
  constexpr std::chrono::milliseconds kWithin{100};
  for (size_t i = 0; i < PendingCalls::kWriterSlots; ++i) pending_.writer_slot(i).wanted = 1;
  std::unique_lock lock(mutex_);
  written_.wait_for(lock, kWithin, [this] { return !is_writing_locked(); });
}

/// Ends the writers. After the threads have ended.
void Agent::leave_writers(bool for_good) {
  if (!pending_.is_open()) return;
  while (const auto slot = writers_.next_done()) leave_call(*slot);
  // The next worker, if there is one, goes on with what is still pending.
  writers_.stop();
  if (!for_good && fd_store_ != nullptr) return;
  for (const auto& [place, entry] : pending_.leftovers()) {
    const SourcePtr source = find(entry.key);
    if (source && source->kind == Kind::kListener) {
      reply(*source, entry.notification, fallback_verdict(entry.notification.data));
    }
  }
  for (const BlockedCall& one : blocked_) {
    const SourcePtr source = find(one.key);
    const seccomp_notif& notification = pending_.blocked(one.place).notification;
    if (source) reply(*source, notification, fallback_verdict(notification.data));
  }
}

}  // namespace vprocfs
