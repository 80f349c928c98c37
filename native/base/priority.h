#pragma once

namespace vprocfs {

/// Gives the calling thread priority over threads that compute (nice -10, unless its priority is
/// higher already). Otherwise readers would wait for the time slices of busy containers, because a
/// thread that answers many requests has used up the scheduler's bonus for sleepers. The
/// containers' budgets bound what it can take from others. Does nothing without the privilege.
void go_first();

/// Gives the calling thread, and those that it starts from now on, the priority of the process's
/// first thread.
void go_along();

}  // namespace vprocfs
