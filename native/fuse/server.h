#pragma once

#include <cstdint>
#include <memory>

#include "fuse/all_files.h"
#include "fuse/counters.h"
#include "fuse/kmsg.h"
#include "fuse/measures.h"
#include "fuse/protocol.h"
#include "fuse/serving.h"
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

  /// Answers one request, or leaves it with its tenant's gate to be answered by whoever has the
  /// turn. Never blocks on another tenant.
  void handle(const Request& request);

  /// Takes over the open files that a dead or retired worker left.
  size_t adopt_open_files();
  void hand_over_open_files();

  const Counters& counters() const { return serving_.answers.counters; }
  const Measures& measures() const { return serving_.answers.measures; }
  /// Requests that wait for their turn, or for their container's budget.
  size_t waiting() const { return serving_.turns.waiting(); }
  /// Notices to the kernel that wait or are being sent.
  size_t notices() const { return serving_.notifier.pending(); }
  size_t open_files() const {
    return serving_.open_files.size() + (kmsg_ ? kmsg_->open_files() : 0);
  }
  /// Readers of kernel logs who wait for a record.
  size_t log_readers() const { return kmsg_ ? kmsg_->waiting() : 0; }
  size_t triggers() const { return serving_.triggers.size(); }
  /// Starts and ends the threads that send notices and that wait for budgets.
  void start_helpers();
  void stop_helpers();

  /// Somebody wrote to a limit: makes the kernel forget files that say something else now.
  void limits_changed() { files_.limits_changed(); }

 private:
  void dispatch(const Request& r);
  /// nullptr unless containers have kernel logs here.
  std::unique_ptr<Kmsg> make_kmsg();
  /// True when the request is about a file of a kernel log, and was taken.
  bool is_for_log(const Request& r);
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
  void interrupt(const Request& r);
  void lookup(const Request& r);
  void getattr(const Request& r);
  void setattr(const Request& r);
  void access(const Request& r);
  void opendir(const Request& r);
  void readdir(const Request& r);
  void readlink(const Request& r);
  void open(const Request& r);
  void read(const Request& r);
  void write(const Request& r);
  void poll(const Request& r);
  void release(const Request& r);

  Files& files_of(const Request& r) { return files_.of(NodeId(r.header().nodeid)); }
  const Reply& reply() const { return serving_.answers.reply; }
  void fail(const Request& r, int errno_value) { serving_.answers.fail(r, errno_value); }

  Serving serving_;
  AllFiles files_;
  std::unique_ptr<Kmsg> kmsg_;  ///< nullptr: the tree has no files of kernel logs
};

}  // namespace vprocfs
