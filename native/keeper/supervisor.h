#pragma once

#include <cstddef>
#include <cstdint>

#include "keeper/connection.h"
#include "keeper/fd_store_table.h"
#include "keeper/launch.h"
#include "keeper/memo.h"
#include "keeper/mount_table.h"
#include "keeper/options.h"
#include "keeper/resume.h"
#include "keeper/store.h"
#include "keeper/worker.h"

namespace vprocfs {

/// Between two attempts to start a worker, at most.
inline constexpr uint64_t kMaxBackoffMs = 5000;

/// Keeps one worker serving: starts, watches, replaces, upgrades and stops it. One thread, one
/// loop, in which nothing blocks.
class Supervisor {
 public:
  /// What outlives a supervisor.
  struct PersistentState {
    Connection& connection;
    Connection& polled;  ///< of files that are polled; not made where there is none
    FdStoreTable& fd_store;
    Memo& memo;
    Store& store;
    Launch& launch;
  };
  Supervisor(const KeeperOptions& options, const PersistentState& state);

  /// Goes on with the worker of an earlier self.
  void resume(const Resume& from);
  /// Counts on from where a keeper ended whose worker is gone.
  void succeed(const MemoRecord& from);

  /// Runs until stopped; returns the exit status.
  int run();

  /// Whether it ended for the next keeper to go on, with everything in the store.
  bool left() const { return leaving_; }

 private:
  static constexpr size_t kReasons = 8;
  static constexpr size_t kReasonBytes = 96;
  static constexpr size_t kMaxArguments = 128;
  static constexpr size_t kMaxRetired = 8;

  // rounds.cc: the loop and its timers
  int wait_ms(uint64_t now) const;
  void adjust_for_pause(uint64_t planned_ms, uint64_t now);
  void on_timers(uint64_t now);
  /// What READY tells: whether a worker serves.
  const char* ready_text() const;
  /// Tells the service manager, again and again while it does not take it: its queue may be full of
  /// descriptors for its store.
  void tell_ready(const char* text);
  void check_worker(Worker& worker, uint64_t now);
  void look_after_mount(uint64_t now);
  void report_progress(uint64_t now);
  uint64_t patience_ms() const;
  void refuse(uint64_t now);
  bool leaves_queue(uint64_t now) const;

  // supervisor.cc: where it begins, what it is told, how it ends
  void on_signal();
  /// Learns whether a child has ended, and leaves it for reap().
  void look_after(pid_t child);
  void look_after_children();
  void reap();
  void begin_stop();
  void begin_leave();
  bool stopped(uint64_t now) const;
  /// We are leaving, and the service manager has not read all that we give it: the next keeper
  /// needs everything.
  bool waits_for_manager() const { return leaving_ && store_.pending(); }
  void note();

  // succession.cc: one worker after the other
  uint64_t start_by_ms(uint64_t started_ms) const;
  void start(Worker& slot, uint64_t now);
  void activate(Worker& worker, uint64_t now);
  uint64_t activate_by_ms(uint64_t now) const { return now + options_.watchdog_ms; }
  void promote(uint64_t now);
  void hand_over_to_next(uint64_t now);
  void follow_drained(uint64_t now);
  void await_next();
  /// Has the worker that serves finish what it holds and take no more. `is_followed`: the next one
  /// is ready, and takes over what waits.
  void begin_drain(uint64_t now, bool is_followed);
  void on_ready(Worker& worker, uint64_t now);
  void on_serving(Worker& worker, const char* ignored, uint64_t now);
  void on_child(int pid, int status);
  void on_early_end(int status);
  void lose_current(const char* why, uint64_t now);
  void remember(const char* what);

  // beside.cc: a worker beside another one
  void note_stood_by(const Worker& standby, uint64_t now);
  void lose_next(const char* why, uint64_t now);
  bool was_second(const Worker& gone) const;
  void lose_second(const char* why, uint64_t now);
  bool wants_standby() const;
  void stand_by(uint64_t now);
  /// The one worker that there is, whose start readers wait for; nullptr: they wait for none.
  const Worker* awaited() const;
  uint64_t hedge_at_ms(const Worker& slow) const;
  void hedge(uint64_t now);
  void discard_standby();

  // retired.cc: those that are gone and have not ended
  Worker& retire(Worker& worker);
  void abandon_unkillable(uint64_t now);
  void move_out_unkillable(uint64_t now);
  void move_out(Worker& worker);
  /// Whether some worker has not ended.
  bool is_outlived() const;

  // messages.cc: what workers say
  void on_packet(Worker& worker);
  void on_idle_beat(Worker& worker, bool idle);
  void on_hang_up(Worker& worker);
  /// A thread of the worker that serves has ended.
  void on_thread_end(uint64_t now);
  void drain_packets(Worker& worker);
  bool take_note(Worker& worker, const KeeperPacket& packet, Fd descriptor);
  void keep_descriptor(const KeeperPacket& packet, Fd descriptor);
  void lose_descriptors(uint64_t count, const char* how);

  // reload.cc: a new worker by order
  bool can_reload() const;
  void begin_reload(int client);
  void begin_pending_reload(uint64_t now);
  void start_for_reload(uint64_t now);
  bool hurried(const Worker& worker) const;
  bool retry_reload(const char* why, uint64_t now);
  void end_reloads(const char* result);
  void end_reload(const char* result);

  // polled.cc: the connection of files that are polled
  bool wants_polled() const;
  bool lacks_polled() const;
  bool awaits_polled() const;
  void look_after_polled(uint64_t now);

  // control.cc: the control socket
  bool open_socket();
  void on_connect(uint64_t now);
  void on_client();
  void answer_status(int client) const;

  // execute.cc: ourselves again
  void begin_execution();
  void begin_pending_execution();
  /// A worker serves, and nothing is about to take its place or the keeper's.
  bool is_settled() const;
  bool may_execute(uint64_t now) const;
  Resume describe() const;
  void execute_self();

  const KeeperOptions& options_;
  Connection& connection_;
  Connection& polled_;
  FdStoreTable& fd_store_;
  Memo& memo_;
  Store& store_;
  Launch& launch_;
  Fd signals_, listener_, client_, reload_client_;
  Fd waiting_client_;  ///< asked for a reload while none could begin
  Worker current_;     ///< serves, or is to
  Worker next_;        ///< a reload's, or the standby: ready to take over, takes no requests yet
  Worker retired_[kMaxRetired];  ///< handed over, or were killed and have not died yet
  uint32_t generation_ = 0;      ///< of the last worker that took over
  uint32_t restarts_ = 0;
  uint32_t states_ignored_ = 0;
  uint64_t descriptors_lost_ = 0;  ///< on the way between workers and us
  uint32_t failures_ = 0;          ///< in a row, of workers that did no real work
  uint64_t born_ms_;
  uint64_t start_at_ms_ = 0;       ///< when the next worker starts or takes over; 0: not planned
  uint64_t hedge_again_ms_ = 0;    ///< not before then a second worker starts beside a slow one
  uint64_t standby_at_ms_ = 0;     ///< not before then a standby is started
  uint32_t standby_failures_ = 0;  ///< in a row, of workers beside another one
  uint64_t unserved_since_ms_;     ///< since when no worker has done real work; 0: one does
  uint64_t resent_before_ = 0, requests_before_ = 0;  ///< by workers that are gone
  uint64_t watchdog_ms_ = 0;                          ///< systemd's, 0: none
  uint64_t started_in_ms_ = 0;      ///< how long a worker takes to get ready; 0: not known
  uint32_t slow_starts_ = 0;        ///< in a row, of workers that were not given enough time
  uint64_t next_extension_ms_ = 1;  ///< when more time for the start is asked for; 0: it is over
  uint64_t next_notify_ms_ = 0;
  uint64_t client_until_ms_ = 0;  ///< until when no other is heard; 0: the next one is
  uint64_t listen_again_ms_ = 0;  ///< when the control socket is tried again; 0: there is one
  uint64_t polled_again_ms_ = 0;  ///< not before then that connection is made again
  bool polled_remade_ = false;    ///< and no worker serves since that knows of it
  uint64_t reap_at_ms_ = 0;       ///< when children that have ended are reaped; 0: there are none
  uint64_t stop_by_ms_ = 0;
  uint64_t leave_by_ms_ = 0;    ///< when we leave though the service manager has not read all
  uint64_t execute_by_ms_ = 0;  ///< likewise, when we execute ourselves again
  int probe_ = 0;               ///< PID of the program that we are to become, while it is tried
  uint64_t probe_by_ms_ = 0;    ///< until when it may take to say whether it would start; else 0
  bool killed_ = false;         ///< the last one ended by a SIGKILL that was not ours
  bool refusing_ = false;
  Lies lies_ = Lies::kThere;       ///< the mount, when last looked at, which was said
  uint64_t look_at_mount_ms_ = 0;  ///< not before then it is looked at again
  bool adopted_ = false;           ///< goes on with the mount of an earlier keeper
  bool rest_left_ = false;  ///< its worker may be in the cgroup that it was moved to, or have been
  uint64_t leave_until_ms_ = 0;  ///< how long a worker that takes over has the queue for itself
  const char* ready_untold_ = nullptr;  ///< what tell_ready() is to tell again
  bool reloading_ = false;
  bool reload_pending_ = false;     ///< once a worker serves
  bool execution_pending_ = false;  ///< likewise
  bool reload_retried_ = false;     ///< the second worker of a reload is being started
  bool stopping_ = false;
  bool leaving_ = false;  ///< stopping, but only for the next keeper to go on
  bool drained_ = false;  ///< stopping, and the worker need not be waited for
  int exit_status_ = 0;
  char reasons_[kReasons][kReasonBytes] = {};
};

}  // namespace vprocfs
