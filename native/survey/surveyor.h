#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "container/census.h"
#include "container/resolve.h"
#include "klog/log_reader.h"
#include "source/change_notifier.h"
#include "source/container_source.h"
#include "source/host_source.h"
#include "survey/cgroup_figures.h"
#include "survey/ended_kills.h"
#include "survey/epoch.h"
#include "survey/figures.h"
#include "survey/table_turns.h"
#include "survey/totals.h"

namespace vprocfs {

/// One container in a survey.
struct SurveyRow {
  ContainerId id, tenant;
  std::string cgroup;
  std::string tenant_cgroup;
  pid_t init = 0;
  Figures figures;
  /// The command of the last process that the OOM killer killed; empty if the log told of none.
  std::string last_victim;
};

/// All containers of a host at about one moment.
struct Survey {
  std::vector<SurveyRow> rows;  ///< ascending by id
  uint64_t took_us = 0;
  /// Containers that have not ended, of which something could not be read, or not before long.
  uint64_t failed = 0;
  size_t left_out = 0;     ///< containers that were too many for one survey
  bool reads_log = false;  ///< kills are dated by the kernel's log
  /// OOM kills of containers that ended before a survey could show them, as far as the log of the
  /// containers was told of them. Counts from the beginning of this process.
  uint64_t ended_kills = 0;
};

/// Takes surveys for operators: what every container uses, whether it has read any file or not. It
/// has its own handles to the cgroups, so that no request waits for it, and does not touch the
/// history behind /proc/stat. Not thread-safe; borrows its arguments.
class Surveyor {
 public:
  struct Sources {
    const CgroupMounts* mounts = nullptr;
    const Resolver* resolver = nullptr;
    HostSource* host = nullptr;
    int procfs_fd = -1;
    /// Type and source of the mounts in containers that count as ours.
    std::string fs_type, source;
    /// The files in which counts outlive this process, without what their names end with: ".kills"
    /// for kills that the log told of, ".counters" for others. Empty: none do.
    std::string totals;
    /// They are kept in these files too. False: they only begin with what the files have.
    bool keeps_totals = false;
    /// Collects kills; nullptr: the surveyor reads the kernel's log itself.
    std::shared_ptr<LogReader> kills;
    /// On whose threads containers are found and read. What these may touch, such as this
    /// surveyor, must stay if Attempts::end() says so.
    Attempts* attempts = nullptr;
  };
  explicit Surveyor(Sources sources);
  ~Surveyor();

  Survey take();

 private:
  struct Member;
  using Members = std::map<ContainerId, std::shared_ptr<Member>>;
  struct Reading;
  static std::shared_ptr<LogReader> own_log(const Sources& sources);

  void add(Census::Discovered found);
  void renew(Member& member, Census::Discovered found, const LifeStarts& starts);
  void check(ContainerId id);
  void remove(ContainerId id);
  void drop(Members::iterator left);
  void attribute(Member& member, const OomKill& kill);
  std::string file_of(const char* ending) const { return sources_.totals + ending; }
  void remember_kills();
  void remember_counters();
  void note_kills(Member& member, Figures& out) const;
  void count_mounts(uint64_t now_us);
  void settle_kills(const std::vector<SurveyRow>& rows);

  // readings.cc
  /// Fills in the figures, with a few threads where there are many; returns how many failed.
  uint64_t read_all(std::vector<SurveyRow>& rows);
  void work(const std::shared_ptr<Reading>& reading, size_t worker);
  /// Takes back those whose reading was given up, and has ended since.
  void take_back();
  /// False: something could not be read, though the container has not ended.
  bool read(Member& member, uint64_t now_us, Figures& out);
  Result<bool> read_once(Member& member, uint64_t now_us, Figures& out);
  Result<bool> read_facts(ContainerSource& source, Member& member, uint64_t now_us, Figures& out);
  void close(Member& member);
  /// Takes note of cgroups that it has been moved to. False: it has not.
  bool take_moves(Member& member);

  const Sources sources_;
  const size_t open_limit_;
  std::shared_ptr<ChangeNotifier> notifier_;
  Census census_;
  const std::shared_ptr<LogReader> log_;
  uint64_t kills_seen_ = 0;
  std::deque<OomKill> kills_;  ///< the latest, for containers that are not known yet
  KillTotals kill_totals_;     ///< kills in cgroups below containers' own
  bool kills_fresh_ = false;   ///< something was counted that is not in the file
  uint64_t owned_kills_seen_ = 0;
  EndedKills ended_kills_;
  bool has_begun_ = false;
  Epoch epoch_;
  CounterTotals counter_totals_;
  std::string counters_text_;  ///< as the file has it; empty: not written yet
  Members members_;
  /// Those of which the look that is under way says that the init they were found by has ended.
  Members left_;
  /// Those whose reading was given up and may go on: nobody else touches them.
  Members held_;
  /// CLOCK_MONOTONIC, until when a tenant is not read after one of its containers was given up.
  std::map<TenantIdentity, uint64_t> rests_;
  uint64_t last_lane_ = 0;
  uint64_t looked_us_ = 0;  ///< CLOCK_BOOTTIME: `members_` had not ended by then
  std::atomic<size_t> open_count_ = 0;
  TableTurns tables_;
};

}  // namespace vprocfs
