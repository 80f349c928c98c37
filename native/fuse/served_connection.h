#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "fuse/loop.h"
#include "fuse/reply.h"
#include "fuse/server.h"
#include "state/state_file.h"

namespace vprocfs {

/// Where a connection is mounted, and by whom.
struct ConnectionPlace {
  std::string mountpoint;  ///< "": there is no such connection
  /// Handed down by a keeper; -1: mount by ourselves with a state file of our own.
  int fuse_fd = -1;
  int state_fd = -1;
  uint64_t device = 0;  ///< of its file system, as the keeper knows it; 0: it does not say
};

/// One connection to the kernel with all that answers it: what it reads the host and containers
/// through is shared with others, and borrowed.
class ServedConnection {
 public:
  struct Options {
    ConnectionPlace place;
    std::string type, source;
    size_t max_threads = 64;
    ServerOptions server;
  };
  explicit ServedConnection(Options options) : options_(std::move(options)) {}
  ~ServedConnection();

  /// Mounts, or takes over what the keeper holds. Nothing is taken from the kernel yet.
  Result<bool> connect();
  /// After connect(). The options of the server may say more by now.
  ServerOptions& server_options() { return options_.server; }
  void make_server(Registry& registry, HostSource& host, Tree tree);
  /// Takes over what the worker before us left, and requests from then on. After
  /// Server::start_helpers(). Error: there is no thread for it.
  Result<bool> start(Loop::OnEnd on_end);
  Result<bool> wait_initialised() const;

  /// Nobody needs to be told of the end.
  void expect_end();
  /// `lazy`: whether it was busy.
  Result<bool> unmount(bool& lazy) const;
  /// Takes no more requests. Those in hand go on.
  void refuse_requests();
  /// Answers what is in hand. After refuse_requests() of all: what waits for a tenant's turn is
  /// answered by whoever has it, and others may come as long as any connection takes them.
  void stop_requests();
  /// Lets go of all that is not its own. After Server::stop_helpers().
  void close();

  Server* server() const { return server_.get(); }
  StateFile& state() const { return *state_; }
  ConnectionState connection() const { return state_ ? state_->connection() : ConnectionState{}; }
  /// Why the state file of the worker before us was not taken over; empty when it was.
  const std::string& state_ignored() const { return state_ignored_; }
  /// Worker threads; from any thread.
  size_t threads() const;
  /// Tries again to have a thread for what comes next where none was to be had. See Threads.
  void reinforce();
  /// True from start() to stop_requests().
  bool started() const { return loop_ != nullptr; }
  /// Whether the kernel asks the next worker again what we leave.
  bool resends() const { return inherited() && has_resend(); }
  /// True once the connection has ended by itself.
  bool ended() const { return loop_ && loop_->ended(); }
  /// True while some thread waits for requests.
  bool serving() const { return loop_ && loop_->idle(); }
  /// Where it is mounted as a process sees it; "" where its root is another one, or when somebody
  /// has unmounted it. `procfs_fd` is of the host's procfs.
  std::string place_for(int procfs_fd, uint32_t pid) const;

 private:
  bool has_resend() const { return (connection().flags & kFuseHasResend) != 0; }
  bool inherited() const { return options_.place.fuse_fd >= 0; }
  /// Whether the file system that a keeper holds has been unmounted or aborted.
  bool gone() const;

  Options options_;
  std::string state_ignored_;
  Fd own_state_fd_, fuse_fd_;
  std::unique_ptr<StateFile> state_;
  std::unique_ptr<Reply> reply_;
  std::unique_ptr<Server> server_;
  uint64_t device_ = 0;            ///< of the mounted file system; 0: not known
  mutable std::mutex loop_mutex_;  ///< guards the end of loop_ against threads()
  std::unique_ptr<Loop> loop_;
};

}  // namespace vprocfs
