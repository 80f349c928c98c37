#!/bin/sh
# The tests of takeover with more of everything: storm.sh [KILLS [RELOADS [FLIPS]]]
#
# Prints, besides the test results, one JSON line each for kills and reloads: reads, failures, hung
# readers, times in µs, the longest read per kill or reload (stall...), the keeper's memory and
# descriptors before and after. 1000 kills and 100 reloads take about half an hour.
set -eu
cd "$(dirname "$0")/../.."
export VPROCFS_TEST_STORM_KILLS="${1:-1000}"
export VPROCFS_TEST_STORM_RELOADS="${2:-100}"
export VPROCFS_TEST_STORM_FLIPS="${3:-200}"
status=0
run() {
  node_modules/.bin/vitest run --config test/vitest.config.ts "$@" || status=1
}
run --project e2e-once test/e2e/never-down-storm test/e2e/never-down-state
# On a kernel that does not resend requests.
run --project vm test/e2e/vm/v2 -t "when a worker dies"
exit "$status"
