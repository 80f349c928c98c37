#include "survey/surveyor.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/clock_tick.h"
#include "base/descriptors.h"
#include "base/wide.h"
#include "base/words.h"
#include "container/container.h"
#include "container/cpu_model.h"
#include "source/cgroup_dir.h"
#include "survey/cpu_totals.h"
#include "survey/kill_place.h"
#include "survey/memory_figures.h"
#include "survey/mounted.h"

namespace vprocfs {
namespace {

// The most descriptors that a container with open sources takes.
constexpr size_t kFdsPerContainer = 18;
// How often a container's mounts are counted again, and of how many containers in one survey.
constexpr uint64_t kMountsAgeUs = 60'000'000;
constexpr size_t kMountsAtOnce = 250;
// How long one survey may count mounts, and the CPU time for those of one container, which are not
// known if they take more. One piece of a mount table may take longer than both.
constexpr uint64_t kMountsWithinUs = 250'000;
constexpr uint64_t kTableCpuUs = 100'000;
// The latest kills, which a container that is found later may be the owner of.
constexpr size_t kMaxKills = 1024;
// Beyond this number, only containers that still exist have their kills remembered.
constexpr size_t kMaxRemembered = 1000;
// A survey of more containers than this uses another thread for each so many, up to a maximum.
constexpr size_t kRowsPerThread = 100;
constexpr size_t kMaxThreads = 4;
// A container that takes longer to read is given up, with all of its tenant's, and its tenant left
// alone for a while; how often that is looked at.
constexpr uint64_t kReadWithinUs = 1'000'000, kRestUs = 10 * kReadWithinUs;
constexpr std::chrono::milliseconds kLook{250};

/// How many descriptors this process may have. The limits below are parts of it, because answering
/// requests needs descriptors too.
size_t descriptors() { return std::min<size_t>(descriptor_limit(), 1u << 20); }

/// How many containers' sources are kept open.
size_t open_limit() { return descriptors() / 16 / kFdsPerContainer; }

/// How many containers a survey has at most; each takes at least one descriptor.
size_t row_limit() { return std::min<size_t>(10000, descriptors() / 32); }

void note_mounts(const Mounted& mounts, Figures& out) {
  out.set(Figure::kMountedFiles, static_cast<double>(mounts.ours));
  if (mounts.lxcfs > 0) out.set(Figure::kLxcfsFiles, static_cast<double>(mounts.lxcfs));
  if (mounts.dead > 0) out.set(Figure::kDeadFiles, static_cast<double>(mounts.dead));
}

}  // namespace

struct Surveyor::Member {
  Member(ContainerDescription d, LifeStarts s, Fd fd)
      : description(std::move(d)), starts(std::move(s)), init(std::move(fd)) {}

  ContainerDescription description;
  const LifeStarts starts;
  Fd init;
  std::unique_ptr<CgroupFigures> cgroups;   ///< nullptr until they are read
  bool may_have_moved = false;              ///< to other cgroups
  std::unique_ptr<ContainerSource> source;  ///< nullptr while it is not kept open
  bool keeps_source = false;
  uint64_t last_kill_us = 0;  ///< CLOCK_BOOTTIME; 0: none known
  std::string last_victim;
  std::optional<double> counted_kills;  ///< at the last survey
  std::optional<Mounted> mounts;
  uint64_t mounts_next_us = 0;  ///< when they are counted again
  CpuTotals cpu;
  KeptCounters counters;
  std::atomic<bool> is_read{true};  ///< nobody is reading it
};

/// What the threads that read for one survey share. A container may keep one of them for as long as
/// it likes: then the others go on without it.
struct Surveyor::Reading {
  struct Row {
    std::shared_ptr<Member> member;
    Figures figures;
    bool failed = false;
    bool done = false;
  };
  struct Worker {
    std::optional<size_t> row;  ///< that it reads
    uint64_t since_us = 0;      ///< CLOCK_MONOTONIC: when it began that, or was to begin at all
    bool given_up = false, has_ended = false;
  };
  std::mutex mutex;
  std::condition_variable ended;  ///< a worker has
  std::vector<Row> rows;
  std::vector<Worker> workers;
  size_t next = 0;              ///< row
  std::set<uint64_t> given_up;  ///< tenants, of which nothing more is read
};

/// A reader without a thread, which reads when a survey is taken.
std::shared_ptr<LogReader> Surveyor::own_log(const Sources& sources) {
  LogReader::Sources of_log;
  of_log.mounts = sources.mounts;
  of_log.resolver = sources.resolver;
  of_log.procfs_fd = sources.procfs_fd;
  of_log.attempts = sources.attempts;
  return std::make_shared<LogReader>(std::move(of_log));
}

Surveyor::Surveyor(Sources sources)
    : sources_(std::move(sources)),
      open_limit_(open_limit()),
      notifier_(ChangeNotifier::open()),
      census_(PromptResolver(*sources_.resolver, sources_.attempts), sources_.procfs_fd,
              row_limit(),
              {[this](Census::Discovered found) { add(std::move(found)); },
               [this](ContainerId id) { remove(id); }, [this](ContainerId id) { check(id); }}),
      log_(sources_.kills ? sources_.kills : own_log(sources_)) {
  if (!sources_.totals.empty()) kill_totals_ = KillTotals::load(file_of(".kills"));
}

Surveyor::~Surveyor() = default;

void Surveyor::attribute(Member& member, const OomKill& kill) {
  const std::string& own = member.description.paths.of(*sources_.mounts, Controller::kMemory);
  const KillPlace place =
      place_of(kill, own, member.starts.oldest_us(),
               [this](const std::string& path) { return log_->had_kill(path); });
  if (place == KillPlace::kElsewhere) return;
  // The kernel itself counts kills in the container's own cgroup, whatever memory was at an end.
  const bool is_below = place == KillPlace::kBelow;
  if (is_below && count_kill(kill_totals_, member.description.id, kill.sequence)) {
    kills_fresh_ = true;
  }
  if (kill.at_us < member.last_kill_us) return;
  member.last_kill_us = kill.at_us;
  member.last_victim = kill.task;
}

/// Its counters and its start stay: the init that it was found by has ended, and another PID
/// namespace of it goes on.
void Surveyor::renew(Member& member, Census::Discovered found, const LifeStarts& starts) {
  CgroupPaths paths = std::move(member.description.paths);
  member.description = std::move(found.description);
  member.description.paths = std::move(paths);
  member.init = std::move(found.init);
  member.mounts_next_us = 0;
  // By which the next worker is to know them. Where nothing is kept of its life, that is not the
  // start of an init that has ended.
  member.counters.start_us = starts.first_us;
  member.may_have_moved = true;
}

void Surveyor::add(Census::Discovered found) {
  LifeStarts starts = log_->starts_of(found.description);
  const auto left = left_.find(found.description.id);
  // A start is in whole ticks, rounded down.
  const bool began_by_then = found.description.init_start_us + kClockTickUs <= looked_us_;
  if (left != left_.end() && (began_by_then || starts.has(left->second->starts.first_us))) {
    renew(*left->second, std::move(found), starts);
    members_.insert(left_.extract(left));
    return;
  }
  if (left != left_.end()) drop(left);
  auto member = std::make_shared<Member>(std::move(found.description), std::move(starts),
                                         std::move(found.init));
  for (const OomKill& kill : kills_) attribute(*member, kill);
  const ContainerId id = member->description.id;
  const auto kept = counter_totals_.entries.find(id);
  if (kept != counter_totals_.entries.end() && member->starts.has(kept->second.start_us)) {
    member->counters = kept->second;
  }
  member->counters.start_us = member->starts.first_us;
  members_[id] = std::move(member);
}

/// Stores the counts before a survey reports them, so that after a crash the next worker reports no
/// fewer.
void Surveyor::remember_kills() {
  if (!kills_fresh_) return;
  auto& entries = kill_totals_.entries;
  for (auto entry = entries.begin(); entries.size() > kMaxRemembered && entry != entries.end();) {
    entry = members_.count(entry->first) > 0 ? std::next(entry) : entries.erase(entry);
  }
  // If it cannot be written, the next survey tries again.
  kills_fresh_ = !sources_.totals.empty() && !save_totals(file_of(".kills"), kill_totals_.text());
}

/// Stores the counters before they are reported, as remember_kills() does.
void Surveyor::remember_counters() {
  if (sources_.totals.empty()) return;
  auto& entries = counter_totals_.entries;
  for (auto entry = entries.begin(); entry != entries.end();) {
    entry = held_.count(entry->first) != 0 ? std::next(entry) : entries.erase(entry);
  }
  for (const auto& [id, member] : members_) {
    if (member->counters.are_needed()) entries[id] = member->counters;
  }
  std::string text = counter_totals_.text();
  if (text == counters_text_ || (counters_text_.empty() && counter_totals_.entries.empty())) return;
  if (save_totals(file_of(".counters"), text)) counters_text_ = std::move(text);
}

void Surveyor::note_kills(Member& member, Figures& out) const {
  const std::string& v1 = member.description.paths.v1[static_cast<size_t>(Controller::kMemory)];
  if (!v1.empty() && out.has(Figure::kOomKills)) {
    // v1 counts a kill only in the victim's own cgroup; the log told of those below the
    // container's.
    const auto below = kill_totals_.entries.find(member.description.id);
    const uint64_t kills = below == kill_totals_.entries.end() ? 0 : below->second.kills;
    out.set(Figure::kOomKills, out.get(Figure::kOomKills) + static_cast<double>(kills));
  }
  if (out.has(Figure::kOomKills)) {
    const double kills = out.get(Figure::kOomKills);
    const bool more = member.counted_kills && kills > *member.counted_kills;
    // Without a log, the time is when the kill was noticed.
    if (more && !log_->readable()) member.last_kill_us = boottime_us();
    member.counted_kills = kills;
  }
  if (member.last_kill_us > 0) out.set(Figure::kLastOomTime, epoch_.of(member.last_kill_us));
}

Result<bool> Surveyor::read_facts(ContainerSource& source, Member& member, uint64_t now_us,
                                  Figures& out) {
  auto memory = read_memory_figures(*sources_.host, source, now_us, out);
  if (!memory) return memory;
  auto cpus = sources_.host->cpus(now_us);
  if (!cpus) return cpus.error();
  auto limits = source.cpu_limits();
  if (!limits) return limits.error();
  out.set(Figure::kCpus, static_cast<double>(shown_cpus(limits.value(), *cpus.value()).size()));
  if (const auto& bandwidth = limits.value().bandwidth) {
    out.set(Figure::kCpuLimit,
            static_cast<double>(bandwidth->quota_us) / static_cast<double>(bandwidth->period_us));
  }
  auto usage = source.cpu_usage();
  if (!usage) return usage.error();
  member.cpu.take(std::move(usage.value()), source.cpu_places(), cpus.value()->online.size(),
                  now_us, member.counters);
  member.cpu.tell(member.counters, out);
  out.set(Figure::kStartTime, epoch_.of(member.starts.first_us));
  return true;
}

bool Surveyor::read(Member& member, uint64_t now_us, Figures& out) {
  if (!member.cgroups) {
    member.cgroups =
        std::make_unique<CgroupFigures>(*sources_.mounts, *sources_.host, member.description);
  }
  if (std::exchange(member.may_have_moved, false)) take_moves(member);
  const Figures before = out;
  auto done = read_once(member, now_us, out);
  // Its processes may live on in other cgroups than the one that is gone.
  if (!done && is_of_removed(done.error()) && take_moves(member)) {
    out = before;
    done = read_once(member, now_us, out);
  }
  if (!done) {
    close(member);
    return is_of_removed(done.error());
  }
  if (!member.keeps_source) close(member);
  member.cgroups->read(out, member.counters);
  note_kills(member, out);
  return true;
}

Result<bool> Surveyor::read_once(Member& member, uint64_t now_us, Figures& out) {
  if (!member.source) {
    member.keeps_source = open_count_.fetch_add(1) < open_limit_;
    // A source that is closed again needs no watches. No figure is about huge pages.
    auto opened = ContainerSource::open(*sources_.mounts, member.description.paths,
                                        member.keeps_source ? notifier_.get() : nullptr, {});
    if (!opened) {
      --open_count_;
      return opened.error();
    }
    member.source = std::move(opened.value());
    // What was opened by its name may be another one's by now. Asked afterwards: if its own cgroup
    // is there still, that is what was opened.
    if (!sources_.resolver->exists(member.description.id)) {
      return Error{ENODEV, member.description.cgroup};
    }
  }
  return read_facts(*member.source, member, now_us, out);
}

void Surveyor::close(Member& member) {
  if (!member.source) return;
  member.source.reset();
  --open_count_;
}

bool Surveyor::take_moves(Member& member) {
  ContainerDescription& description = member.description;
  auto moved = moved_paths(sources_.procfs_fd, description, description.paths);
  if (!moved) return false;
  auto last = member.source ? member.source->cpu_usage() : Error{ENODEV, description.cgroup};
  if (last) member.cpu.take_last(std::move(last.value()), member.counters);
  close(member);
  description.paths = std::move(*moved);
  if (member.cgroups) member.cgroups->move(*sources_.mounts, description, member.counters);
  return true;
}

void Surveyor::count_mounts(uint64_t now_us) {
  const uint64_t begin = monotonic_us();
  tables_.begin(now_us);
  for (const auto& [id, member] : members_) {
    tables_.add(member->description.tenant_identity, id, member->mounts_next_us);
  }
  const MountIdentity identity{sources_.fs_type, sources_.source};
  std::optional<Devices> live;
  uint64_t now = begin;
  for (size_t counted = 0; counted < kMountsAtOnce && now < begin + kMountsWithinUs; ++counted) {
    const auto id = tables_.next();
    if (!id) return;
    if (!live) live = live_devices(sources_.procfs_fd, identity);
    if (!live) return;
    const uint64_t before = monotonic_us();
    Member& member = *members_.at(*id);
    member.mounts =
        mounted_files(sources_.procfs_fd, member.description.init, identity, *live, kTableCpuUs);
    member.mounts_next_us = now_us + kMountsAgeUs;
    now = monotonic_us();
    tables_.charge(now - before);
  }
}

void Surveyor::work(const std::shared_ptr<Reading>& reading, size_t worker) {
  Reading& all = *reading;
  std::unique_lock lock(all.mutex);
  while (!all.workers[worker].given_up && all.next < all.rows.size()) {
    const size_t at = all.next++;
    Reading::Row& row = all.rows[at];
    const uint64_t tenant = row.member->description.tenant_identity.pid_namespace;
    if (all.given_up.count(tenant) != 0) continue;
    all.workers[worker].row = at;
    all.workers[worker].since_us = monotonic_us();
    row.member->is_read = false;
    lock.unlock();
    Figures figures = row.figures;
    const bool done = read(*row.member, boottime_us(), figures);
    lock.lock();
    // Nobody else may know it any more.
    if (all.workers[worker].given_up) close(*row.member);
    row.member->is_read = true;
    all.workers[worker].row.reset();
    row.figures = figures;
    row.failed = !done;
    row.done = true;
  }
  all.workers[worker].has_ended = true;
  all.ended.notify_all();
}

uint64_t Surveyor::read_all(std::vector<SurveyRow>& rows) {
  const auto reading = std::make_shared<Reading>();
  Reading& all = *reading;
  const uint64_t begun_us = monotonic_us();
  for (const SurveyRow& row : rows) {
    Reading::Row& one = all.rows.emplace_back();
    one.member = members_.at(row.id);
    one.figures = row.figures;
    const auto rests = rests_.find(one.member->description.tenant_identity);
    if (rests == rests_.end()) continue;
    if (begun_us < rests->second) {
      all.given_up.insert(rests->first.pid_namespace);
    } else {
      rests_.erase(rests);
    }
  }
  const size_t cpus = std::max(std::thread::hardware_concurrency(), 1u);
  const size_t threads = std::min({kMaxThreads, cpus, rows.size() / kRowsPerThread + 1});
  const auto start_locked = [&](std::unique_lock<std::mutex>& lock) {
    const size_t worker = all.workers.size();
    all.workers.emplace_back().since_us = monotonic_us();
    lock.unlock();
    if (sources_.attempts == nullptr) {
      work(reading, worker);
    } else {
      // Each in a lane of its own: of one tenant no second one begins.
      sources_.attempts->post(++last_lane_, [this, reading, worker] { work(reading, worker); });
    }
    lock.lock();
  };
  std::unique_lock lock(all.mutex);
  for (size_t i = 0; i < threads; ++i) start_locked(lock);
  for (;;) {
    const auto is_over = [](const Reading::Worker& worker) {
      return worker.has_ended || worker.given_up;
    };
    if (std::all_of(all.workers.begin(), all.workers.end(), is_over)) break;
    all.ended.wait_for(lock, kLook);
    const uint64_t now_us = monotonic_us();
    for (size_t i = 0; i < all.workers.size(); ++i) {
      Reading::Worker& worker = all.workers[i];
      if (is_over(worker) || now_us < worker.since_us + kReadWithinUs) continue;
      worker.given_up = true;
      // There is no thread for it.
      if (!worker.row) continue;
      const TenantIdentity& tenant = all.rows[*worker.row].member->description.tenant_identity;
      all.given_up.insert(tenant.pid_namespace);
      rests_[tenant] = now_us + kRestUs;
      if (all.next < all.rows.size()) start_locked(lock);
    }
  }
  uint64_t failed = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Reading::Row& row = all.rows[i];
    if (row.done) rows[i].figures = row.figures;
    if (!row.done || row.failed) ++failed;
    if (!row.member->is_read) held_.insert(members_.extract(rows[i].id));
  }
  return failed;
}

void Surveyor::take_back() {
  for (auto held = held_.begin(); held != held_.end();) {
    const auto next = std::next(held);
    Member& member = *held->second;
    if (member.is_read) {
      // Those that it has not been told of.
      for (const OomKill& kill : kills_) attribute(member, kill);
      member.may_have_moved = true;
      members_.insert(held_.extract(held));
    }
    held = next;
  }
}

void Surveyor::remove(ContainerId id) {
  const auto member = members_.find(id);
  if (member != members_.end()) left_.insert(members_.extract(member));
  // It goes when its reading has ended.
  held_.erase(id);
}

void Surveyor::drop(Members::iterator left) {
  close(*left->second);
  left_.erase(left);
}

void Surveyor::check(ContainerId id) {
  const auto member = members_.find(id);
  if (member != members_.end()) member->second->may_have_moved = true;
}

Survey Surveyor::take() {
  Survey out;
  const uint64_t begin = boottime_us();
  // Not before: another worker may have counted on until now.
  if (!has_begun_ && !sources_.totals.empty()) {
    counter_totals_ = CounterTotals::load(file_of(".counters"));
  }
  has_begun_ = true;
  epoch_.observe(read_clock_pair([] { return clock_s(CLOCK_REALTIME); }, boottime_us));
  take_back();
  log_->update();
  for (OomKill& kill : log_->kills(kills_seen_)) {
    for (auto& [id, member] : members_) attribute(*member, kill);
    kills_.push_back(std::move(kill));
    if (kills_.size() > kMaxKills) kills_.pop_front();
  }
  census_.look(begin);
  while (!left_.empty()) drop(left_.begin());
  looked_us_ = begin;
  remember_kills();
  count_mounts(begin);
  out.rows.reserve(members_.size());
  for (const auto& [id, member] : members_) {
    SurveyRow& row = out.rows.emplace_back();
    row.id = id;
    row.tenant = member->description.tenant;
    row.cgroup = member->description.cgroup;
    row.tenant_cgroup = member->description.tenant_cgroup;
    row.init = member->description.init;
    if (member->mounts) note_mounts(*member->mounts, row.figures);
  }
  const size_t held = held_.size();
  out.failed = held + read_all(out.rows);
  remember_counters();
  for (SurveyRow& row : out.rows) {
    const auto member = members_.find(row.id);
    if (member != members_.end()) row.last_victim = member->second->last_victim;
  }
  // Leaves out containers that have ended meanwhile.
  const auto ended = [](const SurveyRow& row) { return !row.figures.has(Figure::kStartTime); };
  out.rows.erase(std::remove_if(out.rows.begin(), out.rows.end(), ended), out.rows.end());
  out.left_out = census_.left_out();
  out.reads_log = log_->readable();
  out.took_us = boottime_us() - begin;
  return out;
}

}  // namespace vprocfs
