#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "base/thread.h"
#include "base/wake.h"
#include "container/life_record.h"
#include "klog/banner.h"
#include "klog/crashes.h"
#include "klog/host_log.h"
#include "klog/logs.h"
#include "klog/owner_translator.h"
#include "klog/owners.h"
#include "klog/retry.h"
#include "watch/process_events.h"

namespace vprocfs {

/// The one reader of the host's kernel log. Adds to containers' logs what is proven to be theirs,
/// and collects kills for operators. Its own thread waits for records; while none come, nothing
/// runs.
class LogReader {
 public:
  struct Sources {
    const CgroupMounts* mounts = nullptr;
    const Resolver* resolver = nullptr;
    int procfs_fd = -1;
    Attempts* attempts = nullptr;         ///< nullptr: nobody needs the thread that reads
    std::unique_ptr<ExitedTasks> exited;  ///< may be nullptr
    std::string exited_problem;           ///< why `exited` is nullptr; empty: it is not wanted
    KernelLogs* logs = nullptr;           ///< nullptr: only kills are collected
    BannerOf banner;
    StartsOf starts_of;              ///< empty: the life began with who was found
    std::function<void()> on_begun;  ///< missing() is known; may be empty
  };
  explicit LogReader(Sources sources);
  ~LogReader() { stop(); }

  /// Error: there is no thread for it.
  Result<bool> start();
  void stop();

  bool readable() const { return log_.readable(); }
  const std::string& problem() const { return log_.problem(); }
  /// Which means of proof are missing at the moment, and why; nullopt until that is known.
  std::optional<std::vector<std::string>> missing() const;
  /// Reads what the log has at this moment. Needs no start() if only kills are collected.
  void update();
  /// Of the life that a container is in.
  LifeStarts starts_of(const ContainerDescription& found) const;
  /// As HostLog::kills().
  std::vector<OomKill> kills(uint64_t& seen) const;
  /// The containers that were told of an OOM kill, the outermost first: of each kill that was
  /// delivered, with `seen` as in kills().
  std::vector<std::vector<ContainerId>> owners_of_kills(uint64_t& seen) const;
  /// As LogOwners::had_kill().
  std::optional<bool> had_kill(const std::string& memory_path) const;

  struct Counters {
    std::array<uint64_t, kLogKinds> records{};  ///< told to containers, by kind
    uint64_t unproven = 0;  ///< groups that seem to be a container's, but nothing proves which
    uint64_t lost = 0;      ///< times that the host's log was overwritten before it was read
  };
  Counters counters() const;

 private:
  void run();
  void pace();
  void pump(size_t count);
  void take_crashes();
  void deliver(const LogGroup& group);
  LogOwners::Owners owners_of(const LogGroup& group, uint64_t now_us);
  std::optional<KnownProcess> process_of(const LogGroup& group, uint64_t now_us);
  std::optional<KnownProcess> crashed(const LogGroup& group, const LogMoment& moment);
  PidHolders wait_for_crash(const LogGroup& group, const LogMoment& moment);
  LogMoment moment_of(uint64_t time_us) const;
  size_t deliver_to(const LogGroup& group, const LogOwner& owner);
  void forget_ended(uint64_t now_us);
  LifeStarts starts_of_locked(const ContainerDescription& found) const;

  void find_proofs();
  void find_printers();
  void open_events();
  bool has_events() const { return events_.fd() >= 0; }
  bool has_begun() const { return sources_.logs == nullptr || begun_us_ != 0; }

  /// Puts what others are told where they need not wait for the thread that reads.
  void tell_locked();

  Sources sources_;
  std::vector<std::string> missing_;
  HostLog log_;
  LogOwners owners_;
  ProcessEvents events_;
  Retry retry_events_, retry_printers_;  ///< by CLOCK_BOOTTIME; changed by the log's thread only
  uint64_t begin_ = 0;                   ///< records before it were delivered by an earlier worker
  uint64_t forgotten_us_ = 0;            ///< when logs of ended containers were looked for last
  uint64_t begun_us_ = 0;                ///< when reading began
  bool ended_ = false;                   ///< what `sources_` points to may be gone
  bool live_ = false;                    ///< all that was logged before us has been read
  Crashes crashes_;
  /// A lower bound of how far CLOCK_BOOTTIME was ahead when the next event happened.
  uint64_t events_ahead_us_ = 0;
  /// The kernel goes on to drop events, without a word, until all that wait have been taken.
  bool loses_events_ = false;
  /// When a crash may be waited for again, for records of each kind. Threads that are killed for a
  /// system call are never reported: waiting for them must not use up the patience for faults.
  std::array<uint64_t, kLogKinds> patient_from_us_{};
  uint64_t promptly_from_us_ = 0;  ///< see pace()
  OwnerTranslator::Known known_;   ///< processes that the present group is about
  mutable std::mutex mutex_;  ///< guards all of the above, and what follows up to `told_mutex_`
  Counters counters_;
  std::deque<std::vector<ContainerId>> owners_of_kills_;  ///< the latest ones
  uint64_t delivered_kills_ = 0;                          ///< how many there were in all
  struct Told {
    Counters counters;
    std::optional<std::vector<std::string>> missing;
  };
  mutable std::mutex told_mutex_;  ///< guards `told_`; held for a moment only
  Told told_;
  std::atomic<bool> stopping_{false};
  Wake wake_;
  Thread thread_;
};

}  // namespace vprocfs
