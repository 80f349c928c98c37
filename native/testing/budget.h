#pragma once

#include <napi.h>

namespace vprocfs {

/// (per second, steps: [what, at µs or tokens, tokens][]) -> for each step of "take" and "lend" how
/// long it has to wait, µs; 0 for "give" and "charge".
Napi::Value spend_budget(const Napi::CallbackInfo& info);

/// (exactly, pieces: [payer, µs][]) -> by payer, what it is charged for pieces that take so much
/// CPU time each, µs. Payer 0 pays nothing.
Napi::Value charge_laps(const Napi::CallbackInfo& info);

}  // namespace vprocfs
