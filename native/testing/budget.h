#pragma once

#include <napi.h>

namespace vprocfs {

/// (per second, steps: [what, at µs or tokens, tokens][]) -> for each step of "take" and "lend" how
/// long it has to wait, µs; for "exceeded" 1 if it is, and 0 for "give", "charge" and "forgive".
Napi::Value spend_budget(const Napi::CallbackInfo& info);

/// (exactly, pieces: [payer, µs][]) -> by payer, what it is charged for pieces that take so much
/// CPU time each, µs. Payer 0 pays nothing.
Napi::Value charge_laps(const Napi::CallbackInfo& info);

/// (uses: [at µs, CPUs, idle µs, of the kernel, for requests, of the tenant][]) -> after each,
/// whether others want the CPUs: "none", "some", or "new" if they did not before.
Napi::Value find_contention(const Napi::CallbackInfo& info);

/// (each, all: µs a second, wants: µs a second[], windows, kept) -> what tenants that want so much
/// take together in each window, µs a second. `kept`: they are kept to their share.
Napi::Value fair_share_cpu(const Napi::CallbackInfo& info);

}  // namespace vprocfs
