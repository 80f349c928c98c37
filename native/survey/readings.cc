// How a surveyor reads its containers, none of which may keep it from the others.

#include <algorithm>
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
#include "container/cpu_model.h"
#include "source/cgroup_dir.h"
#include "survey/member.h"
#include "survey/memory_figures.h"
#include "survey/surveyor.h"

namespace vprocfs {
namespace {

// A survey of more containers than this uses another thread for each so many, up to a maximum.
constexpr size_t kRowsPerThread = 100;
constexpr size_t kMaxThreads = 4;
// A container that takes longer to read is given up, with all of its tenant's, and its tenant left
// alone for a while; how often that is looked at.
constexpr uint64_t kReadWithinUs = 1'000'000, kRestUs = 10 * kReadWithinUs;
constexpr std::chrono::milliseconds kLook{50};
// While one is being waited for, another thread goes on with the others after so long; that many at
// most, so that many containers together do not keep a survey for longer than one.
constexpr uint64_t kSlowUs = 50'000;
constexpr size_t kMaxStarted = 128;

}  // namespace

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
    bool is_followed = false;   ///< another one goes on with the next rows meanwhile
    bool given_up = false, has_ended = false;
  };
  std::mutex mutex;
  std::condition_variable ended;  ///< a worker has
  std::vector<Row> rows;
  std::vector<Worker> workers;
  size_t next = 0;              ///< row
  std::set<uint64_t> given_up;  ///< tenants, of which nothing more is read
};

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
    all.workers[worker].is_followed = false;
    row.member->is_idle = false;
    lock.unlock();
    Figures figures = row.figures;
    const bool done = read(*row.member, boottime_us(), figures);
    lock.lock();
    // Nobody else may know it any more.
    if (all.workers[worker].given_up) close(*row.member);
    row.member->is_idle = true;
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
  for (auto rests = rests_.begin(); rests != rests_.end();) {
    if (begun_us < rests->second) all.given_up.insert(rests->first.pid_namespace);
    rests = begun_us < rests->second ? std::next(rests) : rests_.erase(rests);
  }
  for (const SurveyRow& row : rows) {
    Reading::Row& one = all.rows.emplace_back();
    one.member = members_.at(row.id);
    one.figures = row.figures;
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
      if (is_over(worker) || now_us < worker.since_us + kSlowUs) continue;
      worker.given_up = now_us >= worker.since_us + kReadWithinUs;
      // Else there is no thread for it.
      if (!worker.row) continue;
      if (worker.given_up) {
        const TenantIdentity& tenant = all.rows[*worker.row].member->description.tenant_identity;
        all.given_up.insert(tenant.pid_namespace);
        rests_[tenant] = now_us + kRestUs;
      }
      const bool may_start = worker.given_up || all.workers.size() < kMaxStarted;
      if (worker.is_followed || !may_start || all.next >= all.rows.size()) continue;
      worker.is_followed = true;
      start_locked(lock);
    }
  }
  uint64_t failed = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Reading::Row& row = all.rows[i];
    if (row.done) rows[i].figures = row.figures;
    if (!row.done || row.failed) ++failed;
    if (!row.member->is_idle) held_.insert(members_.extract(rows[i].id));
  }
  return failed;
}

void Surveyor::take_back() {
  for (auto held = held_.begin(); held != held_.end();) {
    const auto next = std::next(held);
    Member& member = *held->second;
    if (member.is_idle) {
      // Those that it has not been told of.
      for (const OomKill& kill : kills_) attribute(member, kill);
      member.may_have_moved = true;
      members_.insert(held_.extract(held));
    }
    held = next;
  }
}

}  // namespace vprocfs
