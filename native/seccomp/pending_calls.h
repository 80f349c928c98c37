#pragma once

#include <linux/seccomp.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/mapping.h"
#include "base/result.h"
#include "seccomp/writer_slot.h"

namespace vprocfs {

/// The notifications that threads and writers are working on, in memory that outlives the worker.
/// The kernel delivers each notification only once, so without this its caller would wait for ever
/// after a crash. The kernel itself writes it there (SECCOMP_IOCTL_NOTIF_RECV), so none is missing.
///
/// A call is in one of these places: a thread's slot (in_flight()), a writer's slot, among the
/// parked calls, which are tried again soon, or among the blocked calls, which wait for a log that
/// may never be added to. Whether a place is free is guarded by the agent's mutex.
class PendingCalls {
 public:
  /// The most threads and the most writers, stuck ones included, that may work on calls.
  static constexpr size_t kThreadSlots = 16, kWriterSlots = 64;

  struct Entry {
    uint64_t key = 0;        ///< of the notify descriptor, or of LXC's connection
    uint64_t answering = 0;  ///< id of the notification that LXC's monitor is being answered
    uint32_t sent = 0;       ///< that answer was sent
    uint32_t poisoned = 0;   ///< writing into its caller's memory blocked
    uint32_t blocked = 0;    ///< it waited for a log, and its source takes calls meanwhile
    uint64_t until_us = 0;   ///< CLOCK_BOOTTIME: when it ends if it is blocked; 0: it never was
    LogSpan log;             ///< what was taken from a log for it
    seccomp_notif notification{};  ///< `id` 0: none

    bool in_use() const { return key != 0 && (notification.id != 0 || answering != 0); }
  };
  /// A call that an earlier worker left, and its place among the parked calls.
  struct Leftover {
    size_t place;
    Entry entry;
  };

  static Result<Fd> make();
  /// Maps the memory. False: it is not of this version, or cannot be mapped.
  bool open(int fd);
  bool is_open() const { return static_cast<bool>(memory_); }

  /// Moves a call to another place and returns it. A worker that dies meanwhile leaves it in both
  /// places rather than in none.
  static Entry move(Entry& from, Entry& to) {
    to = from;
    // The next worker reads this memory after our death: the compiler must keep the order.
    std::atomic_signal_fence(std::memory_order_release);
    from = Entry{};
    return to;
  }

  /// The call that a thread is working on.
  Entry& in_flight(size_t thread) { return layout()->thread_slots[thread]; }
  const Entry& in_flight(size_t thread) const { return layout()->thread_slots[thread]; }
  WriterSlot& writer_slot(size_t index) { return layout()->writer_slots[index]; }
  /// Room for the answer of a slot, WriterSlot::kMaxAnswerBytes. Pages that were never written to
  /// take no memory.
  uint8_t* text(size_t index) { return layout()->texts[index]; }

  /// Whether every thread could park one more call: threads may ask at the same time, and none
  /// takes of the reserve.
  bool has_room() const { return free_parked() > 2 * kThreadSlots; }
  /// Parks a call and returns its place. nullopt: no room but the reserve, into which the next
  /// worker moves what it finds in threads' slots.
  std::optional<size_t> park(const Entry& entry);
  /// The call at a place that park() returned or that a Leftover names.
  Entry& parked(size_t place) { return layout()->parked[place]; }

  static constexpr size_t kBlocked = 1024;
  /// No place from this one on was ever used.
  size_t blocked_end() const { return layout()->blocked_end; }
  /// Puts a call among the blocked ones. nullopt: no room but the reserve, into which the next
  /// worker moves what it finds in writers' slots.
  std::optional<size_t> put_blocked(const Entry& entry);
  Entry& blocked(size_t place) { return layout()->blocked[place]; }
  void drop_blocked(size_t place) { layout()->blocked[place] = Entry{}; }

  /// Moves the calls of earlier workers to the parked ones and returns all that are there. Each
  /// stays in its place until settle(). Those workers' writers must have ended or be stuck for
  /// good.
  const std::vector<Leftover>& leftovers();
  void settle(size_t place) { layout()->parked[place] = Entry{}; }

  /// Calls `visit(key, notification)` for every call in any place, perhaps twice for some. For the
  /// keeper, when there will be no next worker.
  template <typename Visit>
  void for_each(Visit visit) const {
    const auto one = [&visit](const auto& entry) {
      if (entry.key != 0 && entry.notification.id != 0) visit(entry.key, entry.notification);
    };
    for (const Entry& entry : layout()->thread_slots) one(entry);
    for (size_t i = 0; i < parked_end(); ++i) one(layout()->parked[i]);
    for (const Entry& entry : layout()->blocked) one(entry);
    for (const WriterSlot& slot : layout()->writer_slots) one(slot);
  }

  /// The id of the notification that a worker was answering the monitor with that key when it
  /// ended; 0: none. For the keeper, as for_each().
  uint64_t last_answered(uint64_t key) const;

  /// The answer to the monitor with that key that an earlier worker was giving when it ended;
  /// nullptr: none. It stays until settle_answer().
  const Entry* answering(uint64_t key) const;
  void settle_answer(uint64_t key);

 private:
  /// One for each listener that the keeper has room for, so that no tenant can use them up, and for
  /// what slots hold. Pages that were never written to take no memory.
  static constexpr size_t kParked = 4096 + 2 * kThreadSlots + kWriterSlots;
  struct Layout {
    Entry thread_slots[kThreadSlots];
    WriterSlot writer_slots[kWriterSlots];
    uint64_t parked_end;  ///< no place from this one on was ever used
    uint64_t blocked_end;
    Entry parked[kParked];
    Entry blocked[kBlocked];
    alignas(4096) uint8_t texts[kWriterSlots][WriterSlot::kMaxAnswerBytes];
  };
  static size_t in_use(const Entry* entries, size_t end);
  size_t free_parked() const { return kParked - in_use(layout()->parked, parked_end()); }
  size_t parked_end() const { return std::min<uint64_t>(layout()->parked_end, kParked); }
  /// Puts an entry into the first free place of `limit`, of which those from `end` on were never
  /// used; nullopt: none is free.
  static std::optional<size_t> put(Entry* entries, uint64_t& end, size_t limit, const Entry& entry);
  /// As park() and put_blocked(), but may use the reserve.
  std::optional<size_t> park_in_reserve(const Entry& entry) {
    return put(layout()->parked, layout()->parked_end, kParked, entry);
  }
  std::optional<size_t> put_blocked_in_reserve(const Entry& entry) {
    return put(layout()->blocked, layout()->blocked_end, kBlocked, entry);
  }

  Layout* layout() const { return memory_.as<Layout>(); }

  Mapping memory_;  ///< a Layout
  std::vector<Leftover> leftovers_;
};

}  // namespace vprocfs
