#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/mapping.h"
#include "base/result.h"
#include "base/wake.h"
#include "state/room.h"

namespace vprocfs {

/// Where a record lies in the state file; 0 is none.
using RecordIndex = uint32_t;

/// What a record holds.
enum class RecordType : uint32_t {
  kOpenFile = 1,
  kSnapshot = 2,
  kHistory = 3,
  kLoad = 4,
  kTrigger = 5,
  kIoHistory = 8,
  kLengths = 9,   ///< of a container's files in contract `tick`; see fuse/files/container_files.h
  kCopies = 10,   ///< the kernel's, of a container's files in contract `exact`; as above
  kReaders = 11,  ///< of these copies; see fuse/files/reader_counts.h
  kLog = 16,      ///< of a container, as the kernel's; see klog/logs.h
  kLogMark = 17,  ///< how far the host's log has been delivered
  kLogFile = 18,  ///< an open file of a container's log; see fuse/files/kmsg_file.h
  kIoLosses = 19,
  kLife = 20,  ///< of a container; see container/life.h
  kEvents = 21,
};

/// Whether records of a type belong to open files, whose number readers decide.
constexpr bool is_of_open_file(RecordType type) {
  return type == RecordType::kOpenFile || type == RecordType::kSnapshot ||
         type == RecordType::kLogFile;
}

/// Whether records of a type change after they are published. Their users keep them consistent.
constexpr bool changes_in_place(RecordType type) {
  return type == RecordType::kOpenFile || type == RecordType::kLog ||
         type == RecordType::kLogMark || type == RecordType::kLogFile ||
         type == RecordType::kReaders;
}

/// What INIT negotiated: a worker that adopts a connection sees no INIT.
struct ConnectionState {
  uint32_t initialised = 0;  ///< 1 once INIT was answered
  uint32_t kernel_major = 0, kernel_minor = 0;
  uint32_t max_readahead = 0;
  uint32_t tick = 0;              ///< 1: files come out of the page cache (contract `tick`)
  uint32_t polled_elsewhere = 0;  ///< 1: files that are polled have a connection of their own
  uint64_t kernel_flags = 0;      ///< what the kernel offered
  uint64_t flags = 0;             ///< what we took
};

/// Memory that outlives a worker: a memfd that the keeper holds and workers map.
///
/// Layout: a header page, a table with one 32-bit length per 256-byte granule, the granules. A
/// record is a run of granules; it exists when the table says so at its first granule, and that
/// word is stored last, so a worker that dies at any moment leaves whole records or none. Only one
/// worker writes at a time (takeover is a hand-over). Nothing read back is trusted: lengths are
/// checked, and records have checksums. A worker that takes the file over drops damaged records.
class StateFile {
 public:
  static constexpr uint32_t kVersion = 2;
  static constexpr size_t kGranule = 256;
  static constexpr size_t kDefaultBytes = size_t{80} << 20;

  /// A new memfd for the state; sparse, so that its size costs nothing.
  static Result<Fd> make_memfd(size_t bytes = kDefaultBytes);

  /// Maps `fd` (kept open by the caller). A fresh (all zero) file is laid out; one of this layout
  /// is adopted; anything else is laid out anew and `ignored` says why. It also says how many
  /// records were dropped because they were damaged.
  static Result<std::unique_ptr<StateFile>> open(int fd, std::string* ignored);

  /// Reserves room for `bytes`; 0: the file is full. Records of open files never lie in the first
  /// two fifths of the file. Those are for what containers have reported, without which counters
  /// would go back, and for logs (LogBounds); both may also lie behind them. Thread-safe. Nothing
  /// survives a crash until publish().
  RecordIndex allocate(RecordType type, size_t bytes);
  /// The bytes that a record of `bytes` takes up.
  static size_t room_for(size_t bytes) { return size_t{granules_for(bytes)} * kGranule; }
  /// Makes an allocated record survive. `bytes` as allocated or fewer.
  void publish(RecordIndex record, RecordType type, uint64_t key, size_t bytes);
  /// Publishes `packed` as a new record, releases `old` (0: there is none), and returns the new
  /// one. A worker that dies meanwhile leaves one of them or both. If the file is full, `old`
  /// stays. `begin`: as for release().
  RecordIndex replace(RecordIndex old, RecordType type, uint64_t key, const std::string& packed,
                      std::string_view begin = {});
  /// Releases a published record. Does nothing if it is no longer there with that type and key and
  /// with bytes that begin with `begin`: its room may be another record's by then. Thread-safe.
  void release(RecordIndex record, RecordType type, uint64_t key, std::string_view begin = {});
  /// Stores `bytes` at `offset` in a published record, under the same conditions as release().
  /// `type`: one that changes_in_place(). Thread-safe.
  void store(RecordIndex record, RecordType type, uint64_t key, std::string_view begin,
             size_t offset, std::string_view bytes);
  /// Releases all records of these types and that key whose bytes begin with `begin`. `types`: none
  /// of open files.
  void release_all(std::initializer_list<RecordType> types, uint64_t key, std::string_view begin);

  uint8_t* data(RecordIndex record);
  /// False when there is no such record of that type and key (or it is torn).
  bool find(RecordIndex record, RecordType type, uint64_t key, size_t* bytes) const;
  /// All published records of a type; `visit` may release them. Used on adoption, before requests
  /// are taken.
  void for_each(RecordType type,
                const std::function<void(RecordIndex, uint64_t key, size_t bytes)>& visit) const;
  /// The same for records of one key, without going through all others: every container does this
  /// several times, and all of them at once after a takeover. `type`: not one of open files.
  /// `content`: a copy, since others may release the record meanwhile.
  void for_each_of(uint64_t key, RecordType type,
                   const std::function<void(RecordIndex, std::string_view content)>& visit) const;

  /// The keys of all records that are not of open files.
  std::vector<uint64_t> keys() const;
  /// Rings when such a record has found no room in the first part, once until watch_room().
  const Wake& lacks_room() const { return lacks_room_; }
  /// Has lacks_room() ring once more when there is no room.
  void watch_room();

  /// 64-bit FNV-1a over words, for the checksums of records.
  static uint64_t checksum(const void* data, size_t bytes);

  /// Repairs the connection's state if it is damaged, and touches nothing else. For the keeper,
  /// which knows the state, and only while there is no worker. False: the file cannot be mapped.
  static bool repair_connection(int fd, const ConnectionState& state);

  ConnectionState connection() const;
  void set_connection(const ConnectionState& state);

 private:
  struct Header;
  struct RecordHeader;

  explicit StateFile(Mapping memory);
  bool adopt(std::string* why);
  void lay_out(bool fresh);
  /// Returns how many damaged records it dropped. `fd`: of the file, whose holes hold no records.
  size_t find_room(int fd);
  void note_end_locked();
  /// The part in which a record lies.
  Room& room_of(RecordIndex record) { return record < others_.first() ? kept_ : others_; }
  const Room& room_of(RecordIndex record) const {
    return record < others_.first() ? kept_ : others_;
  }
  bool intact(RecordIndex record, uint32_t length) const;
  /// Whether there is such a record, whose bytes begin with `begin`. Sets `bytes` to their number.
  bool exists_locked(RecordIndex record, RecordType type, uint64_t key, std::string_view begin,
                     size_t* bytes) const;
  void note_published_locked(RecordIndex record);
  void note_released_locked(RecordIndex record);
  static uint32_t granules_for(size_t bytes);
  std::atomic<uint32_t>* table() const;
  RecordHeader* header_of(RecordIndex record) const;

  const Mapping memory_;
  uint8_t* base_;
  size_t bytes_;
  Header* header_;
  uint32_t granules_ = 0;   ///< usable granules
  size_t data_offset_ = 0;  ///< of granule 0
  const Wake lacks_room_ = Wake::open();
  mutable std::mutex mutex_;
  bool rang_ = false;  ///< lacks_room_, since watch_room()
  Room kept_{1, 1};    ///< the first part of the file: not for open files
  Room others_{1, 1};  ///< the rest of the file
  /// The records of each key that are not of open files; guarded by mutex_.
  std::unordered_map<uint64_t, std::vector<RecordIndex>> by_key_;
};

}  // namespace vprocfs
