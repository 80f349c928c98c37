#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "klog/ring.h"
#include "klog/span.h"
#include "source/container_id.h"
#include "state/state_file.h"

namespace vprocfs {

/// A line for a container's log.
struct OwnLine {
  uint64_t host_sequence = 0;  ///< of the host's record that it was made from
  uint64_t time_us = 0;
  uint16_t priority = 6;
  std::string text;
};

/// What logs may take, in bytes of the state file.
struct LogBounds {
  size_t each = size_t{64} << 10;
  size_t tenant = size_t{256} << 10;  ///< of an outermost container with all nested in it
  size_t all = size_t{16} << 20;      ///< half of it is for what logs begin with
};

/// The logs of all containers. They lie in the state file, which the keeper and the service
/// manager's store hold: so records and their numbers survive whatever serves them, without a file
/// of their own that would have to be written for each record. A log takes nothing until its first
/// record; then it grows as far as the bounds let it, and after that its own oldest records go.
/// Thread-safe.
class KernelLogs {
 public:
  using IsThere = std::function<bool(ContainerId)>;
  /// `is_there`: whether a container has not ended; its log is forgotten when another one finds no
  /// room otherwise. Thread-safe.
  explicit KernelLogs(StateFile& state, IsThere is_there, LogBounds bounds = {});

  /// Takes over what an earlier worker left. Once, before anything else.
  void adopt();

  /// Adds the lines of a group of the host's log, which begins with the record `first`; lines that
  /// are there already are passed over, so that a group that is read again is told once. `banner`
  /// makes a new log's first lines. Returns how many lines were added.
  using Banner = std::function<std::vector<OwnLine>()>;
  size_t add(ContainerId id, ContainerId tenant, uint64_t first, const std::vector<OwnLine>& lines,
             const Banner& banner);

  /// Adds what somebody in the container has written. False: there is no log yet, see begin().
  bool write(ContainerId id, const OwnLine& line);

  struct Record {
    uint64_t sequence = 0;
    uint64_t time_us = 0;
    uint16_t priority = 6;
    std::string text;
  };
  /// The numbers of a log's records.
  struct Ends {
    uint64_t first = 0;  ///< the oldest one that is still there
    uint64_t next = 0;   ///< the number that the next one will have
  };
  /// Records of a log from a number on.
  struct Page : Ends {
    std::vector<Record> records;
  };
  /// False: there is no log yet.
  bool read(ContainerId id, uint64_t from, size_t max_records, Page& out) const;
  /// {} where there is no log yet.
  Ends ends(ContainerId id) const;

  /// Makes the log of a container that has none, as add() does. False: the bounds leave no room.
  bool begin(ContainerId id, ContainerId tenant, const Banner& banner);

  /// What readers left there; nullopt: there is no log yet.
  std::optional<LogMarks> marks(ContainerId id) const;
  /// Has `change` see and change them, with nobody else in between; `next` is the number that the
  /// next record will have. Must not call back. False: there is no log yet.
  using Change = std::function<void(LogMarks& marks, uint64_t next)>;
  bool change_marks(ContainerId id, const Change& change);

  /// What destructive readers, which share one place, have not had (SYSLOG_ACTION_READ and
  /// /proc/kmsg).
  struct Unread {
    uint64_t records = 0;
    size_t bytes = 0;  ///< of syslog_text()
  };
  Unread unread(ContainerId id) const;
  /// Takes up to `max_bytes` unread bytes: whole records, or the beginning of the first one if that
  /// is longer. `taken` is called with the range before it is taken, so that a caller that may die
  /// before its reader has the bytes can store it for again(). It must not call back. Empty: there
  /// is nothing to read.
  using Taken = std::function<void(LogPosition from, LogPosition to)>;
  std::string take(ContainerId id, size_t max_bytes, const Taken& taken = nullptr);
  /// What an earlier worker took, as far as it is still there; it is taken now where it was not.
  std::string again(ContainerId id, LogPosition from, LogPosition to);
  /// Nobody got what take() took: the next one does, unless somebody has taken more.
  void give_back(ContainerId id, LogPosition from, LogPosition to);
  /// Whether take() would give anything.
  bool has_unread(ContainerId id) const;
  /// How many bytes of records there are, hence have to be looked through.
  size_t used_bytes(ContainerId id) const;

  /// The newest records after the last clear that have room in `max_bytes` bytes of syslog_text(),
  /// the oldest of them first (SYSLOG_ACTION_READ_ALL).
  std::string last(ContainerId id, size_t max_bytes) const;
  /// The same, and clears up to the last one of them. `cleared` as `taken` of take().
  std::string last_and_clear(ContainerId id, size_t max_bytes, const Taken& cleared);
  /// What an earlier worker cleared, as again().
  std::string last_again(ContainerId id, LogPosition from, LogPosition to);

  /// Calls `listener` after each time that there is more to be taken from a log, until unlisten().
  /// It must neither wait nor call these two.
  using Listener = std::function<void(ContainerId)>;
  size_t listen(Listener listener);
  /// Waits for a call that is under way.
  void unlisten(size_t token);

  /// Forgets the logs of containers that have ended.
  void forget_ended();

  /// Up to where the host's log has been dealt with: the first record that has not; 0: none was.
  uint64_t mark() const;
  void set_mark(uint64_t sequence);

  size_t size() const;
  size_t bytes() const;
  /// Groups of lines that were told to nobody, since the bounds left no room for a log.
  uint64_t refused() const;

 private:
  struct Log {
    RecordIndex record = 0;
    size_t bytes = 0;
    ContainerId tenant;
    std::unique_ptr<LogRing> ring;
  };
  using Map = std::map<ContainerId, Log>;

  /// Has `use` look at a log with nobody else in between, and returns what that returns; `{}` where
  /// there is no log yet.
  template <typename Use>
  auto with_ring(ContainerId id, Use use) const {
    const std::lock_guard lock(mutex_);
    const auto it = logs_.find(id);
    return it == logs_.end() ? decltype(use(*it->second.ring)){} : use(*it->second.ring);
  }
  /// Room for a log of `bytes`; its record is 0 when there is none.
  Log make_locked(ContainerId tenant, size_t bytes);
  bool has_room_locked(ContainerId tenant, size_t more) const;
  /// For a new log, once those of containers that have ended are forgotten.
  bool make_room(ContainerId tenant);
  void publish_locked(ContainerId id, const Log& log);
  void grow_locked(ContainerId id, Log& log);
  void drop_locked(Map::iterator it);
  void notify_listeners(ContainerId id);

  StateFile& state_;
  const IsThere is_there_;
  const LogBounds bounds_;
  mutable std::mutex mutex_;
  Map logs_;
  std::map<ContainerId, size_t> of_tenants_;  ///< bytes
  size_t bytes_ = 0;
  uint64_t refused_ = 0;
  uint64_t looked_us_ =
      0;  ///< when ended containers were last looked for because of a lack of room
  RecordIndex mark_record_ = 0;
  std::mutex listening_;  ///< guards what follows
  std::map<size_t, Listener> listeners_;
  size_t last_token_ = 0;
};

}  // namespace vprocfs
