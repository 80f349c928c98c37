#include "testing/budget.h"

#include <array>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/cpu_laps.h"
#include "tenant/budget.h"
#include "tenant/cpu_contention.h"
#include "tenant/fair_share.h"
#include "testing/values.h"

namespace vprocfs {
namespace {

void burn(uint64_t for_us) {
  const uint64_t end_us = clock_us(CLOCK_THREAD_CPUTIME_ID) + for_us;
  while (clock_us(CLOCK_THREAD_CPUTIME_ID) < end_us) {
  }
}

}  // namespace

Napi::Value spend_budget(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  Budget budget(reader.integer(info[0], "perSecond", UINT32_MAX));
  const ValueMaker maker(env);
  const Napi::Array out = Napi::Array::New(env);
  reader.each(info[1], "steps", [&](Napi::Value step) {
    const Napi::Object of = reader.object(step, "step");
    const std::string what = reader.text(reader.member(of, "0"), "what");
    const uint64_t first = reader.integer(reader.member(of, "1"), "number", UINT32_MAX);
    const uint64_t tokens = reader.integer(reader.member(of, "2"), "tokens", UINT32_MAX);
    if (reader.failed()) return;
    uint64_t wait_us = 0;
    if (what == "take") wait_us = budget.take(first);
    if (what == "lend") wait_us = budget.lend(first, tokens);
    if (what == "give") budget.give(tokens);
    if (what == "charge") budget.charge(first, tokens);
    if (what == "exceeded") wait_us = budget.is_exceeded(first) ? 1 : 0;
    if (what == "forgive") budget.forgive(first, static_cast<int64_t>(tokens));
    out.Set(out.Length(), maker.integer(wait_us));
  });
  if (reader.failed()) return env.Undefined();
  return out;
}

Napi::Value charge_laps(const Napi::CallbackInfo& info) {
  constexpr uint32_t kPayers = 4;
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const bool exactly = info[0].ToBoolean();
  std::array<uint64_t, kPayers> charged{};
  CpuLaps laps;
  reader.each(info[1], "pieces", [&](Napi::Value piece) {
    const Napi::Object of = reader.object(piece, "piece");
    const uint32_t payer = reader.integer(reader.member(of, "0"), "payer", kPayers - 1);
    const uint32_t us = reader.integer(reader.member(of, "1"), "us", 1000000);
    if (reader.failed()) return;
    if (payer == 0) {
      burn(us);
      laps.skip();
      return;
    }
    laps.begin(exactly);
    burn(us);
    charged[payer] += laps.end_us();
  });
  if (reader.failed()) return env.Undefined();
  const ValueMaker maker(env);
  const Napi::Array out = Napi::Array::New(env);
  for (uint32_t payer = 0; payer < kPayers; ++payer) out.Set(payer, maker.integer(charged[payer]));
  return out;
}

Napi::Value find_contention(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  CpuContention contention;
  const Napi::Array out = Napi::Array::New(env);
  reader.each(info[0], "uses", [&](Napi::Value step) {
    const Napi::Object of = reader.object(step, "use");
    std::array<uint64_t, 6> use{};
    for (size_t i = 0; i < use.size(); ++i) {
      use[i] = reader.integer(reader.member(of, std::to_string(i).c_str()), "number", UINT32_MAX);
    }
    if (reader.failed()) return;
    bool are_new = false;
    contention.note(CpuContention::Use{use[0], use[1], use[2], use[3], use[4], use[5]},
                    [&] { are_new = true; });
    const char* found = are_new ? "new" : contention.any(use[0]) ? "some" : "none";
    out.Set(out.Length(), Napi::String::New(env, found));
  });
  if (reader.failed()) return env.Undefined();
  return out;
}

Napi::Value fair_share_cpu(const Napi::CallbackInfo& info) {
  constexpr uint64_t kSteps = 50;
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const uint32_t each_us = reader.integer(info[0], "each", UINT32_MAX);
  const uint32_t all_us = reader.integer(info[1], "all", UINT32_MAX);
  const uint32_t windows = reader.integer(info[3], "windows", 1000);
  std::vector<uint64_t> wanted_us;
  reader.each(info[2], "wants", [&](Napi::Value wants) {
    wanted_us.push_back(reader.integer(wants, "wants", UINT32_MAX));
  });
  if (reader.failed()) return env.Undefined();
  const bool kept = info[4].ToBoolean();
  const ValueMaker maker(env);
  const Napi::Array out = Napi::Array::New(env);
  FairShare fair_share(each_us, all_us);
  std::vector<FairShareMember> members(wanted_us.size());
  uint64_t sum_us = 0;
  for (uint64_t step = kSteps; step < (windows + 1) * kSteps; ++step) {
    const uint64_t now_us = step * FairShare::kWindowUs / kSteps;
    for (size_t i = 0; i < members.size(); ++i) {
      // Begins the member's window, and with it its share.
      members[i].note(fair_share, now_us, 0);
      const uint64_t counts = std::max<uint64_t>(1, members[i].counted_us(FairShare::kWhole));
      const uint64_t may_us = kept ? each_us * FairShare::kWhole / counts : wanted_us[i];
      const uint64_t took_us =
          std::min(wanted_us[i], may_us) * (FairShare::kWindowUs / kSteps) / 1'000'000;
      members[i].note(fair_share, now_us, took_us);
      sum_us += took_us;
    }
    if (step % kSteps == kSteps - 1) {
      out.Set(out.Length(), maker.integer(sum_us * 1'000'000 / FairShare::kWindowUs));
      sum_us = 0;
    }
  }
  return out;
}

}  // namespace vprocfs
