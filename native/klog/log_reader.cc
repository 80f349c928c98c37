#include "klog/log_reader.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/priority.h"
#include "base/wide.h"
#include "base/words.h"
#include "klog/printers.h"

namespace vprocfs {
namespace {

constexpr size_t kAtOnce = 1000;
/// Reports of crashes that are taken at once. Of more than the first, which the looks at their
/// processes would take long for, only the PID and the time are kept.
constexpr size_t kMaxEvents = 16384, kMaxLooks = 512;
// The kernel logs a crash before it kills the process, and other threads may run in between. At
// most a tenth of the time is spent waiting for that: a container could crash again and again to
// have the reader wait.
constexpr uint64_t kPatienceUs = 50'000, kPatiencePart = 10;
/// How far apart two readings of the clocks may be.
constexpr uint64_t kClocksAgreeUs = 50;
constexpr uint64_t kForgetUs = 60'000'000;
/// Owners of the latest kills are kept for the next survey.
constexpr size_t kMaxOwnedKills = 1024;

}  // namespace

LogReader::LogReader(Sources sources)
    : sources_(std::move(sources)),
      owners_(*sources_.mounts, PromptResolver(*sources_.resolver, sources_.attempts),
              sources_.procfs_fd) {}

Result<bool> LogReader::start() {
  if (!log_.readable()) return true;
  wake_ = Wake::open();
  log_.follow();
  if (sources_.logs != nullptr) {
    begin_ = sources_.logs->mark();
    find_proofs();
  }
  return thread_.start([this] { run(); });
}

/// Opens what else the kernel reports of processes. Without it less is proven.
void LogReader::find_proofs() {
  open_events();
  owners_.remember_exited(std::move(sources_.exited));
  if (!sources_.exited_problem.empty()) missing_.push_back(sources_.exited_problem);
}

/// May take a moment, for which only the log's thread waits.
void LogReader::open_events() {
  auto events = ProcessEvents::open(ProcessEvents::Kind::kCoredump);
  const std::lock_guard lock(mutex_);
  if (!events) {
    retry_events_.note_failure(events.error(), boottime_us());
    return tell_locked();
  }
  // Crashes up to now were not reported.
  if (retry_events_.problem()) crashes_.note_loss(boottime_us());
  events_ = std::move(events.value());
  events_ahead_us_ = boottime_ahead().least_us;
  retry_events_.note_success();
  tell_locked();
}

/// May take long while tracing tools start or end. Only the log's thread waits for it.
void LogReader::find_printers() {
  auto printers = Printers::open();
  const std::lock_guard lock(mutex_);
  if (!printers) {
    retry_printers_.note_failure(printers.error(), boottime_us());
    return tell_locked();
  }
  log_.know_printers(std::move(printers.value()));
  retry_printers_.note_success();
  tell_locked();
}

std::optional<std::vector<std::string>> LogReader::missing() const {
  const std::lock_guard lock(told_mutex_);
  return told_.missing;
}

void LogReader::tell_locked() {
  Told told;
  told.counters = counters_;
  if (has_begun()) {
    told.missing = missing_;
    for (const Retry* retry : {&retry_printers_, &retry_events_}) {
      if (retry->problem()) told.missing->push_back(problem_of(*retry->problem()));
    }
  }
  const std::lock_guard lock(told_mutex_);
  told_ = std::move(told);
}

void LogReader::stop() {
  stopping_ = true;
  if (thread_.joinable() && wake_.ring()) thread_.join();
  const std::lock_guard lock(mutex_);
  ended_ = true;
}

void LogReader::run() {
  if (sources_.logs != nullptr) {
    {
      // Before all that takes long: of what is logged from now on, the time is known.
      const std::lock_guard lock(mutex_);
      while (!stopping_ && log_.read_some(kAtOnce)) {
      }
    }
    find_printers();
    if (stopping_) return;
    {
      const std::lock_guard lock(mutex_);
      // So that the first record does not wait for this. It finds the owners of all earlier
      // records.
      begun_us_ = boottime_us();
      owners_.look(begun_us_);
      forget_ended(begun_us_);
      // Delivers what has been read.
      pump(0);
    }
    if (sources_.on_begun) sources_.on_begun();
  }
  // Not before that look, which takes much CPU time and would delay readers.
  go_first();
  while (!stopping_) {
    uint64_t due = 0;
    bool more = true;
    if (retry_printers_.is_due(boottime_us())) find_printers();
    if (retry_events_.is_due(boottime_us())) open_events();
    {
      const std::lock_guard lock(mutex_);
      pump(kAtOnce);
      due = retry_events_.due_us(retry_printers_.due_us(log_.due_us()));
      // Records come first: their readers wait for them.
      more = !live_ || owners_.check_some(boottime_us());
    }
    const uint64_t now = boottime_us();
    int wait_ms = -1;
    if (due != 0) wait_ms = due <= now ? 1 : static_cast<int>((due - now) / 1000) + 1;
    if (more) wait_ms = 0;
    pollfd fds[] = {{log_.fd(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}, {events_.fd(), POLLIN, 0}};
    ::poll(fds, has_events() ? 3 : 2, wait_ms);
    if (!more) pace();
  }
}

void LogReader::update() {
  const std::lock_guard lock(mutex_);
  // What proves the owner of a record is noted only from then on.
  if (has_begun() && !ended_) pump(kAtOnce * 100);
}

LifeStarts LogReader::starts_of_locked(const ContainerDescription& found) const {
  if (!sources_.starts_of || ended_) return {found.init_start_us, {}};
  return sources_.starts_of(found);
}

LifeStarts LogReader::starts_of(const ContainerDescription& found) const {
  const std::lock_guard lock(mutex_);
  return starts_of_locked(found);
}

std::vector<OomKill> LogReader::kills(uint64_t& seen) const {
  const std::lock_guard lock(mutex_);
  return log_.kills(seen);
}

std::vector<std::vector<ContainerId>> LogReader::owners_of_kills(uint64_t& seen) const {
  const std::lock_guard lock(mutex_);
  const uint64_t dropped = delivered_kills_ - owners_of_kills_.size();
  const auto from = static_cast<ptrdiff_t>(seen <= dropped ? 0 : seen - dropped);
  seen = delivered_kills_;
  return {owners_of_kills_.begin() + from, owners_of_kills_.end()};
}

std::optional<bool> LogReader::had_kill(const std::string& memory_path) const {
  const std::lock_guard lock(mutex_);
  return ended_ ? std::nullopt : owners_.had_kill(memory_path);
}

/// Pauses while records come in a flood. Many are then read at once, which costs less, and
/// processes that they are about have ended, so that the kernel has noted which these were. The
/// pause is short enough for the smallest log not to overflow.
void LogReader::pace() {
  constexpr uint64_t kEachUs = 10'000, kPromptUs = 32 * kEachUs;
  constexpr int kPauseMs = 5;
  if (!owners_.remembers()) return;
  const uint64_t now = monotonic_us();
  promptly_from_us_ = std::max(promptly_from_us_, now) + kEachUs;
  if (promptly_from_us_ < now + kPromptUs) return;
  promptly_from_us_ = now + kPromptUs;
  pollfd wake{wake_.fd(), POLLIN, 0};
  ::poll(&wake, 1, kPauseMs);
}

/// Takes the reports of crashes, and looks at the processes now: by the time that their records are
/// read they may be gone.
void LogReader::take_crashes() {
  if (!has_events()) return;
  const uint64_t ahead = boottime_ahead().least_us;
  for (size_t taken = 0; taken < kMaxEvents; ++taken) {
    const auto event = events_.next();
    if (event.pid > 0) {
      // Not with `ahead`: after a suspend since the crash, processes that began later would seem to
      // have begun before it.
      const uint64_t at_us = event.at_us + events_ahead_us_;
      const bool looks = taken < kMaxLooks;
      crashes_.add(event.pid, at_us, looks ? owners_.holders_at(event.pid, at_us) : PidHolders{});
    }
    if (event.pid < 0) loses_events_ = true;
    if (loses_events_ && event.pid <= 0) crashes_.note_loss(boottime_us());
    if (event.pid == 0) {
      loses_events_ = false;
      events_ahead_us_ = ahead;
      return;
    }
  }
  // The others may come too late.
  crashes_.note_loss(boottime_us());
}

void LogReader::pump(size_t count) {
  // First, so that the times of later reports and of what is read now are of one scale.
  take_crashes();
  const bool more = log_.read_some(count);
  while (auto group = log_.next()) {
    if (sources_.logs != nullptr && group->first() >= begin_) deliver(*group);
  }
  if (sources_.logs != nullptr && log_.mark() > sources_.logs->mark()) {
    sources_.logs->set_mark(log_.mark());
  }
  counters_.lost = log_.lost();
  if (!more) live_ = true;
  tell_locked();
}

/// The processes with the PID of a crash record. Waits a moment until the crash is certain: until
/// the kernel reports it, or the process is killed or has ended.
PidHolders LogReader::wait_for_crash(const LogGroup& group, const LogMoment& moment) {
  const pid_t pid = group.pid;
  uint64_t& patient_from_us = patient_from_us_[static_cast<size_t>(group.kind)];
  const uint64_t begun = monotonic_us();
  const uint64_t until = live_ && begun >= patient_from_us ? begun + kPatienceUs : begun;
  PidHolders found;
  for (;;) {
    // In this order: one that crashes and is gone in between is still found, or was reported.
    found = owners_.holders(pid);
    take_crashes();
    const uint64_t now = boottime_us();
    const bool is_known = crashes_.has_report(pid, moment.least_us, now);
    const bool is_other = is_known && crashes_.is_of_later(pid, moment, found, now);
    const bool may_crash = found.living && !found.living->is_killed && (!is_known || is_other);
    const bool may_end = owners_.remembers() && crashes_.is_uncertain(pid, found, now);
    if (!may_crash && !may_end) break;
    if (monotonic_us() >= until) break;
    pollfd events{events_.fd(), POLLIN, 0};
    ::poll(&events, has_events() ? 1 : 0, 1);
  }
  const uint64_t waited = monotonic_us() - begun;
  patient_from_us = std::max(patient_from_us, begun + waited * kPatiencePart);
  return found;
}

std::optional<KnownProcess> LogReader::process_of(const LogGroup& group, uint64_t now_us) {
  LogMoment moment = moment_of(group.lines.back().time_us);
  // A crash is reported after it is logged: one that was reported earlier is not meant.
  if (live_) moment.least_us = saturating_sub(group.after_us, kPrintedLateUs);
  const auto& printer = group.printer;
  const bool was_printed_by_it = printer && printer->task == group.pid && live_;
  if (was_printed_by_it) {
    const BoottimeAhead ahead = boottime_ahead();
    moment.at_us = printer->at_us + ahead.max_us;
    moment.least_us = saturating_sub(printer->at_us + ahead.least_us, kClocksAgreeUs);
    auto found = owners_.printer(group.pid, moment.at_us, printer->cgroup);
    if (found || group.kind == LogKind::kCaller) return found;
  }
  if (group.kind == LogKind::kFault) return crashed(group, moment);
  if (group.kind != LogKind::kSeccomp) return who_had(owners_.holders(group.pid), moment);
  // A kernel that reports no crash for system calls is old, or has ended only a thread.
  const PidHolders holders = owners_.holders(group.pid);
  take_crashes();
  if (crashes_.has_report(group.pid, moment.least_us, now_us)) return crashed(group, moment);
  auto found = who_had(holders, moment);
  // Of a young one only the report tells that it was there.
  const bool may_crash = group.kills && holders.living && holders.living->start_us <= moment.at_us;
  return found || !may_crash ? found : crashed(group, moment);
}

std::optional<KnownProcess> LogReader::crashed(const LogGroup& group, const LogMoment& moment) {
  const PidHolders holders = wait_for_crash(group, moment);
  return crashes_.find(group.pid, moment, holders, boottime_us());
}

LogMoment LogReader::moment_of(uint64_t time_us) const { return log_.moment_of(time_us, live_); }

LogOwners::Owners LogReader::owners_of(const LogGroup& group, uint64_t now_us) {
  LogOwners::Owners found;
  const uint64_t time_us = group.lines.back().time_us;
  if (!group.memory_path.empty()) {
    found = owners_.of_path(LogOwners::Path::kMemory, group.memory_path, now_us);
  } else if (!group.pids_path.empty()) {
    found = owners_.of_path(LogOwners::Path::kPids, group.pids_path, now_us);
  } else if (group.pid != 0) {
    auto process = process_of(group, now_us);
    if (!process) return {};
    found = owners_.of_process(*process, now_us);
    known_[group.pid] = std::move(process);
  }
  // The name of a cgroup may be used again: a record older than a container is not its own. Where
  // it may be older, a cgroup that has seen no kill is not the one that it is about.
  const LogMoment moment = moment_of(time_us);
  const bool is_of_earlier = moment.slack_us > 0 && !group.memory_path.empty() &&
                             !owners_.had_kill(group.memory_path).value_or(true);
  const uint64_t logged_us = is_of_earlier ? saturating_sub(moment.at_us, moment.slack_us)
                                           : moment.at_us + moment.slack_us;
  const auto younger = [&](const LogOwner* owner) {
    return owner->description.init_start_us > logged_us &&
           starts_of_locked(owner->description).oldest_us() > logged_us;
  };
  found.erase(std::remove_if(found.begin(), found.end(), younger), found.end());
  return found;
}

size_t LogReader::deliver_to(const LogGroup& group, const LogOwner& owner) {
  const LogMoment moment = moment_of(group.lines.back().time_us);
  OwnerTranslator translator(owners_, owner, sources_.procfs_fd, moment, known_);
  const bool shows_limit = group.shows_limit(owner.memory_path);
  const int64_t offset = owner.description.boottime_offset_us;
  std::vector<OwnLine> lines;
  lines.reserve(group.lines.size());
  for (const LogLine& line : group.lines) {
    if (line.of_limit && !shows_limit) continue;
    auto text = translate(line, translator);
    if (!text) continue;
    const auto time_us = std::max<int64_t>(static_cast<int64_t>(line.time_us) + offset, 0);
    lines.push_back({line.sequence, static_cast<uint64_t>(time_us), line.level, std::move(*text)});
  }
  return sources_.logs->add(owner.description.id, owner.description.tenant_identity, group.first(),
                            lines, [this, &owner] { return sources_.banner(owner.description); });
}

void LogReader::deliver(const LogGroup& group) {
  const uint64_t now = live_ ? boottime_us() : begun_us_;
  known_.clear();
  // First, because the room of their logs may be needed.
  forget_ended(now);
  const auto owners = owners_of(group, now);
  // Most records that only their printer could prove are the host's own: those do not count.
  if (owners.empty() && live_ && group.kind != LogKind::kCaller) ++counters_.unproven;
  for (const LogOwner* owner : owners) {
    counters_.records[static_cast<size_t>(group.kind)] += deliver_to(group, *owner);
  }
  if (group.kind != LogKind::kOom || owners.empty()) return;
  auto& ids = owners_of_kills_.emplace_back();
  for (const LogOwner* owner : owners) ids.push_back(owner->description.id);
  if (owners_of_kills_.size() > kMaxOwnedKills) owners_of_kills_.pop_front();
  ++delivered_kills_;
}

void LogReader::forget_ended(uint64_t now_us) {
  if (forgotten_us_ != 0 && now_us - forgotten_us_ < kForgetUs) return;
  forgotten_us_ = now_us;
  sources_.logs->forget_ended();
}

LogReader::Counters LogReader::counters() const {
  const std::lock_guard lock(told_mutex_);
  return told_.counters;
}

}  // namespace vprocfs
