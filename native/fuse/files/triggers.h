#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/epoll.h"
#include "base/fd.h"
#include "base/result.h"
#include "base/thread.h"
#include "base/wake.h"
#include "fuse/delayed_work.h"
#include "fuse/files/open_file.h"
#include "fuse/notifier.h"
#include "fuse/reply.h"
#include "state/state_file.h"

namespace vprocfs {

/// Triggers that containers have written to their pressure files
/// (Documentation/accounting/psi.rst). Each is one of the kernel's own, on the container's cgroup;
/// one thread waits for all of them and tells those who poll. They lie in the state file, so that
/// the next worker sets them again. Thread-safe.
class Triggers {
 public:
  /// `notifier`: where work that may wait for a container is done.
  Triggers(const Reply& reply, StateFile& state, Notifier& notifier);
  ~Triggers() { stop(); }

  /// Error: there is no thread for it.
  Result<bool> start();
  void stop();

  /// Gives an open file its trigger. 0 or an errno: EBUSY when it has one, ENOSPC when its
  /// tenant has too many, else what the kernel says. May wait for triggers of the same tenant
  /// that are being taken away, which takes the kernel some milliseconds. `resent`: a worker before
  /// us may have done it, and ended before it said so.
  int arm(uint64_t handle, const std::shared_ptr<OpenFile>& file, std::string_view text,
          bool resent);

  /// What poll(2) on an open file says beyond "readable and writable", as psi_trigger_poll():
  /// POLLPRI once for each event, POLLERR with it where there is no trigger (any more).
  /// `poll_handle` is what the kernel wants to be notified by. `resent`: a worker before us may
  /// have taken an event, and ended before it told; so it is told again.
  uint32_t poll(uint64_t handle, NodeId node, uint64_t poll_handle, bool resent);

  /// The file was closed.
  void release(uint64_t handle, NodeId node);

  /// Takes note of the triggers that a worker before us left; `files` knows their open files by
  /// now. Each is set again when somebody asks for it, or by adopt_rest(). If that fails, its
  /// pollers get POLLERR. Before requests are taken.
  void adopt(OpenFiles& files);
  /// Sets those again that nobody has asked for, as OpenFiles::adopt_rest().
  void adopt_rest(const OpenFiles::IsFound& is_found);

  size_t size() const;

 private:
  struct Trigger {
    uint64_t handle = 0;
    std::shared_ptr<OpenFile> file;
    std::string text;
    Fd fd;
    uint64_t poll_handle = 0;  ///< 0: nobody has polled yet
    bool event = false;        ///< happened, and not told yet
    bool failed = false;       ///< will never happen
    bool counted = false;      ///< against its tenant's limit
    bool released = false;     ///< its file was closed
    bool adopted = false;      ///< a worker before us was given it
    RecordIndex record = 0;
  };
  using TriggerPtr = std::shared_ptr<Trigger>;
  /// One that a worker before us left, until it is taken over.
  struct Left {
    RecordIndex record = 0;
    NodeId node{0};
  };

  /// Counts it against its tenant's limit, for which it may wait. 0 or an errno: nothing is
  /// counted, and it is no trigger any more.
  int reserve(Trigger& trigger);
  void give_back(Tenant& tenant, bool closing);
  /// It is no trigger, and leaves nothing to the next worker.
  void forget_locked(const Trigger& trigger);
  /// 0 or an errno.
  int set(const TriggerPtr& trigger);
  void save(Trigger& trigger);
  void run();
  /// triggers_.end() when that file has none.
  std::unordered_map<uint64_t, TriggerPtr>::iterator find_locked(uint64_t handle, NodeId node);
  /// Takes over one that was left, and has it set again.
  void take_over(uint64_t handle);
  void set_again(const TriggerPtr& trigger);
  void happened(uint64_t handle, uint32_t events);

  const Reply& reply_;
  StateFile& state_;
  Notifier& notifier_;
  OpenFiles* files_ = nullptr;  ///< set before requests are taken
  Epoll epoll_;
  Wake wake_;
  mutable std::mutex mutex_;
  std::condition_variable given_back_;
  std::unordered_map<uint64_t, TriggerPtr> triggers_;  ///< by handle
  std::unordered_map<uint64_t, Left> left_;            ///< by handle
  std::atomic<bool> has_left_{false};                  ///< whether there are any
  std::vector<TriggerPtr> adopted_;                    ///< to be set again
  bool stopping_ = false;
  Thread thread_;
  /// Last: its work uses the rest.
  DelayedWork closers_{64};
};

}  // namespace vprocfs
