// User time, of which the kernel counts the niced part by the tick, but all of it as it was used: of
// two readings of cpu.stat the later one may have less user time that is not nice. What is told of
// both kinds never falls.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sourceOf } from "../source/tree.ts";
import { advanceSamples, type CpuSample, surveyedTime } from "../support/testing.ts";

interface Reading {
  /** user_usec, nice_usec. */
  readonly userUs: number;
  readonly niceUs: number;
}

/** What is told, µs. */
interface Told {
  readonly userUs: number;
  readonly niceUs: number;
}

const SECOND = 1_000_000;

/** What the source makes of readings, between which there is time enough for all of them. */
function samplesOf(readings: readonly Reading[]): CpuSample[] {
  return readings.map(({ userUs, niceUs }, i) => {
    const text = `user_usec ${userUs}\nsystem_usec 0\nnice_usec ${niceUs}\n`;
    const usage = sourceOf("v2", { "c/cpu.stat": text }).usage();
    return { uptimeUs: BigInt((i + 1) * 100 * SECOND), usage, shown: [0], hostCpuset: [0] };
  });
}

function inStat(samples: readonly CpuSample[], saved: boolean): Told[] {
  return advanceSamples(samples, saved).map(({ cpus: [cpu] }) => ({
    userUs: Number(cpu?.userUs),
    niceUs: Number(cpu?.niceUs),
  }));
}

/** `begins`: which sample is the first one of another worker. */
function inSurveys(samples: readonly CpuSample[], begins?: number): Told[] {
  const places = samples.map(() => 1n);
  const surveys = surveyedTime(samples, places, begins === undefined ? begins : BigInt(begins));
  return surveys.map(({ userS, niceS }) => ({
    userUs: Math.round(userS * SECOND),
    niceUs: Math.round(niceS * SECOND),
  }));
}

const KINDS: readonly (readonly [string, (samples: readonly CpuSample[]) => Told[]])[] = [
  ["/proc/stat", (samples) => inStat(samples, false)],
  ["/proc/stat, of another worker each time", (samples) => inStat(samples, true)],
  ["surveys", (samples) => inSurveys(samples)],
  ["surveys, of another worker from the second on", (samples) => inSurveys(samples, 1)],
  ["surveys, of another worker from the third on", (samples) => inSurveys(samples, 2)],
];

describe.each(KINDS)("in %s", (_, told) => {
  it("nice time that grew by more than all user time waits for that", () => {
    const readings = [
      { userUs: 1_000_000, niceUs: 0 },
      { userUs: 1_005_000, niceUs: 8_000 },
      { userUs: 1_005_000, niceUs: 12_000 },
      { userUs: 1_020_000, niceUs: 12_000 },
    ];
    expect(told(samplesOf(readings))).toEqual([
      { userUs: 1_000_000, niceUs: 0 },
      { userUs: 1_000_000, niceUs: 5_000 },
      { userUs: 1_000_000, niceUs: 5_000 },
      { userUs: 1_008_000, niceUs: 12_000 },
    ]);
  });

  it("no kind falls, and both together are all user time", () => {
    const growth = fc.record({ user: fc.nat(20_000), nice: fc.nat(20_000) });
    fc.assert(
      fc.property(fc.array(growth, { minLength: 1, maxLength: 8 }), (steps) => {
        const last = { userUs: 0, niceUs: 0 };
        const readings = steps.map(({ user, nice }) => {
          last.userUs += user;
          last.niceUs += nice;
          return { ...last };
        });
        told(samplesOf(readings)).forEach((now, i, all) => {
          const { userUs = Number.NaN } = readings[i] ?? {};
          expect(now.userUs + now.niceUs).toBe(userUs);
          expect(now.userUs).toBeGreaterThanOrEqual(all[i - 1]?.userUs ?? 0);
          expect(now.niceUs).toBeGreaterThanOrEqual(all[i - 1]?.niceUs ?? 0);
        });
      }),
      { numRuns: 50, interruptAfterTimeLimit: 12_000 },
    );
  });
});

it("of a kernel that does not tell nice time is all user time", () => {
  const usage = sourceOf("v2", { "c/cpu.stat": "user_usec 7\nsystem_usec 1\n" }).usage();
  expect(usage).toMatchObject({ userUs: 7n, niceUs: 0n, tellsNice: false });
});
