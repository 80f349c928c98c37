#!/bin/sh
# Many calls of sysinfo(2), and what one costs: calls.sh [CALLS [TRIALS]]
#
# Containers of runc and LXC call at once, while workers are killed and reloaded; for each worker one
# JSON line with its memory and descriptors before and after, and one for the keeper. Then the time of
# a call (p50, p99, mean in µs; medians of trials that take turns): with the least agent there is
# (`bare`), with vprocfs, how much more that is (the mark is 30 µs), and through LXC's monitor.
# 10 million calls take five to ten minutes.
set -eu
cd "$(dirname "$0")/../.."
export VPROCFS_TEST_CALLS="${1:-10000000}"
export VPROCFS_TEST_CALL_TRIALS="${2:-15}"
export VPROCFS_TEST_CALL_ROUNDS=2
exec node_modules/.bin/vitest run test/e2e/calls-long --config test/vitest.config.ts \
  --project e2e-once --disable-console-intercept
