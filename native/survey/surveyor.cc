#include "survey/surveyor.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/clock_tick.h"
#include "base/descriptors.h"
#include "survey/kill_place.h"
#include "survey/member.h"
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
  kills_fresh_ = sources_.keeps_totals && !save_totals(file_of(".kills"), kill_totals_.text());
}

/// Stores the counters before they are reported, as remember_kills() does.
void Surveyor::remember_counters() {
  if (!sources_.keeps_totals) return;
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

void Surveyor::settle_kills(const std::vector<SurveyRow>& rows) {
  using State = EndedKills::Container;
  ended_kills_.settle([&](ContainerId id) {
    const auto row =
        std::lower_bound(rows.begin(), rows.end(), id,
                         [](const SurveyRow& one, ContainerId wanted) { return one.id < wanted; });
    if (row != rows.end() && row->id == id) return State::kShown;
    return members_.count(id) + held_.count(id) > 0 ? State::kLives : State::kEnded;
  });
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
  ended_kills_.add(log_->owners_of_kills(owned_kills_seen_));
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
  settle_kills(out.rows);
  out.ended_kills = ended_kills_.count();
  out.left_out = census_.left_out();
  out.reads_log = log_->readable();
  out.took_us = boottime_us() - begin;
  return out;
}

}  // namespace vprocfs
