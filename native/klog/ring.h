#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "klog/span.h"

namespace vprocfs {

/// One record of a container's log.
struct OwnRecord {
  uint64_t sequence = 0;  ///< counts up by one from record to record of this container
  uint64_t time_us = 0;   ///< of the log's clock, as the container's has it
  uint16_t priority = 6;  ///< facility * 8 + level
  std::string_view text;  ///< bytes, without escapes
};

/// What readers of a log have in common and leave there.
struct LogMarks {
  uint64_t cleared = 0;  ///< the first record after the last clear (SYSLOG_ACTION_CLEAR)
  LogPosition taken;     ///< what is before it destructive readers have
  /// Records of a lower level than this would be printed on a console.
  uint8_t console_level = kDefaultConsoleLevel;
  uint8_t saved_level = 0;  ///< the console's before it was turned off; 0: it was not

  static constexpr uint8_t kDefaultConsoleLevel = 7;
  static constexpr uint64_t kMaxSequence = (uint64_t{1} << 48) - 1;
};

/// A container's log: the latest records, in memory that outlives a worker and that the next one
/// does not trust. A worker that dies at any moment leaves all records that were added and none in
/// part. Not thread-safe.
class LogRing {
 public:
  /// Longer texts are cut off (kernel/printk/internal.h PRINTK_MESSAGE_MAX is 2048).
  static constexpr size_t kLongestText = 1024;
  /// The least that a ring is made in.
  static constexpr size_t kMinBytes = 4096;

  /// What the ring knows of the host's log, so that nothing is told twice.
  struct HostPlace {
    uint64_t group = 0;   ///< first record of the last group that was taken from it, + 1
    uint64_t record = 0;  ///< last record of that group that was, + 1
  };

  /// Borrows the memory, aligned to 8 bytes.
  LogRing(uint8_t* memory, size_t bytes) : memory_(memory), bytes_(bytes) {}

  /// Makes it an empty one.
  void format();
  /// Whether what is there is a whole ring; then it is used from now on.
  bool adopt();
  /// Has all of another one's records, as far as there is room.
  void copy_from(const LogRing& other);

  /// The oldest ones go where there is no room.
  void append(uint64_t time_us, uint16_t priority, std::string_view text, HostPlace host);
  /// Calls `visit` for the records from `sequence` on, until it returns false. A text is valid
  /// until then.
  void for_each(uint64_t sequence, const std::function<bool(const OwnRecord&)>& visit) const;

  uint64_t first_sequence() const;
  uint64_t next_sequence() const { return state_.next_sequence; }
  HostPlace host() const { return state_.host; }
  /// Never after the next record; one that is gone already may be meant.
  LogMarks marks() const;
  /// Keeps all of them at once, whenever the worker dies.
  void set_marks(const LogMarks& marks);
  /// How much of the room all records take.
  size_t used_bytes() const { return state_.head - state_.tail; }
  /// Whether one more record of the longest kind has room without an old one's going.
  bool has_room() const { return room() - (state_.head - state_.tail) >= kLongestText + 64; }

 private:
  struct State {
    uint64_t tail = 0,
             head = 0;  ///< bytes written since the beginning; the ring is what is between
    uint64_t next_sequence = 0;
    uint64_t cleared = 0, taken = 0;  ///< LogMarks: 48 bits of each are a sequence number
    HostPlace host;
    uint64_t checksum = 0;
  };
  struct Header;
  struct Entry {
    uint32_t bytes = 0;  ///< of this and the text, rounded up to 8
    uint16_t priority = 0;
    uint16_t text_bytes = 0;
    uint64_t sequence = 0, time_us = 0;
  };

  Header* header() const;
  size_t room() const;
  void copy_in(uint64_t at, const void* from, size_t bytes);
  void copy_out(uint64_t at, void* to, size_t bytes) const;
  bool entry_at(uint64_t at, Entry& out) const;
  void commit();
  static bool intact(const State& state);
  static uint64_t checksum_of(const State& state);

  uint8_t* memory_;
  size_t bytes_;
  State state_;
};

}  // namespace vprocfs
