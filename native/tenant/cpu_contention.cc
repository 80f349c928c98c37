#include "tenant/cpu_contention.h"

#include <unistd.h>

#include <array>

#include "base/clock.h"
#include "base/clock_tick.h"
#include "source/host_source.h"
#include "source/parse.h"
#include "tenant/tenant.h"

namespace vprocfs {
namespace {

constexpr uint64_t kLookUs = 250'000, kLastsUs = 1'000'000, kLongestUs = 2'000'000;

uint64_t since(uint64_t before, uint64_t now) { return now > before ? now - before : 0; }

/// The numbers on the first line of /proc/stat, in ticks: user, nice, system, idle, iowait, irq,
/// softirq, steal.
std::optional<std::array<uint64_t, 8>> cpu_line(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  if (take_word(text) != "cpu") return std::nullopt;
  std::array<uint64_t, 8> out{};
  for (uint64_t& figure : out) {
    const auto number = parse_u64(take_word(text));
    if (!number) return std::nullopt;
    figure = *number;
  }
  return out;
}

}  // namespace

bool CpuContention::claim(uint64_t now_us) {
  const auto is_due = [&] { return now_us >= due_us_.load(std::memory_order_relaxed); };
  if (!is_due() || measuring_.exchange(true)) return false;
  // Another thread may have measured meanwhile.
  if (!is_due()) {
    measuring_ = false;
    return false;
  }
  due_us_.store(now_us + kLookUs, std::memory_order_relaxed);
  return true;
}

bool CpuContention::any(uint64_t now_us) const {
  return now_us < lasts_until_us_.load(std::memory_order_relaxed) ||
         (measuring_.load() && now_us > due_us_.load(std::memory_order_relaxed) + kLastsUs);
}

std::optional<CpuContention::Use> CpuContention::use_of(HostSource& host, const Tenant& tenant,
                                                        std::optional<uint64_t> tenant_us) {
  const uint64_t requests_us = tenant.charged_us();
  const uint64_t now_us = boottime_us();
  const auto stat = host.raw("proc/stat");
  if (!stat) return std::nullopt;
  const auto ticks = cpu_line(stat.value());
  if (!ticks) return std::nullopt;
  const auto [user, nice, system, idle, iowait, irq, softirq, steal] = *ticks;
  Use use;
  use.at_us = now_us;
  use.cpus = static_cast<uint64_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  use.idle_us = (idle + iowait) * kClockTickUs;
  use.kernel_us = (irq + softirq + steal) * kClockTickUs;
  use.requests_us = requests_us;
  use.tenant_us = tenant_us;
  return use;
}

void CpuContention::note(const std::optional<Use>& use, const std::function<void()>& when_new) {
  const std::lock_guard lock(mutex_);
  measuring_ = false;
  // Too short a time: the kernel reports idle time in ticks, so all would seem busy.
  if (!use || use->at_us < last_.at_us + kLookUs / 2) return;
  const Use before = std::exchange(last_, *use);
  const uint64_t took_us = use->at_us - before.at_us;
  if (took_us > kLongestUs) return;
  const uint64_t all_us = use->cpus * took_us;
  const uint64_t idle_us = since(before.idle_us, use->idle_us);
  const uint64_t requests_us = since(before.requests_us, use->requests_us);
  const bool is_known = before.tenant_us && use->tenant_us;
  const uint64_t tenant_us = is_known ? since(*before.tenant_us, *use->tenant_us) : 0;
  const uint64_t known_us =
      idle_us + requests_us + tenant_us + since(before.kernel_us, use->kernel_us);
  const bool is_full = idle_us * 10 < all_us;
  const bool others_run = since(known_us, all_us) * 5 > took_us;
  const bool requests_fill_it = since(requests_us, all_us) * 2 < took_us;
  seen_.store(is_full && (others_run || requests_fill_it), std::memory_order_relaxed);
  if (!seen()) return;
  if (!any(use->at_us)) when_new();
  lasts_until_us_.store(use->at_us + kLastsUs, std::memory_order_relaxed);
}

}  // namespace vprocfs
