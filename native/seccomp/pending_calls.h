#pragma once

#include <linux/seccomp.h>

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
/// The kernel delivers each one only once, so without this its caller would wait for ever after a
/// crash. The kernel itself writes them there (SECCOMP_IOCTL_NOTIF_RECV), so none can be missing.
class PendingCalls {
 public:
  /// Threads that may be working on one.
  static constexpr size_t kThreadSlots = 16;
  /// Writers at most, those that are stuck included.
  static constexpr size_t kWriterSlots = 64;

  struct Entry {
    uint64_t key = 0;              ///< of the notify descriptor, or of LXC's connection
    uint64_t answering = 0;        ///< the notification that LXC's monitor is being answered
    uint32_t sent = 0;             ///< that answer was sent
    uint32_t poisoned = 0;         ///< writing into its caller's memory blocked
    uint32_t blocked = 0;          ///< it waited for a log: its source has gone on without it
    LogSpan log;                   ///< what was taken for it
    seccomp_notif notification{};  ///< `id` 0: none

    bool in_use() const { return key != 0 && (notification.id != 0 || answering != 0); }
  };
  /// What a worker before us left in one of the places for calls that were put aside.
  struct Leftover {
    size_t place;
    Entry entry;
  };

  static Result<Fd> make();
  /// Maps it. False when it is none of ours.
  bool open(int fd);
  bool is_open() const { return static_cast<bool>(memory_); }

  /// Moves a call to another place. Should we die here, it is in two rather than in none. Returns
  /// what was moved.
  static Entry move(Entry& from, Entry& to) {
    to = from;
    // Another process may see this memory after our end: the compiler must keep the order.
    std::atomic_signal_fence(std::memory_order_release);
    from = Entry{};
    return to;
  }

  /// The call that a thread is working on.
  Entry& in_flight(size_t thread) { return layout()->thread_slots[thread]; }
  const Entry& in_flight(size_t thread) const { return layout()->thread_slots[thread]; }
  WriterSlot& writer_slot(size_t index) { return layout()->writer_slots[index]; }
  /// Room for WriterSlot::kMaxAnswerBytes of the answer of a slot. Pages that nobody wrote to take
  /// no memory.
  uint8_t* text(size_t index) { return layout()->texts[index]; }

  /// Whether every thread could put one more call aside.
  bool has_room() const;
  /// Puts a call aside that has to wait for its turn. nullopt: no room, but for what the next
  /// worker finds with threads.
  std::optional<size_t> park(const Entry& entry);
  /// One that was put aside, or is a leftover.
  Entry& parked(size_t place) { return layout()->parked[place]; }

  /// Calls that wait for something that may never come.
  static constexpr size_t kBlocked = 1024;
  /// Places from this one on have never been used.
  size_t blocked_end() const { return layout()->blocked_end; }
  /// Puts one of these aside. nullopt: no room, but for what the next worker finds with writers.
  std::optional<size_t> put_blocked(const Entry& entry);
  Entry& blocked(size_t place) { return layout()->blocked[place]; }
  void drop_blocked(size_t place) { layout()->blocked[place] = Entry{}; }

  /// What workers before us were working on. Each stays in its place until settle(), and all other
  /// places are free. Their writers must have ended, or be stuck for good.
  const std::vector<Leftover>& leftovers();
  void settle(size_t place) { layout()->parked[place] = Entry{}; }

  /// Calls `visit(key, notification)` for all calls that are anywhere here, some of them twice. For
  /// whoever finds that there will be no worker.
  template <typename Visit>
  void for_each(Visit visit) const {
    const auto one = [&visit](const auto& entry) {
      if (entry.key != 0 && entry.notification.id != 0) visit(entry.key, entry.notification);
    };
    for (const Entry& entry : layout()->thread_slots) one(entry);
    for (const Entry& entry : layout()->parked) one(entry);
    for (const Entry& entry : layout()->blocked) one(entry);
    for (const WriterSlot& slot : layout()->writer_slots) one(slot);
  }

  /// The answer to a monitor that a worker before us was about to give, by key; nullptr: none. It
  /// stays there until settle_answer(), which is called once for each that is asked for.
  const Entry* answering(uint64_t key) const;
  void settle_answer(uint64_t key);

 private:
  static constexpr size_t kParked = 128;
  struct Layout {
    Entry thread_slots[kThreadSlots];
    Entry parked[kParked];
    WriterSlot writer_slots[kWriterSlots];
    uint64_t blocked_end;
    Entry blocked[kBlocked];
    alignas(4096) uint8_t texts[kWriterSlots][WriterSlot::kMaxAnswerBytes];
  };
  size_t free_parked() const;
  /// Puts an entry into the first place that is free; nullopt: none is.
  static std::optional<size_t> put(Entry* entries, size_t end, const Entry& entry);
  /// Like put_blocked(), into the reserve for the next worker too.
  std::optional<size_t> reserve_blocked(const Entry& entry);

  Layout* layout() const { return memory_.as<Layout>(); }

  Mapping memory_;  ///< a Layout
  std::vector<Leftover> leftovers_;
};

}  // namespace vprocfs
