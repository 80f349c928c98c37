#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>

#include "base/thread.h"
#include "container/inherited_containers.h"
#include "fuse/counters.h"
#include "fuse/files/all_files.h"
#include "fuse/measures.h"
#include "fuse/protocol.h"
#include "fuse/server_parts.h"
#include "node/tree.h"

namespace vprocfs {

/// Answers a connection's requests: finds each one's handler, and the way in which its node is
/// served (AllFiles). Knows no single file. Thread-safe: every worker thread calls handle().
class Server {
 public:
  /// `registry` and `host` may be shared with the servers of other connections; all else is its
  /// own.
  Server(const Reply& reply, Registry& registry, HostSource& host, StateFile& state, Tree tree,
         const ServerOptions& options);
  ~Server() { stop_rest(); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Answers one request, or leaves it with its tenant's gate to be answered by whoever has the
  /// turn. Never blocks on another tenant.
  void handle(const Request& request);

  /// Takes note of the open files that a dead or retired worker left. Before requests are taken:
  /// each is taken over when somebody asks for it.
  void adopt_open_files();
  /// Has a thread take over those that nobody has asked for. Once requests are taken.
  void adopt_rest();
  void hand_over_open_files();

  const Tree& tree() const { return parts_.tree; }
  const Counters& counters() const { return parts_.answers.counters; }
  const Measures& measures() const { return parts_.answers.measures; }
  /// Requests that wait for their turn, or for their container's budget.
  size_t waiting() const { return parts_.turns.waiting(); }
  /// Notices to the kernel that wait or are being sent.
  size_t notices() const { return parts_.notifier.pending(); }
  size_t open_files() const { return parts_.open_files.size() + files_.open_files(); }
  /// Readers of kernel logs who wait for a record.
  size_t log_readers() const { return files_.log_readers(); }
  size_t triggers() const { return parts_.triggers.size(); }
  /// Starts and ends the threads that send notices and that wait for budgets; stop_turns() those
  /// that answer requests, and is first.
  Result<bool> start_helpers();
  /// While requests are still taken: lets go of what notices may wait for (a READ that waits for
  /// its budget holds its page); has them sent, until `by` at the latest; then sends no more.
  /// `to_next`: the kernel asks the next worker again what we leave. See Notifier.
  void hurry() { parts_.turns.hurry(); }
  void settle_notices(Notifier::Deadline by) { parts_.notifier.settle(by); }
  void close_notices(Notifier::Deadline by, bool to_next);
  /// Leaves the requests that wait to the next worker, which the kernel asks again.
  void leave_waiting() { parts_.turns.leave(); }
  void stop_turns();
  void stop_helpers();
  /// Tries again to have the threads of these where none were to be had.
  void reinforce();

  /// Somebody wrote to a limit: makes the kernel forget files of this container that say something
  /// else now. False: it has to be called once more.
  bool limits_changed(const std::shared_ptr<Container>& container) {
    return files_.limits_changed(container);
  }
  /// Whether that has something to look at.
  bool has_copies(Container& container) const { return files_.has_copies(container); }

 private:
  /// The container whose tenant pays for a request: the node's; or its caller's where the node is
  /// of no container, or of none that is known. nullptr: nobody.
  ServerParts::ContainerPtr payer_of(const Request& r) const;
  /// How long a request may be left for later without holding up others'.
  enum class Deferral : uint8_t {
    kNone,
    kShort,  ///< others may wait for the directory: not until there is budget
    kLong,
  };
  static Deferral deferral_of(const Request& r);
  /// Does the work of a request that `payer` pays for: in its turn if the container of the node has
  /// to be found first, because a search may go through thousands of cgroups.
  Answer dispatch_for(const Request& r, const ServerParts::ContainerPtr& payer);
  Answer dispatch(const Request& r);
  /// Has a handler of operations.def do its work: the request has at least the argument that its
  /// row names.
  template <auto kHandler>
  static Answer call(Server& server, const Request& r);
  Answer init(const Request& r);
  /// The kernel remembers it and stops asking: FLUSH, xattrs, ...
  Answer unsupported(const Request&) { return Answer::tell(ENOSYS); }
  Answer statfs(const Request& r);
  /// Ids are derived: there is nothing to forget.
  Answer ignore(const Request&) { return Answer::none(); }
  Answer acknowledge(const Request&) { return Answer::ok(); }
  Answer refuse_ioctl(const Request&) { return Answer::error(ENOTTY); }
  /// As of a file without an fsync method.
  Answer refuse_sync(const Request&) { return Answer::error(EINVAL); }
  Answer refuse_removal(const Request& r);
  Answer interrupt(const Request& r);
  Answer read(const Request& r);
  Answer write(const Request& r);

  /// Ends the thread of adopt_rest(). What it has not taken over stays as it was left.
  void stop_rest();

  Files& files_of(const Request& r) { return files_.of(NodeId(r.header().nodeid)); }

  ServerParts parts_;
  InheritedContainers inherited_{parts_.registry};
  AllFiles files_;
  std::atomic<bool> stopped_{false};
  Thread rest_;  ///< of adopt_rest()
};

}  // namespace vprocfs
