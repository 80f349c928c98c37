#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

#include "container/inherited_containers.h"
#include "fuse/files/files.h"
#include "fuse/files/kmsg_file.h"
#include "klog/access.h"
#include "klog/logs.h"
#include "view/view.h"

namespace vprocfs {

/// The files dev/kmsg and proc/kmsg, which behave like the kernel's files of these names
/// (kernel/printk/printk.c, fs/proc/kmsg.c) over a container's log. A reader that waits for a
/// record is a request that is answered later; it holds no thread.
class KmsgFiles : public Files {
 public:
  explicit KmsgFiles(ServerParts& parts);
  ~KmsgFiles() override { stop(); }

  Answer entry(const Request& r, NodeId node, const ContainerPtr& owner, uint64_t valid_s) override;
  Answer attributes(const Request& r) override;
  Answer set_attributes(const Request& r) override;
  Answer access(const Request& r) override;
  Answer open(const Request& r) override;
  Answer read(const Request& r) override;
  Answer write(const Request& r) override;
  Answer seek(const Request& r) override;
  Answer poll(const Request& r) override;
  Answer release(const Request& r) override;

  /// Has readers notified from now on, by the notifier's threads.
  void start();
  void stop();

  /// Answers a reader who waits with EINTR; false: that request does not wait here.
  bool interrupt(uint64_t unique);

  /// Takes note of what a worker before us left. A container's open files are made when somebody
  /// asks for one of them, or by adopt_rest(). Before requests are taken.
  void adopt(InheritedContainers& containers);
  /// Makes those that nobody has asked for, as OpenFiles::adopt_rest().
  void adopt_rest(const OpenFiles::IsFound& is_found);
  /// The next worker goes on. `resend`: it will be handed what waits; else that ends now.
  void hand_over(bool resend);

  size_t open_files() const;
  /// Readers who wait for a record.
  size_t waiting() const;

 private:
  using FilePtr = std::shared_ptr<KmsgFile>;

  /// A READ, or what is left of one that waits.
  struct Read {
    RequestInfo info;
    uint64_t offset = 0;
    size_t size = 0;
    uint64_t identity() const { return info.header.unique & ~kFuseUniqueResend; }
  };
  struct Parked {
    Read read;
    FilePtr file;
  };
  /// What one container's files have in common.
  struct Log {
    std::vector<FilePtr> files;
    std::set<uint64_t> parked;  ///< by unique
    /// The highest offset that a reader of dev/kmsg has had while one has it open. Kept, since
    /// whoever asks for the size must not make others wait for a look at each open file.
    uint64_t furthest = 0;
  };

  /// The view of a node of a container's log; nullptr for any other node.
  static const View* log_view(NodeId node);
  /// Makes the open files of a container's log that a worker before us left.
  void take_over(ContainerId id);
  /// Drops one that was left and has been closed.
  void drop_left_locked(uint64_t handle, NodeId node);

  const View& view_of(const Request& r) const { return *parts_.tree.file(node_of(r).index()); }
  static bool is_stream(const View& view) { return view.index == kProcKmsg.index; }
  fuse_attr_out attributes_locked(NodeId node, const View& view) const;
  Answer attributes_in_turn(const Request& r);
  Answer open_in_turn(const Request& r, const ContainerPtr& container);
  Answer read_in_turn(const Request& r, const FilePtr& file);
  Answer write_in_turn(const Request& r, const FilePtr& file);
  Answer seek_in_turn(const Request& r, const FilePtr& file);
  Answer poll_in_turn(const Request& r, const FilePtr& file);
  /// The container whose log this is while somebody has it open, else nullptr.
  ContainerPtr opener_of(ContainerId id) const;
  Answer finish_open(const Request& r, const View& view, const ContainerPtr& container);

  /// Gives a container a log, unless it has one or there is no room for it.
  void begin_log(const ContainerDescription& container);
  bool may_write(const Request& r, const ContainerDescription& container) const;
  /// 0 or an errno: whether a file may be opened.
  int check_open(const Request& r, const View& view, const ContainerDescription& container) const;

  /// Runs `work` on an open file when it is its tenant's turn: who hammers one log keeps nobody
  /// from the lock of all.
  using FileWork = Answer (KmsgFiles::*)(const Request&, const FilePtr&);
  Answer in_turn_of_file(const Request& r, uint64_t handle, FileWork work);

  FilePtr find_locked(uint64_t handle, NodeId node) const;
  FilePtr find_or_restore(uint64_t handle, NodeId node, const View& view);
  void add_locked(const FilePtr& file);
  FilePtr remove_locked(uint64_t handle, NodeId node);
  /// True when the request was answered; else it has to wait.
  bool answer_locked(KmsgFile& file, const Read& read);
  bool answer_record_locked(KmsgFile& file, const Read& read);
  bool answer_stream_locked(KmsgFile& file, const Read& read);
  void park_locked(const Read& read, const FilePtr& file);
  void unpark_locked(std::unordered_map<uint64_t, Parked>::iterator it);
  bool may_park_locked(const KmsgFile& file) const;
  uint64_t furthest_locked(NodeId node) const;
  uint32_t events_locked(const KmsgFile& file) const;
  bool was_written_locked(const KmsgFile& file, const OwnLine& line) const;
  /// Something new is in a log: has its readers notified, in the lane of their tenant.
  void note_change(ContainerId id);
  /// Whoever waits in poll(2) for something new in an open file.
  struct Poller {
    FilePtr file;
    uint64_t poll_handle = 0;
    uint64_t asked = 0;  ///< KmsgFile::times_asked
  };
  /// Answers the readers that wait for something new, and notifies those that poll. Their tenant
  /// pays.
  void notify_readers(ContainerId id);
  /// The former; returns the latter.
  std::vector<Poller> answer_parked(ContainerId id);
  /// Notifies once: the kernel asks again for as long as anybody waits.
  void notify(const Poller& poller);

  const KernelLogOptions& options_;
  KernelLogs& logs_;
  const LogAccess access_;
  mutable std::mutex mutex_;  ///< guards what follows, and what is ours of tenants
  std::unordered_map<uint64_t, FilePtr> files_;  ///< by handle
  std::unordered_map<ContainerId, Log, ContainerIdHash> by_log_;
  std::unordered_map<uint64_t, Parked> parked_;     ///< by unique
  std::unordered_map<uint64_t, uint64_t> adopted_;  ///< handles that were left, by their OPEN
  /// Open files that a worker before us left, until they are taken over.
  std::unordered_map<ContainerId, std::vector<KmsgFile::SavedFile>, ContainerIdHash> left_;
  std::atomic<bool> has_left_{false};         ///< whether there are any
  InheritedContainers* inherited_ = nullptr;  ///< set before requests are taken
  uint64_t next_handle_;

  std::mutex changed_mutex_;       ///< guards what follows; nothing else is locked while it is held
  std::set<ContainerId> changed_;  ///< logs whose readers will be notified
  size_t listener_ = 0;
};

}  // namespace vprocfs
