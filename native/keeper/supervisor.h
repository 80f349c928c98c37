#pragma once

#include <cstddef>
#include <cstdint>

#include "keeper/connection.h"
#include "keeper/options.h"
#include "keeper/worker.h"

namespace vprocfs {

/// Keeps one worker serving: starts, watches, replaces, upgrades and stops it. One thread, one
/// loop.
class Supervisor {
 public:
  Supervisor(const KeeperOptions& options, Connection& connection);

  /// Takes up where an earlier self left, from its environment. False when there is nothing.
  static bool inherited(int& fuse_fd, int& state_fd);
  void resume();

  /// Runs until stopped; returns the exit status.
  int run();

 private:
  static constexpr size_t kReasons = 8;
  static constexpr size_t kReasonBytes = 64;

  bool open_descriptors();
  bool open_socket();
  int wait_ms(uint64_t now) const;
  void on_signal();
  void on_child(int pid, int status);
  void on_packet(Worker& worker);
  void on_client();
  void on_timers(uint64_t now);

  void start(Worker& slot, uint64_t now);
  void activate(Worker& worker, uint64_t now);
  void promote(uint64_t now);
  void begin_reload(int client);
  void end_reload(const char* result);
  void begin_stop();
  int finish();
  void execute_self();
  void remember(const char* what);
  void answer_status(int client) const;
  void notify(const char* text) const;

  const KeeperOptions& options_;
  Connection& connection_;
  Fd signals_, listener_, reload_client_;
  Worker current_;  ///< serves, or is to
  Worker next_;     ///< stands by during a reload
  uint32_t generation_ = 0;
  uint32_t restarts_ = 0;
  uint32_t failures_ = 0;  ///< in a row
  uint64_t born_ms_;
  uint64_t start_at_ms_ = 0;    ///< when the next worker is started; 0: not planned
  uint64_t unserved_since_ms_;  ///< 0 while a worker serves
  uint64_t resent_before_ = 0;  ///< by workers that are gone
  uint64_t watchdog_ms_ = 0;    ///< systemd's, 0: none
  uint64_t next_notify_ms_ = 0;
  bool refusing_ = false;
  bool stopping_ = false;
  bool announced_ = false;
  int exit_status_ = 0;
  char reasons_[kReasons][kReasonBytes] = {};
};

}  // namespace vprocfs
