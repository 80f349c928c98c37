#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "container/container.h"
#include "node/node_id.h"
#include "state/state_file.h"

namespace vprocfs {

/// The content of a file at one moment. Lies in the state file, so that a reader half way through
/// goes on with the same bytes after a takeover; in private memory where the state file is full.
class Snapshot {
 public:
  Snapshot(StateFile& state, std::string text, uint64_t taken_us);
  /// One that a worker before us made. `taken_us`: as if it had been made then.
  Snapshot(StateFile& state, RecordIndex record, size_t size, uint64_t taken_us);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  std::string_view text() const { return text_; }
  /// At `now_us`, CLOCK_BOOTTIME; of one made before a takeover since that.
  uint64_t age_us(uint64_t now_us) const { return now_us - std::min(now_us, taken_us_); }
  /// 0: in private memory.
  RecordIndex record() const { return record_; }
  /// The memory that it takes.
  size_t room() const;
  /// The snapshot is to outlive us.
  void keep() { keep_ = true; }

 private:
  StateFile& state_;
  RecordIndex record_ = 0;
  std::string private_text_;
  std::string_view text_;
  uint64_t taken_us_;  ///< CLOCK_BOOTTIME
  bool keep_ = false;
};

/// One open file: which file of which container, and what its reader is being shown.
class OpenFile {
 public:
  OpenFile(NodeId node, const View* view, std::shared_ptr<Container> container,
           std::optional<PidNamespaceClock> clock = std::nullopt);
  ~OpenFile();

  const NodeId node;
  const View* const view;
  /// Container whose figures are shown; nullptr for the host.
  const std::shared_ptr<Container> container;
  /// Clock of the opener, if it differs from the container's; not known if the file was adopted.
  const std::optional<PidNamespaceClock> clock;

  std::shared_ptr<Snapshot> snapshot() const;
  /// Whether a worker before us opened it.
  bool adopted() const { return adopted_; }
  /// Somebody reads it, wherever.
  void note_read() { read_ = true; }

 private:
  friend class OpenFiles;
  /// Tells the next worker what its reader knows.
  void keep_progress_locked(StateFile& state);
  /// Takes another snapshot, on its container's account.
  void hold(std::shared_ptr<Snapshot> snapshot);
  mutable std::mutex mutex_;
  std::shared_ptr<Snapshot> snapshot_;
  RecordIndex record_ = 0;
  bool adopted_ = false;                ///< set before anybody else knows it
  std::atomic<bool> begun_{false};      ///< somebody has read from offset 0
  std::atomic<bool> read_{false};       ///< somebody has read any of it
  std::atomic<uint64_t> announced_{0};  ///< the size that somebody knows; 0: nobody knows one
};

/// All open files of a connection, kept so that another worker can take them over. The only offset
/// arithmetic is here. Thread-safe.
class OpenFiles {
 public:
  explicit OpenFiles(StateFile& state) : state_(state), next_handle_(first_handle()) {}
  ~OpenFiles();

  /// Where a worker begins to count handles. They are never given out twice in the life of a
  /// connection, whatever became of the state file.
  static uint64_t first_handle();
  /// Whether a handle is one of those.
  static bool is_handle(uint64_t handle);

  /// Registers an open file that is shown `text` and returns its handle. `request` is the OPEN's
  /// identity: when the same OPEN comes again after a takeover, what the dead worker had registered
  /// is given back first.
  uint64_t insert(std::shared_ptr<OpenFile> file, std::string text, uint64_t request);

  /// Registers a file under a handle that another worker gave out and that we know nothing of.
  /// Another node's file of the same handle stays.
  void restore(uint64_t handle, std::shared_ptr<OpenFile> file, std::string text);

  /// The kernel names a file by node and handle: a handle alone proves nothing.
  std::shared_ptr<OpenFile> find(uint64_t handle, NodeId node);
  void erase(uint64_t handle, NodeId node);
  /// Whether a read needs a new snapshot.
  enum class Renewal {
    kNone,
    kUnlessLonger,  ///< than the size that its reader knows: he would not see the end
    kAlways,
  };
  /// Of a read at `offset`: a repeated read at offset 0 needs one, and the first one if the
  /// snapshot taken at open is older than `max_age_us`. Where its size was reported, that one may
  /// be a second old, and a minute if a new one would be longer; and since tail(1) reads a file
  /// twice, the one of a repeated read may then be a second old, too. A reader that was shown a
  /// longer one no longer counts as one that knows a size.
  Renewal wants_renewal(OpenFile& file, uint64_t offset, uint64_t now_us, uint64_t max_age_us);
  /// The size of what a file holds, for a caller that will read no more than that.
  uint64_t announce_size(OpenFile& file);
  /// Whether to tell the size of a new snapshot rather than of this one: it is too old to be shown,
  /// and nobody has begun to read it.
  static bool is_stale(const OpenFile& file, uint64_t now_us, uint64_t max_age_us);
  /// Shows an open file's reader `text` from now on. Where there is none, or it is longer and
  /// `renewal` forbids that, the last good snapshot stays.
  void renew(OpenFile& file, Result<std::string> text, Renewal renewal = Renewal::kAlways);
  /// The bytes for a read.
  static std::string_view slice(std::string_view text, uint64_t offset, size_t size);

  /// Makes one of a node and a container, which may have to be found first. Never nullptr.
  using Make = std::function<std::shared_ptr<OpenFile>(NodeId, ContainerId)>;
  /// Takes note of what a dead worker left. Drops open files of nodes that `is_known` does not
  /// know, and snapshots that no open file holds. Each open file is made when somebody asks for it,
  /// or by adopt_rest(), so that no reader waits until the containers of others are found. Before
  /// requests are taken.
  void adopt(const std::function<bool(NodeId)>& is_known, Make make);
  /// Whether a container is known, so that nobody has to wait for it.
  using IsFound = std::function<bool(ContainerId)>;
  /// Makes those that nobody has asked for, of containers for which `is_found`.
  void adopt_rest(const IsFound& is_found);
  /// The node of a container's open file that was left and has not been made yet. No two of these
  /// have the same handle.
  std::optional<NodeId> left_node(uint64_t handle) const;
  /// Gives up without releasing anything in the state file: the next worker adopts it.
  void hand_over();

  size_t size() const;

 private:
  /// An open file that a worker before us left.
  struct Left {
    RecordIndex record = 0, snapshot = 0;
    size_t size = 0;  ///< of the snapshot
    NodeId node{0};
    ContainerId container;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_multimap<uint64_t, std::shared_ptr<OpenFile>> files;  ///< by handle
    std::unordered_map<uint64_t, Left> left;  ///< by handle; those that are not in files
    /// files.end() when there is none of that handle and node.
    decltype(files)::iterator find(uint64_t handle, NodeId node);
    /// left.end() likewise.
    decltype(left)::iterator find_left(uint64_t handle, NodeId node);
  };
  Shard& shard(uint64_t handle) const { return shards_[handle % shards_.size()]; }
  /// The snapshot of a text that was made just now.
  std::shared_ptr<Snapshot> take(std::string text);
  void write_record(OpenFile& file, uint64_t handle, uint64_t request);
  /// Makes one that was left, if it still is.
  void take_over(uint64_t handle);

  StateFile& state_;
  Make make_;  ///< set before requests are taken
  mutable std::array<Shard, 16> shards_;
  std::mutex adopted_mutex_;
  struct AdoptedHandle {
    uint64_t handle;
    NodeId node;
  };
  std::unordered_map<uint64_t, AdoptedHandle> adopted_by_request_;  ///< by the OPEN's identity
  std::atomic<uint64_t> next_handle_;
};

}  // namespace vprocfs
