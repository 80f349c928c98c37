#include "klog/host_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxKills = 1024;
/// Records that are read before their printers are looked up.
constexpr size_t kBatch = 64;
// Of records from before us nothing tells how far the log's clock is off, which is never corrected:
// by some 100 µs in a second.
constexpr uint64_t kSlackUs = 2'000'000, kDriftPart = 5000;

}  // namespace

uint64_t log_clock_behind_us() { return boottime_ahead().max_us; }

HostLog::HostLog() : kmsg_(::open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
  char record[kLongestRecord];
  // Opening may be allowed where reading is not.
  const bool refused =
      kmsg_ && ::read(kmsg_.get(), record, sizeof(record)) < 0 && errno != EAGAIN && errno != EPIPE;
  if (kmsg_ && !refused) {
    ::lseek(kmsg_.get(), 0, SEEK_SET);
    return;
  }
  problem_ = std::string("/dev/kmsg: ") + std::strerror(errno);
  kmsg_ = Fd();
}

bool HostLog::read_some(size_t count) {
  const uint64_t now = boottime_us();
  bool more = kmsg_ && count > 0;
  while (more && count > 0) {
    const size_t part = std::min(count, kBatch);
    more = read_batch(part);
    count -= part;
    sort_batch(now);
  }
  sorter_.idle(boottime_us());
  return more;
}

/// Reads `count` records into the batch. False: there are no more at the moment.
bool HostLog::read_batch(size_t count) {
  char bytes[kLongestRecord];
  // Both before the read that finds nothing: what is logged afterwards is not older.
  const uint64_t ahead_us = boottime_ahead().least_us;
  uint64_t asked_us = monotonic_us();
  for (size_t i = 0; i < count; ++i) {
    const ssize_t n = ::read(kmsg_.get(), bytes, sizeof(bytes));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) {
      // Records were overwritten before we read them; the next one is the oldest that is left.
      ++lost_;
      continue;
    }
    if (n < 0 && errno == EAGAIN) empty_us_ = asked_us + ahead_us;
    if (n <= 0) return false;
    auto record = parse_record(std::string_view(bytes, static_cast<size_t>(n)));
    // Cut off, or in the form of a newer kernel.
    if (!record) continue;
    next_sequence_ = record->sequence + 1;
    record->after_us = empty_us_;
    asked_us = monotonic_us();
    clock_.observe(record->time_us, asked_us, log_clock_behind_us());
    batch_.push_back(std::move(*record));
  }
  return true;
}

/// After the whole batch was read: by the time a record can be read, its printer has been noted.
void HostLog::sort_batch(uint64_t now_us) {
  if (batch_.empty()) return;
  if (printers_) printers_->update();
  const uint64_t now = monotonic_us();
  for (LogRecord& record : batch_) {
    if (printers_) {
      const auto faulted = is_code(record.text) ? sorter_.without_code() : std::vector<pid_t>();
      record.printer = printers_->take(record, clock_.logged_by(record.time_us, now), faulted);
    }
    sorter_.take(record, now_us);
  }
  if (printers_) printers_->forget(clock_.logged_by(batch_.back().time_us, now));
  batch_.clear();
}

std::optional<LogGroup> HostLog::next() {
  auto group = sorter_.next();
  if (group && group->kill) {
    OomKill kill = *group->kill;
    // Before the log was empty for the first time, its records were those from before us.
    const LogMoment moment =
        moment_of(group->lines.back().time_us, follows_ && group->after_us != 0);
    kill.at_us = moment.at_us;
    kill.slack_us = moment.slack_us;
    kills_.push_back(std::move(kill));
    if (kills_.size() > kMaxKills) kills_.pop_front();
    ++killed_;
  }
  return group;
}

LogMoment HostLog::moment_of(uint64_t time_us, bool live) const {
  if (live) return {clock_.logged_by(time_us, monotonic_us()) + log_clock_behind_us(), 0};
  return {time_us + log_clock_behind_us(), kSlackUs + boottime_us() / kDriftPart};
}

std::vector<OomKill> HostLog::kills(uint64_t& seen) const {
  const uint64_t dropped = killed_ - kills_.size();
  const auto from = static_cast<ptrdiff_t>(seen <= dropped ? 0 : seen - dropped);
  seen = killed_;
  return {kills_.begin() + from, kills_.end()};
}

uint64_t HostLog::mark() const {
  const uint64_t waiting = sorter_.first_waiting();
  return waiting != 0 ? waiting : next_sequence_;
}

}  // namespace vprocfs
