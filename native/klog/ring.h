#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "klog/span.h"

namespace vprocfs {

/// One record of a container's log.
struct OwnRecord {
  uint64_t sequence = 0;  ///< counts up by one from record to record of this container
  uint64_t time_us = 0;   ///< of the log's clock, as the container's has it
  uint16_t priority = 6;  ///< facility * 8 + level
  std::string_view text;  ///< bytes, without escapes
};

/// The state of a log that all its readers share.
struct LogMarks {
  uint64_t cleared = 0;  ///< the first record after the last clear (SYSLOG_ACTION_CLEAR)
  LogPosition taken;     ///< destructive readers have taken everything before it
  /// Records of a lower level than this would be printed on a console.
  uint8_t console_level = kDefaultConsoleLevel;
  uint8_t saved_level = 0;  ///< the console's before it was turned off; 0: it was not

  static constexpr uint8_t kDefaultConsoleLevel = 7;
  static constexpr uint64_t kMaxSequence = (uint64_t{1} << 48) - 1;
};

/// A container's log: the latest records, in memory that outlives a worker and that the next one
/// does not trust. A worker that dies at any moment leaves whole records only, and all of them. Not
/// thread-safe.
class LogRing {
 public:
  /// Longer texts are cut off (kernel/printk/internal.h PRINTK_MESSAGE_MAX is 2048).
  static constexpr size_t kLongestText = 1024;
  /// The smallest memory for a new ring.
  static constexpr size_t kMinBytes = 4096;

  /// How far the host's log is delivered, so that no line is added twice.
  struct HostPlace {
    uint64_t group = 0;   ///< first record of the last group that was taken from it, + 1
    uint64_t record = 0;  ///< last record of that group that was, + 1
  };

  /// Borrows the memory, aligned to 8 bytes.
  LogRing(uint8_t* memory, size_t bytes) : memory_(memory), bytes_(bytes) {}

  /// Makes an empty ring.
  void format();
  /// Uses the ring that is in the memory. False: there is none, or it is damaged.
  bool adopt();
  /// Copies all that another ring has, as many records as there is room for.
  void copy_from(const LogRing& other);

  /// Adds a record. Drops the oldest ones if there is no room.
  void append(uint64_t time_us, uint16_t priority, std::string_view text, HostPlace host);
  /// Calls `visit` for the records from `sequence` on, until it returns false. A text is valid
  /// until then.
  void for_each(uint64_t sequence, const std::function<bool(const OwnRecord&)>& visit) const;

  uint64_t first_sequence() const;
  uint64_t next_sequence() const { return state_.next_sequence; }
  HostPlace host() const { return state_.host; }
  /// Positions are never after the next record, but may be of a record that was dropped.
  LogMarks marks() const;
  /// Changes all of them at once, at whatever moment the worker dies.
  void set_marks(const LogMarks& marks);
  /// How much of the room all records take.
  size_t used_bytes() const { return state_.head - state_.tail; }
  /// Whether one more record of any length has room without an old one being dropped.
  bool has_room() const { return room() - (state_.head - state_.tail) >= kLongestText + 64; }

 private:
  struct State {
    uint64_t tail = 0, head = 0;  ///< records lie between; counted in bytes that were ever written
    uint64_t next_sequence = 0;
    uint64_t cleared = 0, taken = 0;  ///< LogMarks: 48 bits of each are a sequence number
    HostPlace host;
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
  void note_place(uint64_t at, uint64_t sequence);
  uint64_t start_of(uint64_t sequence) const;

  /// Where a record begins, as State::tail.
  struct Place {
    uint64_t sequence, at;
  };

  uint8_t* memory_;
  size_t bytes_;
  State state_;
  /// Some records, the oldest first: a reader that has read nearly all of a log does not go through
  /// it. Every worker makes its own.
  std::vector<Place> places_;
};

}  // namespace vprocfs
