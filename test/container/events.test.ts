// Page faults and OOM kills of a container, which the kernel counts for a cgroup.

import { describe, expect, it } from "vitest";
import { advanceEvents, type EventReading } from "../support/testing.js";

const at = (place: bigint, pgfault?: bigint, oomKills?: bigint): EventReading => ({
  place,
  events: [
    ...(pgfault === undefined ? [] : [{ key: "pgfault", count: pgfault }]),
    ...(oomKills === undefined ? [] : [{ key: "oom_kill", count: oomKills }]),
    { key: "anon", count: 1000n - (pgfault ?? 0n) },
  ],
});

describe.each([false, true])("with another worker for each reading: %s", (saved) => {
  function told(readings: readonly EventReading[], key: string): (bigint | undefined)[] {
    return advanceEvents(readings, saved).map(
      (events) => events.find((event) => event.key === key)?.count,
    );
  }

  it("are what the cgroup has counted", () => {
    const readings = [at(1n, 5n, 0n), at(1n, 9n, 2n)];
    expect(told(readings, "pgfault")).toEqual([5n, 9n]);
    expect(told(readings, "oom_kill")).toEqual([0n, 2n]);
    expect(told(readings, "anon")).toEqual([995n, 991n]);
  });

  it.each([0n, 3n, 700n])("go on in a cgroup that has counted %d", (first) => {
    const readings = [at(1n, 5n), at(2n, first), at(2n, first + 4n), at(1n, 50n), at(1n, 51n)];
    expect(told(readings, "pgfault")).toEqual([5n, 5n, 9n, 9n, 10n]);
  });

  it("go on in a new cgroup though they were not asked for when it was new", () => {
    const readings = [at(1n, 5n, 3n), at(2n, 70n), at(2n, 71n, 40n), at(2n, 72n, 41n)];
    expect(told(readings, "oom_kill").slice(2)).toEqual([3n, 4n]);
    // Nor ever before.
    expect(told([at(1n, 5n), ...readings.slice(1)], "oom_kill").slice(2)).toEqual([0n, 1n]);
  });

  it("stay while nothing counts them, and go on once the controller counts from 0", () => {
    const readings = [at(1n, 5n, 3n), at(1n), at(1n, 2n, 0n), at(1n, 4n, 1n)];
    expect(told(readings, "pgfault")).toEqual([5n, 5n, 5n, 7n]);
    expect(told(readings, "oom_kill")).toEqual([3n, 3n, 3n, 4n]);
  });
});
