#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "container/mirror.h"
#include "container/registry.h"
#include "fuse/container_files.h"
#include "fuse/counters.h"
#include "fuse/kmsg.h"
#include "fuse/measures.h"
#include "fuse/notifier.h"
#include "fuse/open_file.h"
#include "fuse/pacer.h"
#include "fuse/protocol.h"
#include "fuse/reply.h"
#include "fuse/triggers.h"
#include "node/tree.h"

namespace vprocfs {

struct ServerOptions {
  // Each is of one tenant: an outermost container with all that are nested in it.
  uint32_t max_open_per_tenant = 4096;
  /// What the snapshots of its open files may take together; beyond: ENFILE.
  uint64_t max_held_bytes = uint64_t{16} << 20;
  uint64_t renders_per_second = 20000;  ///< 0: no limit
  uint32_t max_triggers_per_tenant = 32;
  uint64_t tick_us = 10000;
  bool tick = false;      ///< asks for the contract `tick` when the connection is made
  size_t connection = 0;  ///< which one it is, below ContainerFiles::kConnections
  /// Whether files are polled here, and take triggers. Else the kernel is told once that nothing
  /// is, and asks no more.
  bool polls = true;
  /// Where the mount is whose files are polled, as a process sees it; "" where it does not. Without
  /// it everything is here.
  std::function<std::string(uint32_t pid)> polled_place;
  LogPlace kernel_logs;  ///< only where their files are in the tree
};

/// Answers requests: the operations of the tree, without any knowledge of single files.
/// Thread-safe: every worker thread calls handle().
class Server {
 public:
  /// `registry` and `host` may be shared with the servers of other connections; all else is its
  /// own.
  Server(const Reply& reply, Registry& registry, HostSource& host, StateFile& state, Tree tree,
         const ServerOptions& options);

  /// Answers one request, or leaves it with its tenant's gate to be answered by whoever has the
  /// turn. Never blocks on another tenant.
  void handle(const Request& request);

  /// Takes over the open files that a dead or retired worker left.
  size_t adopt_open_files();
  void hand_over_open_files();

  const Counters& counters() const { return counters_; }
  const Measures& measures() const { return measures_; }
  /// Requests that wait for their turn, or for their container's budget.
  size_t waiting() const;
  /// Notices to the kernel that wait or are being sent.
  size_t notices() const { return notifier_.pending(); }
  size_t open_files() const { return open_files_.size() + (kmsg_ ? kmsg_->open_files() : 0); }
  /// Readers of kernel logs who wait for a record.
  size_t log_readers() const { return kmsg_ ? kmsg_->waiting() : 0; }
  size_t triggers() const { return triggers_.size(); }
  /// Starts and ends the threads that send notices and that wait for budgets.
  void start_helpers();
  void stop_helpers();

  /// Somebody wrote to a limit: makes the kernel forget files that say something else now.
  void limits_changed();

 private:
  /// The size of a file nobody has read yet: more than most hold, since too large a size is
  /// corrected by the first short read while too small a one cuts sendfile(2) off.
  static constexpr uint64_t kUnknownSize = 4096;
  /// Directories never change: how long the kernel may keep them.
  static constexpr uint64_t kForeverSeconds = 86400;
  /// The handle of files that the kernel caches: nothing is held for them.
  static constexpr uint64_t kCachedHandle = 0;

  struct Waiting;
  using ContainerPtr = std::shared_ptr<Container>;
  using Work = std::function<void(const Request&)>;

  void dispatch(const Request& r);
  /// nullptr unless containers have kernel logs here.
  std::unique_ptr<Kmsg> make_kmsg();
  /// True when the request is about a file of a kernel log, and was taken.
  bool is_for_log(const Request& r);
  /// Counts a request that was answered; one that waits is counted when its turn has come.
  void measure(const Request& r);
  // The handlers of operations.def: the request has at least the argument that its row names.
  void init(const Request& r);
  void unsupported(const Request& r);
  void statfs(const Request& r);
  void ignore(const Request& r);
  void acknowledge(const Request& r);
  void seek(const Request& r);
  void refuse_ioctl(const Request& r);
  void refuse_sync(const Request& r);
  void refuse_creation(const Request& r);
  void refuse_name(const Request& r);
  void refuse_removal(const Request& r);
  void lookup(const Request& r);
  void lookup_container(const Request& r, const std::string& name);
  void lookup_top(const Request& r, const std::string& name, NodeIndex link);
  void lookup_process(const Request& r, std::string_view digits);
  void entry_of(const Request& r, const ContainerPtr& container, const TreeEntry& found,
                uint64_t valid_s);
  void answer_entry(const Request& r, Container& container, const TreeEntry& found,
                    uint64_t valid_s);
  void lookup_entry(const Request& r, NodeId parent, const TreeEntry& entry);
  void access(const Request& r);
  void getattr(const Request& r);
  ContainerFiles::LastOpen last_open(const ContainerPtr& container, const View& view);
  void getattr_file(const Request& r, NodeId node, const View& view, const ContainerPtr& container);
  /// True for files that the kernel may cache in `exact`: they change with limits only.
  bool cacheable(NodeId node, const View& view) const;
  /// Whose notices wait for one another.
  static uint64_t lane_of(const Container& container) { return container.tenant().id().packed(); }
  void replace_cached(uint64_t nodeid, const CachedText& now) const;
  void open_cached(const Request& r, const View& view, const ContainerPtr& container);
  void cached_attributes(const Request& r, NodeId node, const View& view,
                         const ContainerPtr& container);
  void replace_copy(NodeId node, const ContainerPtr& container, const CachedTextPtr& now,
                    std::function<void()> after);
  void release(const Request& r);
  void cached_read(const Request& r, const View& view, const ContainerPtr& container);
  void cached_bytes(const Request& r, const View& view, const ContainerPtr& container);
  void tick_attributes(const Request& r, NodeId node, const View& view,
                       const ContainerPtr& container);
  void tick_read(const Request& r, const View& view, const ContainerPtr& container);
  fuse_attr tick_attr(NodeId node, const View& view, const CachedText& snapshot) const;
  Result<CachedTextPtr> tick_snapshot(const View& view, const ContainerPtr& container,
                                      bool any_age);
  void setattr(const Request& r);
  /// The path in sysfs of a node that is mirrored, or of a mirrored directory of the tree.
  std::optional<std::string> mirror_path(NodeId node);
  /// Whether a request is about a name in a mirrored directory.
  bool in_sysfs(const Request& r) { return mirror_path(NodeId(r.header().nodeid)).has_value(); }
  static Mirror::Ask ask_of(const ContainerPtr& container);
  /// Whether the caller may use a file of sysfs as it could natively.
  bool may_use(const Request& r, const struct stat& file, int mask);
  bool may_reach(const Request& r, const std::string& path);
  fuse_attr mirror_attr(NodeId node, const struct stat& from) const;
  void lookup_mirror_root(const Request& r, NodeId parent, NodeIndex index,
                          const std::string& path);
  void lookup_mirror(const Request& r, NodeId parent, const std::string& directory,
                     const std::string& name);
  void mirror_entry(const Request& r, NodeId parent, const ContainerPtr& container,
                    const std::string& path);
  void getattr_mirror(const Request& r, NodeId node, const std::string& path);
  void open_mirror(const Request& r, const fuse_open_in& in, NodeId node);
  Result<std::string> mirror_text(const std::string& path, const ContainerPtr& container);
  void read_mirror(const Request& r, const fuse_read_in& in, NodeId node);
  void readdir_mirror(const Request& r, NodeId node, const std::string& path);
  void readlink_mirror(const Request& r, NodeId node);
  void access_mirror(const Request& r, const fuse_access_in& in, const std::string& path);
  /// What the page cache is to have of a mirrored file in `tick`.
  Result<CachedTextPtr> mirror_snapshot(NodeId node, const ContainerPtr& container,
                                        const std::string& path, bool any_age);
  void mirror_snapshot_attr(NodeId node, const ContainerPtr& container, const std::string& path,
                            bool any_age, fuse_attr& attr);
  /// True, and counted, when a container's tenant holds as many open files as it may.
  bool full(const ContainerPtr& container);
  void open(const Request& r);
  void opendir(const Request& r);
  void open_file(const Request& r, const View& view, const ContainerPtr& container);
  void finish_open(const Request& r, const std::shared_ptr<OpenFile>& file, std::string text);
  void read(const Request& r);
  void read_file(const Request& r, const std::shared_ptr<OpenFile>& file);
  void reopen(const Request& r);
  void write(const Request& r);
  void arm(const Request& r, const std::shared_ptr<OpenFile>& file);
  void poll(const Request& r);
  void readdir(const Request& r);
  void readlink(const Request& r);
  bool is_link(NodeId node) const;
  std::string polled_target(const Request& r, NodeId node, const std::string& path) const;
  void interrupt(const Request& r);
  void interrupt_again(const Request& r);
  /// Whether two threads, by the numbers that requests have, are of one process.
  bool in_one_process(uint32_t thread, uint32_t other) const;
  /// Answers a request whose caller has been killed. The kernel tells of the first signal only, so
  /// others are looked for in `again_us`, and then less and less often. `was_found`: the last look
  /// found the request.
  void release_killed(uint64_t unique, uint64_t again_us, bool was_found);
  /// Who waits for the answer to a request that waits, or that somebody works on.
  std::optional<uint32_t> caller_of(uint64_t unique) const;
  /// Answers a request that waits, or that somebody works on, with EINTR.
  void answer_interrupted(uint64_t unique);
  /// The containers that the caller may see, ascending.
  std::vector<ContainerId> visible_containers(const Request& r);

  /// False when its tenant has so many requests that wait that this one was answered with ENOMEM.
  bool may_wait(const Request& r, const ContainerPtr& container);
  /// Runs `work` when it is this container's turn; at once for the host.
  void wait_for_turn(const Request& r, const ContainerPtr& container);
  /// One copy leaves the line to be answered. False when it was answered meanwhile.
  bool stop_waiting(const Request& r);
  void pass_gate(const Request& r, const ContainerPtr& container, const Work& work);
  /// Answers what had to wait, in the turn of its tenant.
  void take_turn(const Waiting& waiting);
  Holder holder_of(const Request& r) const;
  void in_turn(const Request& r, const ContainerPtr& container, const Work& work);
  /// `clock`: the caller's, where it is not the container's.
  Result<std::string> render(const View& view, const ContainerPtr& container,
                             const std::optional<Clock>& clock = std::nullopt);
  /// What render() is to be told of a caller.
  std::optional<Clock> clock_of(const Request& r, const View& view, const ContainerPtr& container);
  /// The container that a node belongs to, or the caller's for the caller-identified nodes.
  Result<ContainerPtr> container_of(const Request& r, NodeId node);
  void entry(const Request& r, NodeId node, const View* view, uint64_t size, uint64_t valid_s);
  fuse_attr attributes(NodeId node, const View* view, uint64_t size) const;
  void fail(const Request& r, int errno_value);
  void fail(const Request& r, const Error& error);
  /// A name that leads to a container which was not found.
  void fail_lookup(const Request& r, const Error& error);

  const Reply& reply_;
  Registry& registry_;
  HostSource& host_;
  StateFile& state_;
  const ServerOptions options_;
  const Tree tree_;
  Mirror mirror_;
  OpenFiles open_files_;
  Notifier notifier_;
  Triggers triggers_;
  std::unique_ptr<Kmsg> kmsg_;  ///< nullptr: the tree has no files of kernel logs
  Pacer pacer_;
  Counters counters_;
  Measures measures_;
  /// What the connection was made for: the kernel keeps to it for its life, so we do.
  std::atomic<bool> tick_;
  std::mutex host_opens_mutex_;
  std::map<uint16_t, ContainerFiles::LastOpen>
      host_opens_;  ///< of caller-identified nodes, by the host
  mutable std::mutex waiting_mutex_;
  /// Of one request that waits, or of several copies of it: the kernel hands again what it thinks
  /// lost, and only the copy that came last is the one whose answer it takes.
  struct Line {
    std::weak_ptr<Container> container;
    uint32_t pid = 0;  ///< of the thread that waits for the answer
    uint32_t copies = 0;
  };
  std::unordered_map<uint64_t, Line> waiting_;  ///< by unique
};

}  // namespace vprocfs
