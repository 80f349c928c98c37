// What a container has reported before, and what is not its own.

#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "container/container.h"
#include "container/earlier_use.h"
#include "container/history_record.h"

namespace vprocfs {

void Container::load_histories() {
  cpu_record_.load(
      [this](const void* data, size_t bytes) {
        CpuHistory candidate;
        if (!unpack_history(data, bytes, candidate)) return false;
        if (candidate.uptime_us < histories_.cpu.uptime_us) return false;
        histories_.cpu = std::move(candidate);
        return true;
      },
      [this](const void* data, size_t bytes) {
        CpuHistory earlier;
        if (unpack_history(data, bytes, earlier)) leave_out(seen_by(earlier));
      });
  io_record_.load([this](const void* data, size_t bytes) {
    IoHistory candidate;
    if (!unpack_io_history(data, bytes, candidate)) return false;
    const IoTotals have = histories_.io.sums.totals(), more = candidate.sums.totals();
    if (more.read_bytes < have.read_bytes || more.written_bytes < have.written_bytes) return false;
    histories_.io = std::move(candidate);
    return true;
  });
  io_losses_record_.load([this](const void* data, size_t bytes) {
    IoLosses candidate;
    if (!IoLosses::unpack(data, bytes, candidate)) return false;
    if (candidate.reported() < histories_.io_losses.reported()) return false;
    histories_.io_losses = std::move(candidate);
    return true;
  });
  events_record_.load([this](const void* data, size_t bytes) {
    EventHistory candidate;
    if (!unpack_events(data, bytes, candidate)) return false;
    if (candidate.reported() < histories_.events.reported()) return false;
    histories_.events = candidate;
    return true;
  });
}

std::optional<CpuUsageFacts> Container::used_cpu() {
  constexpr int kTries = 20;
  constexpr std::chrono::microseconds kPause{100};
  std::unique_lock lock(mutex_, std::try_to_lock);
  for (int i = 1; i < kTries && !lock.owns_lock(); ++i) {
    std::this_thread::sleep_for(kPause);
    lock.try_lock();
  }
  if (!lock.owns_lock() || open_source_locked(boottime_us())) return std::nullopt;
  auto usage = source_->cpu_usage();
  if (!usage) return std::nullopt;
  return std::move(usage.value());
}

std::optional<uint64_t> Container::used_cpu_us() {
  const auto used = used_cpu();
  return used ? std::optional(sum_of(*used)) : std::nullopt;
}

void Container::leave_out(const CpuUsageFacts& used) {
  const std::lock_guard lock(mutex_);
  // It goes on with what an earlier worker has shown.
  if (histories_.cpu.uptime_us != 0) return;
  vprocfs::leave_out(histories_.cpu, used);
  cpu_record_.save(pack_history(histories_.cpu));
}

}  // namespace vprocfs
