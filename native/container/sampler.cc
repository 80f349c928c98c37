#include "container/sampler.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/priority.h"
#include "container/container.h"

namespace vprocfs {
Result<bool> Sampler::start() {
  return thread_.start([this] { run(); });
}

void Sampler::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& weak : sampled_) {
      if (const auto load = weak.lock()) load->give_up();
    }
  }
  wake_.notify_all();
  thread_.join();
}

void Sampler::note_read(const std::shared_ptr<TaskLoad>& load, uint64_t boottime_us) {
  load->asked_us = boottime_us;
  if (load->enrolled || load->enrolled.exchange(true)) return;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return load->give_up();
    sampled_.push_back(load);
    refresh_from_us_ = kAsked;
    asked_ = true;
  }
  wake_.notify_all();
}

void Sampler::refresh(uint64_t boottime_us) {
  if (boottime_us < refresh_from_us_ || refresh_from_us_.exchange(kAsked) == kAsked) return;
  {
    const std::lock_guard lock(mutex_);
    asked_ = true;
  }
  wake_.notify_all();
}

std::string Sampler::counter() const {
  const std::lock_guard lock(mutex_);
  return counter_name_;
}

std::string Sampler::fallback() const {
  const std::lock_guard lock(mutex_);
  return fallback_;
}

Sampler::Loads Sampler::drop_unread(uint64_t boottime_us) {
  Loads loads;
  std::vector<std::weak_ptr<TaskLoad>> kept;
  const auto is_read = [boottime_us](const TaskLoad& load) {
    return boottime_us < load.asked_us + kIdleTimeoutUs;
  };
  for (const auto& weak : sampled_) {
    auto load = weak.lock();
    if (!load) continue;
    if (!is_read(*load)) {
      load->pause();
      load->enrolled = false;
      // Whoever asked at this very moment either put it back or left that to us.
      if (!is_read(*load) || load->enrolled.exchange(true)) continue;
    }
    kept.push_back(load);
    loads.push_back(std::move(load));
  }
  sampled_ = std::move(kept);
  return loads;
}

void Sampler::run() {
  go_along();
  uint64_t next_us = 0, rested_us = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (sampled_.empty()) next_us = 0;
    wake_.wait(lock, [this] { return stopping_ || !sampled_.empty(); });
    const Loads loads = stopping_ ? Loads() : drop_unread(boottime_us());
    if (stopping_) return;
    if (loads.empty()) continue;
    const uint64_t now = monotonic_us();
    if (next_us == 0) next_us = now + kLoadPeriodUs;
    const bool awaited = asked_;
    const uint64_t due = awaited ? rested_us : std::max(next_us, rested_us);
    if (now < due) {
      wake_.wait_for(lock, std::chrono::microseconds(due - now),
                     [this, awaited] { return stopping_ || (asked_ && !awaited); });
      continue;
    }
    const bool sample = now >= next_us;
    // Passes keep their distance; one that comes too late is not made up for.
    if (sample) next_us = std::max(next_us + kLoadPeriodUs, now + kLoadPeriodUs / 2);
    asked_ = false;
    refresh_from_us_ = kAsked;
    lock.unlock();
    const bool is_first = !counter_;
    const uint64_t used_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
    const uint64_t took_us = pass(loads, sample);
    // What the first one takes, to load BPF programs, says nothing of the others.
    const uint64_t cost_us = is_first ? 0 : clock_us(CLOCK_THREAD_CPUTIME_ID) - used_us;
    refresh_from_us_ = boottime_us() + std::max(kFreshUs, (kRefreshPart - 1) * cost_us);
    // However many containers begin to ask one after the other: a tenth of the time at most.
    rested_us = monotonic_us() + std::min<uint64_t>(9 * took_us, 1000000);
    lock.lock();
  }
}

uint64_t Sampler::pass(const Loads& loads, bool sample) {
  std::vector<CountedCgroup> cgroups;
  cgroups.reserve(loads.size());
  for (const auto& load : loads) cgroups.push_back(load->cgroup());
  std::vector<TaskCount> counts;
  const uint64_t begun = monotonic_us();
  const bool counted = count(cgroups, counts);
  const uint64_t took_us = monotonic_us() - begun;
  passes_.fetch_add(1, std::memory_order_relaxed);
  spent_us_.fetch_add(took_us, std::memory_order_relaxed);
  const uint64_t boottime = boottime_us();
  for (size_t i = 0; i < loads.size(); ++i) {
    if (counted) {
      loads[i]->take(counts[i], begun, boottime, sample);
    } else {
      loads[i]->give_up();
    }
  }
  return took_us;
}

bool Sampler::count(const std::vector<CountedCgroup>& cgroups, std::vector<TaskCount>& out) {
  if (!counter_) choose();
  // A counter that fails is replaced, once, by the one that always works.
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto counts = counter_->count(cgroups);
    if (counts) {
      out = std::move(counts.value());
      return true;
    }
    fall_back(counts.error());
  }
  return false;
}

void Sampler::choose() {
  if (!how_.bpf) return fall_back({});
  auto made = make_bpf_task_counter(how_.sysfs_fd);
  if (!made) return fall_back(made.error());
  counter_ = std::move(made.value());
  const std::lock_guard lock(mutex_);
  counter_name_ = counter_->name();
}

void Sampler::fall_back(const Error& why) {
  counter_ = make_scan_task_counter(*how_.mounts, how_.procfs_fd, kScanBudgetUs);
  const std::lock_guard lock(mutex_);
  counter_name_ = counter_->name();
  if (why.code != 0) fallback_ = why.path + ": " + std::strerror(why.code);
}

}  // namespace vprocfs
