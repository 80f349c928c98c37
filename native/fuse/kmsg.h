#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "container/registry.h"
#include "fuse/kmsg_file.h"
#include "fuse/protocol.h"
#include "fuse/reply.h"
#include "klog/access.h"
#include "klog/logs.h"
#include "state/state_file.h"
#include "view/view.h"

namespace vprocfs {

/// Where kernel logs are, for whoever serves files of them.
struct LogPlace {
  KernelLogs* logs = nullptr;  ///< nullptr: there are no such files
  /// What the log of a container begins with. Reads its cgroups.
  std::function<std::vector<OwnLine>(const ContainerDescription&)> banner;
  int procfs_fd = -1;
};

/// Serves dev/kmsg and proc/kmsg: the kernel's own files of these names over a container's log
/// (kernel/printk/printk.c, fs/proc/kmsg.c). A reader who waits for a record is a request that is
/// answered later: it holds no thread. Thread-safe.
class Kmsg {
 public:
  using ContainerPtr = std::shared_ptr<Container>;
  using Work = std::function<void(const Request&)>;

  /// What it uses of the server that it is a part of.
  struct Uses {
    const Reply& reply;
    Registry& registry;
    StateFile& state;
    LogPlace place;
    /// As Server has them.
    std::function<void(const Request&, int errno_value)> fail;
    std::function<void(const Request&, const Error&)> fail_with;
    std::function<bool(const ContainerPtr&)> full;
    std::function<void(const Request&, const ContainerPtr&, const Work&)> in_turn;
    std::function<fuse_attr(NodeId, const View&, uint64_t size)> attributes;
  };
  explicit Kmsg(Uses uses);
  ~Kmsg();

  void start();
  void stop();

  /// A request about a file of it. False: it is none of those that are answered here.
  bool handle(const Request& r, const View& view);
  /// Answers a reader who waits with EINTR; false: that request does not wait here.
  bool interrupt(uint64_t unique);

  /// Takes over what a worker before us left.
  void adopt();
  /// The next worker goes on. `resend`: it will be handed what waits; else that ends now.
  void hand_over(bool resend);

  size_t open_files() const;
  /// Readers who wait for a record.
  size_t waiting() const;

 private:
  using FilePtr = std::shared_ptr<KmsgFile>;

  /// A READ, or what is left of one that waits.
  struct Read {
    uint64_t unique = 0;
    uint64_t offset = 0;
    size_t size = 0;
    uint64_t identity() const { return unique & ~kFuseUniqueResend; }
  };
  struct Parked {
    Read read;
    FilePtr file;
  };
  /// What one container's files have in common.
  struct Log {
    std::vector<FilePtr> files;
    std::set<uint64_t> parked;  ///< by unique
  };
  /// How much its containers may write.
  struct Allowance {
    uint64_t tokens = 0;
    uint64_t at_us = 0;
  };

  void open(const Request& r, const View& view);
  void finish_open(const Request& r, const View& view, const ContainerPtr& container);
  void getattr(const Request& r, const View& view);
  void setattr(const Request& r, const View& view);
  void access(const Request& r, const View& view);
  void read(const Request& r, const View& view);
  void write(const Request& r, const View& view);
  void append(const Request& r, const FilePtr& file);
  void seek(const Request& r, const View& view);
  void poll(const Request& r, const View& view);
  void release(const Request& r);

  /// Runs `work` when the container has a log, or there is no room for one.
  void with_log(const Request& r, const ContainerPtr& container, const Work& work);
  bool may_write(const Request& r, const ContainerDescription& container) const;
  /// 0 or an errno: whether a file may be opened.
  int check_open(const Request& r, const View& view, const ContainerDescription& container) const;

  FilePtr find_locked(uint64_t handle, NodeId node) const;
  FilePtr find_or_restore_locked(uint64_t handle, NodeId node, const View& view);
  void add_locked(const FilePtr& file);
  FilePtr remove_locked(uint64_t handle, NodeId node);
  /// True when the request was answered; else it has to wait.
  bool answer_locked(KmsgFile& file, const Read& read);
  bool answer_record_locked(KmsgFile& file, const Read& read);
  bool answer_stream_locked(KmsgFile& file, const Read& read);
  void give_back(const KmsgFile& file);
  void park_locked(const Read& read, const FilePtr& file);
  void unpark_locked(std::unordered_map<uint64_t, Parked>::iterator it);
  bool may_park_locked(const KmsgFile& file) const;
  uint64_t furthest_locked(NodeId node) const;
  uint32_t events_locked(const KmsgFile& file) const;
  bool was_written_locked(const KmsgFile& file, const OwnLine& line) const;
  bool take_allowance_locked(ContainerId tenant);
  void run();
  /// Something new is in a log: answers who waits for it, and tells who polls.
  void tell(ContainerId id);

  const Uses uses_;
  KernelLogs& logs_;
  const LogAccess access_;
  mutable std::mutex mutex_;                     ///< guards what follows
  std::unordered_map<uint64_t, FilePtr> files_;  ///< by handle
  std::unordered_map<ContainerId, Log, ContainerIdHash> by_log_;
  std::unordered_map<uint64_t, Parked> parked_;  ///< by unique
  std::map<ContainerId, size_t> parked_of_;      ///< of tenants
  std::unordered_map<uint64_t, uint64_t> left_;  ///< handles that were adopted, by their OPEN
  std::map<ContainerId, Allowance> allowances_;  ///< of tenants
  uint64_t next_handle_;

  std::mutex told_mutex_;  ///< guards what follows; nothing else is locked while it is held
  std::condition_variable wake_;
  std::set<ContainerId> told_;  ///< logs with something new
  bool stopping_ = false;
  size_t listener_ = 0;
  std::thread thread_;
};

}  // namespace vprocfs
