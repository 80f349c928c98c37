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
#include "tenant/identity.h"

namespace vprocfs {

/// A line for a container's log.
struct OwnLine {
  uint64_t host_sequence = 0;  ///< of the host's record that it was made from
  uint64_t time_us = 0;
  uint16_t priority = 6;
  std::string text;
};

/// How many bytes of the state file logs may take.
struct LogBounds {
  size_t each = size_t{64} << 10;
  size_t tenant = size_t{256} << 10;  ///< the logs of an outermost container and all nested in it
  size_t all = size_t{16} << 20;      ///< logs that have grown take at most half of it
};

/// The logs of all containers. They lie in the state file, which the keeper and the service
/// manager's store hold, so records and their numbers outlive the worker, and no file is written
/// for each record. A log takes nothing until its first record. Then it grows as far as the bounds
/// let it, and after that each new record overwrites its oldest ones. Thread-safe.
class KernelLogs {
 public:
  using IsThere = std::function<bool(ContainerId, const TenantIdentity&)>;
  /// `is_there`: whether a container has not ended; thread-safe. Logs of containers that have ended
  /// are forgotten when a new log finds no room.
  explicit KernelLogs(StateFile& state, IsThere is_there, LogBounds bounds = {});

  /// Takes over what an earlier worker left. Once, before anything else.
  void adopt();

  /// Adds the lines of a group of the host's log, which begins with the record `first`. Skips lines
  /// that the log has already, so a group may be added again after a crash. `banner` makes the
  /// first lines of a new log. Returns how many lines were added.
  using Banner = std::function<std::vector<OwnLine>()>;
  size_t add(ContainerId id, const TenantIdentity& tenant, uint64_t first,
             const std::vector<OwnLine>& lines, const Banner& banner);

  /// Adds what a process in the container has written. False: there is no log yet; see begin().
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
  bool begin(ContainerId id, const TenantIdentity& tenant, const Banner& banner);

  /// What readers left there; nullopt: there is no log yet.
  std::optional<LogMarks> marks(ContainerId id) const;
  /// Lets `change` read and change the marks, with nobody else in between; `next` is the number
  /// that the next record will have. It must not call back. False: there is no log yet.
  using Change = std::function<void(LogMarks& marks, uint64_t next)>;
  bool change_marks(ContainerId id, const Change& change);

  /// What destructive readers (SYSLOG_ACTION_READ and /proc/kmsg), which share one position, have
  /// not taken yet.
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
  /// The text of a range that take() told of, as far as the records are still there. Takes the
  /// range if an earlier worker died before it did.
  std::string again(ContainerId id, LogPosition from, LogPosition to);
  /// Undoes a take() whose text no reader got, unless more has been taken since.
  void give_back(ContainerId id, LogPosition from, LogPosition to);
  /// Whether take() would give anything.
  bool has_unread(ContainerId id) const;
  /// How many bytes the records take, which a reader of them has to go through.
  size_t used_bytes(ContainerId id) const;

  /// The newest records since the last clear that fit into `max_bytes` of syslog_text(), the oldest
  /// of them first (SYSLOG_ACTION_READ_ALL).
  std::string last(ContainerId id, size_t max_bytes) const;
  /// The same, and clears the log up to the last of them. `cleared` as `taken` of take().
  std::string last_and_clear(ContainerId id, size_t max_bytes, const Taken& cleared);
  /// As again(), for a range that last_and_clear() told of.
  std::string last_again(ContainerId id, LogPosition from, LogPosition to);

  /// Calls `listener` whenever there is more to take from a log, until unlisten(). It must not
  /// wait, nor call listen() or unlisten().
  using Listener = std::function<void(ContainerId)>;
  size_t listen(Listener listener);
  /// Waits until the listener is not running.
  void unlisten(size_t token);

  /// Forgets the logs of containers that have ended; `of`: only those of this tenant.
  void forget_ended(const TenantIdentity* of = nullptr);

  /// The first record of the host's log that is not delivered yet; 0: none is.
  uint64_t mark() const;
  void set_mark(uint64_t sequence);

  size_t size() const;
  size_t bytes() const;
  /// How often the bounds left no room for a new log.
  uint64_t refused() const;

 private:
  struct Log {
    RecordIndex record = 0;
    size_t bytes = 0;
    TenantIdentity tenant;
    std::unique_ptr<LogRing> ring;
  };
  struct OfTenant {
    size_t bytes = 0;
    uint64_t looked_us = 0;  ///< as of KernelLogs, for the tenant's bound
  };
  using Map = std::map<ContainerId, Log>;

  /// Calls `use` with a log's ring under the lock and returns its result; `{}` if there is no log.
  template <typename Use>
  auto with_ring(ContainerId id, Use use) const {
    const std::lock_guard lock(mutex_);
    const auto it = logs_.find(id);
    return it == logs_.end() ? decltype(use(*it->second.ring)){} : use(*it->second.ring);
  }
  enum class Begun : uint8_t { kRefused, kEarlier, kNow };
  /// As begin(), without telling listeners.
  Begun begin_unheard(ContainerId id, const TenantIdentity& tenant, const Banner& banner);
  /// A new empty log of `bytes`; its record is 0 if there is no room.
  Log make_locked(const TenantIdentity& tenant, size_t bytes);
  bool has_room_locked(const TenantIdentity& tenant, size_t more) const;
  bool tenant_has_room_locked(const TenantIdentity& tenant, size_t more) const;
  /// When ended containers were last looked for in vain because of the bound that leaves no room.
  uint64_t& looked_us_locked(const TenantIdentity& tenant);
  /// Whether a new log has room, once the logs of ended containers are forgotten if necessary.
  bool make_room(const TenantIdentity& tenant);
  /// Counts a log as the tenant's.
  void charge_locked(Log& log, const TenantIdentity& tenant);
  void give_back_locked(const Log& log);
  void publish_locked(ContainerId id, const Log& log);
  void grow_locked(ContainerId id, Log& log);
  void drop_locked(Map::iterator it);
  void notify_listeners(ContainerId id);

  StateFile& state_;
  const IsThere is_there_;
  const LogBounds bounds_;
  std::mutex looking_;  ///< of one that looks for ended containers to make room; before mutex_
  mutable std::mutex mutex_;
  Map logs_;
  std::map<TenantIdentity, OfTenant> of_tenants_;
  size_t bytes_ = 0;
  uint64_t refused_ = 0;
  uint64_t looked_us_ = 0;  ///< see looked_us_locked()
  RecordIndex mark_record_ = 0;
  std::mutex listening_;  ///< guards what follows
  std::map<size_t, Listener> listeners_;
  size_t last_token_ = 0;
};

}  // namespace vprocfs
