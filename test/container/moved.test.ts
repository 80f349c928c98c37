// CPU time and I/O of a container that is moved between cgroups of v1, each of which counts for itself.

import { expect, it } from "vitest";
import {
  advanceInherited,
  advanceMoved,
  type CpuReport,
  type CpuSample,
  restoreIo,
  surveyedTime,
} from "../support/testing.ts";

const S = 1_000_000n;
const A = 1n;
const B = 2n;

/** After so many seconds of uptime, with so many seconds of user time in its cgroup. */
function sample(uptimeS: bigint, userS: bigint, throttledS = 0n): CpuSample {
  const throttledUs = throttledS * S;
  const usage = { userUs: userS * S, niceUs: 0n, systemUs: 0n, throttledUs, perCpu: [] };
  return { uptimeUs: uptimeS * S, usage, shown: [0, 1], hostCpuset: [0, 1] };
}

/** Seconds of user time on each report. */
function userTime(reports: readonly CpuReport[]): number[] {
  return reports.map(({ cpus }) =>
    cpus.reduce((sum, { userUs }) => sum + Number(userUs / 1000n) / 1000, 0),
  );
}

/** The same of each survey. */
function surveyedUserTime(...given: Parameters<typeof surveyedTime>): number[] {
  return surveyedTime(...given).map(({ userS }) => userS);
}

const KINDS = [
  ["/proc/stat", (...given: Parameters<typeof advanceMoved>) => userTime(advanceMoved(...given))],
  ["surveys", surveyedUserTime],
] as const;

it.each(KINDS)("of one that comes back is counted once, by %s", (_, told) => {
  const samples = [sample(10n, 5n), sample(20n, 1n), sample(30n, 6n), sample(40n, 8n)];
  expect(told(samples, [A, B, A, A])).toEqual([5, 6, 7, 9]);
  // What others have used there meanwhile is not its own.
  samples[2] = sample(30n, 26n);
  samples[3] = sample(40n, 28n);
  expect(told(samples, [A, B, A, A])).toEqual([5, 6, 6, 8]);
});

it.each(KINDS)(
  "in another cgroup that has the number of one it left is its own, by %s",
  (_, told) => {
    const samples = [sample(10n, 5n), sample(20n, 1n), sample(30n, 2n), sample(40n, 4n)];
    expect(told(samples, [A, B, A, A])).toEqual([5, 6, 8, 10]);
  },
);

it("goes on at once where no worker has seen the move", () => {
  const samples = [sample(100n, 50n), sample(110n, 2n), sample(120n, 5n)];
  expect(userTime(advanceInherited(samples))).toEqual([50, 50, 53]);
});

it("goes on in surveys where no worker has seen the move, and never falls", () => {
  const samples = [
    sample(10n, 5n),
    // Others were there before.
    sample(20n, 100n),
    sample(30n, 103n),
    sample(40n, 2n),
    sample(50n, 4n),
  ];
  expect(surveyedUserTime(samples, [A, B, B, A, A], 3n)).toEqual([5, 5, 8, 8, 10]);
  expect(surveyedUserTime(samples.slice(0, 3), [A, B, B], 2n)).toEqual([5, 5, 8]);
});

it.each([
  ["all of it", sample(100n, 50n, 1n), sample(110n, 2n, 30n), sample(120n, 5n, 32n)],
  ["the quota", sample(100n, 50n, 40n), sample(110n, 52n, 10n), sample(120n, 55n, 12n)],
])("has no steal of others where no worker has seen %s move", (_, ...samples) => {
  const steal = advanceInherited(samples).map(({ cpus }) =>
    cpus.reduce((sum, { stealUs }) => sum + Number(stealUs / S), 0),
  );
  expect(steal.map((now) => now - (steal[0] ?? 0))).toEqual([0, 0, 2]);
});

it("has none of the I/O of a device that has gone, once another one has its number", () => {
  const read = (place: bigint, present: number[], used: number[], ...readBytes: bigint[]) => ({
    place,
    present,
    used,
    readBytes,
  });
  const readings = [
    read(A, [8, 9], [8, 9], 50n, 60n),
    read(B, [8, 9], []),
    read(B, [9], []),
    read(B, [8, 9], [8, 9], 2n, 3n),
  ];
  expect(restoreIo(readings)).toEqual([[50n, 60n], [50n, 60n], [60n], [2n, 63n]]);
});
