#include "container/task_load.h"

#include <algorithm>
#include <utility>

#include "base/wide.h"

namespace vprocfs {

TaskLoad::TaskLoad(CountedCgroup cgroup, uint64_t key, const LifeStarts& starts, StateFile* state)
    : cgroup_(std::move(cgroup)),
      start_us_(starts.first_us),
      record_(state, RecordType::kLoad, key, starts, kLoadVersion) {
  record_.load([this](const void* data, size_t bytes) {
    LoadHistory found;
    if (!unpack_load(data, bytes, found) || found.sampled_us < history_.sampled_us) return false;
    history_ = found;
    return true;
  });
  figures_.load = history_.averages;
}

TaskLoad::~TaskLoad() {
  // The averages of a container that lives on stay for the next one who asks.
  if (ended_) record_.drop();
}

TaskFacts TaskLoad::latest() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void TaskLoad::wait(std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [this] { return current_ || given_up_; });
}

void TaskLoad::take(const TaskCount& count, uint64_t monotonic_us, uint64_t boottime_us,
                    bool sample) {
  const std::lock_guard lock(mutex_);
  const uint64_t active = count.running + count.blocked;
  if (!history_.started) {
    start_load(history_, active, monotonic_us, saturating_sub(boottime_us, start_us_));
    record_.save(pack_load(history_));
  } else if (sample || !current_) {
    advance_load(history_, active, monotonic_us);
    record_.save(pack_load(history_));
  }
  figures_.running = std::max<uint64_t>(count.running, 1);
  figures_.blocked = count.blocked;
  figures_.total = std::max<uint64_t>(count.total, 1);
  // Not known for once, as when no task of that PID namespace was met: the last one that was.
  figures_.last_pid =
      std::max<uint64_t>(count.last_pid == 0 ? figures_.last_pid : count.last_pid, 1);
  figures_.load = history_.averages;
  current_ = true;
  changed_.notify_all();
}

void TaskLoad::pause() {
  const std::lock_guard lock(mutex_);
  current_ = false;
  figures_.running = 1;
  figures_.blocked = 0;
}

void TaskLoad::give_up() {
  const std::lock_guard lock(mutex_);
  given_up_ = true;
  changed_.notify_all();
}

}  // namespace vprocfs
