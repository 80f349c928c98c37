// Reads the mounts of namespaces that have changed, first those of the tenant on which the least
// time was spent.

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/pidfd.h"
#include "base/shortage.h"
#include "source/read_file.h"
#include "watch/namespace_watch.h"
#include "watch/process_namespaces.h"

namespace vprocfs {
namespace {

/// Mounts come in bursts (a runtime sets up a container): look once in a while, not for each.
constexpr uint64_t kMinRestUs = 10000;
/// A tenant's next reading begins after so many times the CPU time that the last one took. One that
/// has taken long also rests after each piece.
constexpr uint64_t kRestFactor = 9;
constexpr uint64_t kLongUs = 50000;

/// Whether a line of mountinfo is about a mount on or below proc or sysfs.
bool matters(std::string_view line) {
  constexpr std::string_view kParts[] = {"/proc", "/sys", " - proc ", "/dev ", "/dev/kmsg "};
  return std::any_of(std::begin(kParts), std::end(kParts),
                     [line](std::string_view part) { return line.find(part) != line.npos; });
}

/// The mounts of a process that is in mount namespace `key`. ESRCH: it is not, or has ended.
Result<Fd> open_mounts(pid_t pid, uint64_t key) {
  const std::string name = std::to_string(pid);
  auto opened = open_file(AT_FDCWD, "/proc/" + name + "/mountinfo");
  if (!opened) return Error{is_shortage(opened.error().code) ? opened.error().code : ESRCH, name};
  if (namespace_of(name, "mnt") != key) return Error{ESRCH, name};
  return opened;
}

}  // namespace

void NamespaceWatch::Reading::feed(std::string_view piece) {
  lines.feed(piece, [this](std::string_view line) {
    if (matters(line)) digest = fnv(digest, line);
  });
}

uint64_t NamespaceWatch::next_due(const std::vector<std::unique_ptr<Reading>>& readings) const {
  uint64_t soonest = UINT64_MAX;
  for (const auto& reading : readings) soonest = std::min(soonest, reading->not_before);
  if (dirty_ == 0) return soonest;
  for (const auto& [key, known] : known_) {
    if (!known.dirty) continue;
    const auto use = uses_.find(known.tenant);
    if (use == uses_.end() || use->second.reading) continue;
    soonest = std::min(soonest, std::max(known.not_before, use->second.not_before));
  }
  return soonest;
}

/// Begins the readings that are due, at most one for each tenant at a time.
void NamespaceWatch::begin_due(std::vector<std::unique_ptr<Reading>>& readings, uint64_t now) {
  if (dirty_ == 0) return;
  for (auto& [key, known] : known_) {
    if (!known.dirty || known.not_before > now) continue;
    Use& use = uses_[known.tenant];
    if (use.reading || use.not_before > now) continue;
    auto reading = std::make_unique<Reading>();
    reading->key = key;
    reading->serial = known.serial;
    reading->tenant = known.tenant;
    reading->pid = known.pid;
    reading->mounts = Fd(::fcntl(known.mounts.get(), F_DUPFD_CLOEXEC, 0));
    // Armed before the first byte is read: a change after that is reported.
    if (!reading->mounts || !epoll_.modify(known.mounts.get(), key, EPOLLPRI | EPOLLONESHOT)) {
      ++state_.shortages;
      known.not_before = now + kRetryUs;
      continue;
    }
    known.dirty = false;
    --dirty_;
    use.reading = true;
    use.spent_us = std::max(use.spent_us, clock_us_);
    readings.push_back(std::move(reading));
  }
}

/// Drops the readings of forgotten namespaces, which they would keep alive while they rest.
void NamespaceWatch::drop_ended(std::vector<std::unique_ptr<Reading>>& readings) {
  const auto is_past = [this](const std::unique_ptr<Reading>& reading) {
    const auto it = known_.find(reading->key);
    if (it != known_.end() && it->second.serial == reading->serial) return false;
    closing_.push_back(std::move(reading->mounts));
    give_back(*reading);
    return true;
  };
  readings.erase(std::remove_if(readings.begin(), readings.end(), is_past), readings.end());
}

/// Waits until there is something to read. False: stop() was called.
bool NamespaceWatch::wait_for_due(std::vector<std::unique_ptr<Reading>>& readings) {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    drop_ended(readings);
    // Not under the lock: closing the last descriptor of a namespace removes its mounts, perhaps
    // many.
    if (!closing_.empty()) {
      std::vector<Fd> closing;
      closing.swap(closing_);
      lock.unlock();
      closing.clear();
      lock.lock();
      // A stop that came while the lock was free is not announced again.
      continue;
    }
    const uint64_t now = monotonic_us();
    begin_due(readings, now);
    const auto is_ready = [now](const auto& reading) { return reading->not_before <= now; };
    if (std::any_of(readings.begin(), readings.end(), is_ready)) return true;
    const uint64_t due = next_due(readings);
    if (due == UINT64_MAX) {
      due_.wait(lock);
    } else if (due > now) {
      due_.wait_for(lock, std::chrono::microseconds(due - now));
    }
  }
  return false;
}

/// The reading of the tenant on which the least was spent, of those that do not rest.
size_t NamespaceWatch::choose(const std::vector<std::unique_ptr<Reading>>& readings) const {
  const std::lock_guard lock(mutex_);
  size_t best = 0;
  uint64_t least = UINT64_MAX;
  const uint64_t now = monotonic_us();
  for (size_t i = 0; i < readings.size(); ++i) {
    if (readings[i]->not_before > now) continue;
    const auto use = uses_.find(readings[i]->tenant);
    const uint64_t spent = use == uses_.end() ? 0 : use->second.spent_us;
    if (spent >= least) continue;
    least = spent;
    best = i;
  }
  return best;
}

/// Has the tenant rest, and read the next one then.
void NamespaceWatch::give_back(const Reading& reading) {
  const auto use = uses_.find(reading.tenant);
  if (use == uses_.end()) return;
  use->second.reading = false;
  use->second.not_before =
      std::max(reading.not_before, monotonic_us() + kRestFactor * reading.owed_us);
  if (use->second.count == 0) uses_.erase(use);
}

bool NamespaceWatch::replace(Known& known, uint64_t key, Result<Fd> fresh) {
  // Without a change since then it would show the same.
  if (known.reopened || has_ended(known.process)) return false;
  if (!fresh && !is_shortage(fresh.error().code)) return false;
  if (!fresh || !epoll_.add(fresh.value().get(), key, EPOLLPRI | EPOLLONESHOT)) {
    ++state_.shortages;
    known.not_before = monotonic_us() + kRetryUs;
  } else {
    epoll_.remove(known.mounts.get());
    closing_.push_back(std::exchange(known.mounts, std::move(fresh.value())));
    known.reopened = true;
  }
  if (!known.dirty) ++dirty_;
  known.dirty = true;
  return true;
}

void NamespaceWatch::finish(Reading& reading, bool whole, Events& out) {
  // The kernel shows what is below the root that the process had when this was opened. After a
  // pivot_root(2), and when the old root is unmounted, that is nothing for ever. Others need the
  // lock while it is opened again.
  const bool empty = whole && reading.offset == 0;
  Result<Fd> fresh = empty ? open_mounts(reading.pid, reading.key) : Error{ESRCH, ""};
  const std::lock_guard lock(mutex_);
  const uint64_t now = monotonic_us();
  give_back(reading);
  const auto it = known_.find(reading.key);
  if (it == known_.end() || it->second.serial != reading.serial) return;
  Known& known = it->second;
  known.not_before = now + kMinRestUs;
  if (!whole && !known.dirty) {
    known.dirty = true;
    ++dirty_;
  }
  if (!whole) known.not_before = now + kRetryUs;
  if (empty && replace(known, reading.key, std::move(fresh))) return;
  if (!whole || reading.digest == known.digest) return;
  known.digest = reading.digest;
  out.push_back(
      {WatchEvent::Kind::kMounts, known.pid, reading.key, known.tenant, known.ends_with_pid()});
}

/// A container may have any number of mounts: they are read piece by piece, and those of others in
/// between.
void NamespaceWatch::read_loop() {
  std::string buffer(kTablePiece, '\0');
  std::vector<std::unique_ptr<Reading>> readings;
  while (wait_for_due(readings)) {
    const size_t at = choose(readings);
    Reading& reading = *readings[at];
    const uint64_t begun = clock_us(CLOCK_THREAD_CPUTIME_ID);
    const ssize_t n =
        read_piece(reading.mounts.get(), buffer.data(), buffer.size(), reading.offset);
    if (n > 0) reading.feed(std::string_view(buffer.data(), static_cast<size_t>(n)));
    const uint64_t took = clock_us(CLOCK_THREAD_CPUTIME_ID) - begun;
    reading.took_us += took;
    reading.owed_us += took;
    if (n > 0 && reading.took_us >= kLongUs) {
      reading.not_before = monotonic_us() + kRestFactor * std::exchange(reading.owed_us, 0);
    }
    {
      const std::lock_guard lock(mutex_);
      const auto use = uses_.find(reading.tenant);
      if (use != uses_.end()) {
        clock_us_ = use->second.spent_us;
        use->second.spent_us += took;
      }
    }
    if (n > 0) {
      reading.offset += static_cast<size_t>(n);
      continue;
    }
    Events out;
    finish(reading, n == 0, out);
    readings.erase(readings.begin() + static_cast<ptrdiff_t>(at));
    if (!out.empty()) emit(std::move(out));
  }
}

}  // namespace vprocfs
