#pragma once

namespace vprocfs {

/// Lets the calling thread go before those that compute (nice -10, unless it is better already).
/// Whoever waits for an answer would else wait for the time slices of whoever hammers: a thread
/// that answers much has used up what the scheduler grants to sleepers. What it may take from
/// others is bounded by the containers' budgets. Without the right to do so nothing changes.
void go_first();

}  // namespace vprocfs
