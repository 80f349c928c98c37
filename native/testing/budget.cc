#include "tenant/budget.h"

#include "base/clock.h"
#include "base/cpu_laps.h"
#include "tenant/cpu_contention.h"
#include "tenant/fair_share.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

using Steps = std::vector<std::tuple<std::string, uint32_t, uint32_t>>;

/// (per second, steps: [what, at µs or tokens, tokens][]) -> for each step of "take" and "lend" how
/// long it has to wait, µs; for "exceeded" 1 if it is, and 0 for "give", "charge" and "forgive".
std::vector<Number> spend_budget(uint32_t per_second, const Steps& steps) {
  Budget budget(per_second);
  std::vector<Number> out;
  for (const auto& [what, first, tokens] : steps) {
    uint64_t wait_us = 0;
    if (what == "take") wait_us = budget.take(first);
    if (what == "lend") wait_us = budget.lend(first, tokens);
    if (what == "give") budget.give(tokens);
    if (what == "charge") budget.charge(first, tokens);
    if (what == "exceeded") wait_us = budget.is_exceeded(first) ? 1 : 0;
    if (what == "forgive") budget.forgive(first, tokens);
    out.emplace_back(wait_us);
  }
  return out;
}

void burn(uint64_t for_us) {
  const uint64_t end_us = clock_us(CLOCK_THREAD_CPUTIME_ID) + for_us;
  while (clock_us(CLOCK_THREAD_CPUTIME_ID) < end_us) {
  }
}

constexpr uint32_t kPayers = 4;
using Pieces = std::vector<std::tuple<UpTo<kPayers - 1>, UpTo<1'000'000>>>;

/// (exactly, pieces: [payer, µs][]) -> by payer, what it is charged for pieces that take so much
/// CPU time each, µs. Payer 0 pays nothing.
std::vector<Number> charge_laps(bool exactly, const Pieces& pieces) {
  std::array<uint64_t, kPayers> charged{};
  CpuLaps laps;
  for (const auto& [payer, us] : pieces) {
    if (payer == 0) {
      burn(us);
      laps.skip();
      continue;
    }
    laps.begin(exactly);
    burn(us);
    charged[payer] += laps.end_us();
  }
  return {charged.begin(), charged.end()};
}

/// (uses: [at µs, CPUs, idle µs, of the kernel, for requests, of the tenant][]) -> after each,
/// whether others want the CPUs: "none", "some", or "new" if they did not before.
std::vector<const char*> find_contention(const std::vector<std::array<uint32_t, 6>>& uses) {
  CpuContention contention;
  std::vector<const char*> out;
  for (const auto& use : uses) {
    bool are_new = false;
    contention.note(CpuContention::Use{use[0], use[1], use[2], use[3], use[4], use[5]},
                    [&] { are_new = true; });
    out.push_back(are_new ? "new" : contention.any(use[0]) ? "some" : "none");
  }
  return out;
}

/// (each, all: µs a second, wants: µs a second[], windows, kept) -> what tenants that want so much
/// take together in each window, µs a second. `kept`: they are kept to their share.
std::vector<Number> fair_share_cpu(uint32_t each_us, uint32_t all_us,
                                   const std::vector<uint32_t>& wanted_us, UpTo<1000> windows,
                                   bool kept) {
  constexpr uint64_t kSteps = 50;
  FairShare fair_share(each_us, all_us);
  std::vector<FairShareMember> members(wanted_us.size());
  std::vector<Number> out;
  uint64_t sum_us = 0;
  for (uint64_t step = kSteps; step < (windows + 1) * kSteps; ++step) {
    const uint64_t now_us = step * FairShare::kWindowUs / kSteps;
    for (size_t i = 0; i < members.size(); ++i) {
      // Begins the member's window, and with it its share.
      members[i].note(fair_share, now_us, 0);
      const uint64_t counts = std::max<uint64_t>(1, members[i].counted_us(FairShare::kWhole));
      const uint64_t may_us = kept ? each_us * FairShare::kWhole / counts : wanted_us[i];
      const uint64_t took_us =
          std::min<uint64_t>(wanted_us[i], may_us) * (FairShare::kWindowUs / kSteps) / 1'000'000;
      members[i].note(fair_share, now_us, took_us);
      sum_us += took_us;
    }
    if (step % kSteps == kSteps - 1) {
      out.emplace_back(sum_us * 1'000'000 / FairShare::kWindowUs);
      sum_us = 0;
    }
  }
  return out;
}

}  // namespace

void add_budget(Napi::Object& exports) {
  add<spend_budget>(exports, "spendBudget");
  add<charge_laps>(exports, "chargeLaps");
  add<find_contention>(exports, "findContention");
  add<fair_share_cpu>(exports, "fairShareCpu");
}

}  // namespace vprocfs
