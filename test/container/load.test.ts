// The arithmetic of load averages and their text, without any task.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type LoadSample, loadAverages } from "../support/testing.js";

/** LOAD_FREQ: five seconds and a tick. */
const PERIOD_US = 5_010_000n;
const MINUTES = 60_000_000n / PERIOD_US + 1n;
const TASKS = { running: 1n, total: 1n, lastPid: 1n };

/** kernel/sched/loadavg.c, as its comments and Documentation describe it. */
const FIXED_1 = 2048n;
const DECAY = [1884n, 2014n, 2037n];

function calcLoad(load: bigint, decay: bigint, active: bigint): bigint {
  const sum = load * decay + active * (FIXED_1 - decay);
  return (sum + (active >= load ? FIXED_1 - 1n : 0n)) / FIXED_1;
}

function printed(load: bigint): string {
  const rounded = load + FIXED_1 / 200n;
  const hundredths = ((rounded % FIXED_1) * 100n) / FIXED_1;
  return `${rounded / FIXED_1}.${`${hundredths}`.padStart(2, "0")}`;
}

/** One sample per period, from a container that has just started. */
function each(active: readonly bigint[]): LoadSample[] {
  return [0n, ...active].map((count, i) => ({ nowUs: BigInt(i + 7) * PERIOD_US, active: count }));
}

function averages(text: string): number[] {
  return text.split(" ", 3).map(Number);
}

describe("load averages", () => {
  it("are the kernel's, to the last digit, whatever the samples", () => {
    const counts = fc.array(fc.bigInt({ min: 0n, max: 20_000n }), { maxLength: 400 });
    fc.assert(
      fc.property(counts, (active) => {
        const loads = DECAY.map((decay) =>
          active.reduce((load, count) => calcLoad(load, decay, count * FIXED_1), 0n),
        );
        const expected = `${loads.map(printed).join(" ")} 1/1 1\n`;
        expect(loadAverages(0n, each(active), TASKS)).toBe(expected);
      }),
      { numRuns: 300 },
    );
  });

  it("reach what is always there, and nothing when nothing is", () => {
    const always = Array.from({ length: 3000 }, () => 3n);
    expect(loadAverages(0n, each(always), TASKS)).toBe("3.00 3.00 3.00 1/1 1\n");
    const never = [...always, ...always.map(() => 0n)];
    expect(loadAverages(0n, each(never), TASKS)).toBe("0.00 0.00 0.00 1/1 1\n");
  });

  it("take the time before the first sample for time like it", () => {
    const first = [{ nowUs: 1n, active: 2n }];
    const hours = 3_600_000_000n * 10n;
    expect(averages(loadAverages(hours, first, TASKS))).toEqual([2, 2, 2]);
    expect(averages(loadAverages(0n, first, TASKS))).toEqual([0, 0, 0]);
    const [one = 0, five = 0, fifteen = 0] = averages(loadAverages(12n * PERIOD_US, first, TASKS));
    expect(one).toBeCloseTo(2 * (1 - Math.exp(-1)), 1);
    expect(five).toBeCloseTo(2 * (1 - Math.exp(-1 / 5)), 1);
    expect(fifteen).toBeCloseTo(2 * (1 - Math.exp(-1 / 15)), 1);
  });

  it("are the same whether time passes in one piece or in many", () => {
    const start = { nowUs: 100n, active: 0n };
    const many = Array.from({ length: Number(MINUTES) * 5 }, (_, i) => ({
      nowUs: 100n + BigInt(i + 1) * PERIOD_US,
      active: 4n,
    }));
    const last = many.at(-1) ?? start;
    const whole = averages(loadAverages(0n, [start, last], TASKS));
    averages(loadAverages(0n, [start, ...many], TASKS)).forEach((value, i) => {
      expect(whole[i]).toBeCloseTo(value, 1);
    });
  });

  it("do nothing for clocks that stand still or go back, and survive gaps of years", () => {
    const start = { nowUs: 10n ** 12n, active: 0n };
    for (const nowUs of [10n ** 12n, 0n, 10n ** 12n + 2_000_000n]) {
      expect(averages(loadAverages(0n, [start, { nowUs, active: 50n }], TASKS))).toEqual([0, 0, 0]);
    }
    for (const nowUs of [10n ** 15n, 2n ** 63n, 2n ** 64n - 1n]) {
      const text = loadAverages(0n, [start, { nowUs, active: 50n }], TASKS);
      expect(averages(text)).toEqual([50, 50, 50]);
    }
  });
});

describe("the file", () => {
  it("has the kernel's form for any figures", () => {
    const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(u64, u64, u64, u64, u64, (uptime, active, running, total, lastPid) => {
        const text = loadAverages(uptime, [{ nowUs: 1n, active }], { running, total, lastPid });
        const match = /^(?:\d+\.\d\d ){3}(\d+)\/(\d+) (\d+)\n$/.exec(text);
        expect(match, text).not.toBeNull();
        const [some = 0n, all = 0n, last = 0n] = match?.slice(1).map(BigInt) ?? [];
        // Whoever reads is running, and is one of all.
        expect(some).toBeGreaterThanOrEqual(1n);
        expect(all).toBeGreaterThanOrEqual(some);
        expect(last).toBeGreaterThanOrEqual(1n);
      }),
    );
  });
});
