// What holds of the CPU counters over time, whatever the samples say (native/container/
// cpu_history.h): nothing decreases, nobody gains more time than has passed.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  advanceSamples,
  type CpuCounters,
  type CpuReport,
  type CpuSample,
} from "../support/testing.ts";

/** Looking for a smaller example of a failure ends in time to be told of. */
const runs = { numRuns: 400, interruptAfterTimeLimit: 12_000 };
const maxU64 = 2n ** 64n - 1n;
/** More is an absurd uptime. */
const maxUptimeUs = 2n ** 50n;
const tickUs = 10_000n;
const secondUs = 1_000_000n;
const fields = ["userUs", "niceUs", "systemUs", "idleUs", "stealUs"] as const;
const busyFields = ["userUs", "niceUs", "systemUs"] as const;
const none: CpuReport = { cpus: [], hidden: [] };

type Field = (typeof fields)[number];

/** What happened between two samples. */
interface Step {
  readonly dtUs: bigint;
  /** In thousandths of what all CPUs of the cpuset could use. */
  readonly user: number;
  readonly nice: number;
  readonly system: number;
  readonly throttledUs: bigint;
  /** New limits: which CPUs there are, and how many are shown; null: as before. */
  readonly cpus: { readonly cpuset: readonly number[]; readonly count: number } | null;
}

const cpusets = fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 6 });
const steps = fc.record({
  dtUs: fc.oneof(
    fc.constant(0n),
    fc.bigInt(1n, 20_000n),
    fc.bigInt(1n, 10n * secondUs),
    fc.bigInt(1n, 10n ** 12n),
  ),
  user: fc.integer({ min: 0, max: 700 }),
  nice: fc.integer({ min: 0, max: 100 }),
  system: fc.integer({ min: 0, max: 400 }),
  throttledUs: fc.bigInt(0n, 10n ** 7n),
  cpus: fc.option(fc.record({ cpuset: cpusets, count: fc.integer({ min: 1, max: 6 }) }), {
    freq: 3,
  }),
});

const ascending = (a: number, b: number) => a - b;
const least = (a: bigint, b: bigint) => (a < b ? a : b);

/** The samples of a container to which these things happen. */
function samplesOf(history: readonly Step[], perCpu: boolean): CpuSample[] {
  let cpuset = [0, 1, 2, 3];
  let count = 3;
  let uptimeUs = 0n;
  const used = { userUs: 0n, niceUs: 0n, systemUs: 0n, throttledUs: 0n };
  const byCpu = new Map<number, { userUs: bigint; systemUs: bigint }>();
  return history.map((step) => {
    if (step.cpus !== null) {
      cpuset = [...step.cpus.cpuset].sort(ascending);
      count = step.cpus.count;
    }
    const shown = cpuset.slice(0, count);
    const room = (step.dtUs * BigInt(shown.length)) / 1000n;
    uptimeUs += step.dtUs;
    used.userUs += room * BigInt(step.user);
    used.niceUs += room * BigInt(step.nice);
    used.systemUs += room * BigInt(step.system);
    used.throttledUs += step.throttledUs;
    // All on one CPU: more than it can have.
    const last = cpuset.at(-1) ?? 0;
    const cpu = byCpu.get(last) ?? { userUs: 0n, systemUs: 0n };
    cpu.userUs += room * BigInt(step.user);
    cpu.systemUs += room * BigInt(step.system);
    byCpu.set(last, cpu);
    const rows = [...byCpu].map(([id, time]) => ({ cpu: id, ...time }));
    return {
      uptimeUs,
      usage: { ...used, perCpu: perCpu ? rows : [] },
      shown,
      hostCpuset: cpuset,
    };
  });
}

const lives = fc
  .tuple(fc.array(steps, { minLength: 1, maxLength: 30 }), fc.boolean())
  .map(([history, perCpu]) => samplesOf(history, perCpu));

const anything = fc.oneof(fc.bigInt(0n, 1000n), fc.bigInt(0n, maxU64), fc.constant(maxU64));
const absurd: fc.Arbitrary<CpuSample[]> = fc.array(
  fc.record({
    uptimeUs: anything,
    usage: fc.record({
      userUs: anything,
      niceUs: anything,
      systemUs: anything,
      throttledUs: anything,
      perCpu: fc.array(
        fc.record({ cpu: fc.integer({ min: 0, max: 20 }), userUs: anything, systemUs: anything }),
        { maxLength: 8 },
      ),
    }),
    shown: cpusets,
    hostCpuset: fc.uniqueArray(fc.integer({ min: 0, max: 9 })),
  }),
  { minLength: 1, maxLength: 12 },
);

function sum(report: CpuReport, field: Field, unit: bigint): bigint {
  return [...report.cpus, ...report.hidden].reduce((total, cpu) => total + cpu[field] / unit, 0n);
}

function busyOf(report: CpuReport): bigint {
  return busyFields.reduce((total, field) => total + sum(report, field, 1n), 0n);
}

function usedIn({ usage }: CpuSample): bigint {
  return busyFields.reduce((total, field) => total + usage[field], 0n);
}

/** Of two reports, or one, the larger number of CPUs. */
function mostCpus(report: CpuReport, before = report): bigint {
  return BigInt(Math.max(report.cpus.length, before.cpus.length));
}

function ids(report: CpuReport): number[] {
  return report.cpus.map((cpu) => cpu.id);
}

/** Calls `check` with each report, its sample, and those before it (none for the first). */
function forEachReport(
  samples: readonly CpuSample[],
  check: (
    now: CpuReport,
    sample: CpuSample,
    before?: { report: CpuReport; sample: CpuSample },
  ) => void,
  saved = false,
): void {
  const reports = advanceSamples(samples, saved);
  expect(reports).toHaveLength(samples.length);
  reports.forEach((report, i) => {
    const sample = samples[i];
    const [report0, sample0] = [reports[i - 1], samples[i - 1]];
    if (sample === undefined) {
      throw new Error("more reports than samples");
    }
    const before =
      report0 === undefined || sample0 === undefined
        ? undefined
        : { report: report0, sample: sample0 };
    check(report, sample, before);
  });
}

describe.each([
  ["a container's life", lives],
  ["absurd samples", absurd],
])("%s", (_, arbitrary) => {
  it("shows the CPUs that are shown", () => {
    fc.assert(
      fc.property(arbitrary, (samples) => {
        forEachReport(samples, (report, { shown }) => {
          expect(ids(report)).toEqual([...shown].sort(ascending));
        });
      }),
      runs,
    );
  });

  it("never decreases from report to report, on no CPU, nor in sum", () => {
    fc.assert(
      fc.property(arbitrary, (samples) => {
        forEachReport(samples, (report, _sample, before) => {
          for (const field of fields) {
            for (const cpu of report.cpus) {
              const was = before?.report.cpus.find((other) => other.id === cpu.id);
              expect(cpu[field], `${cpu.id} ${field}`).toBeGreaterThanOrEqual(was?.[field] ?? 0n);
            }
            // In whole ticks: what /proc/stat prints, each CPU rounded down.
            for (const unit of before === undefined ? [] : [1n, tickUs]) {
              const was = before === undefined ? 0n : sum(before.report, field, unit);
              expect(sum(report, field, unit), field).toBeGreaterThanOrEqual(was);
            }
          }
        });
      }),
      runs,
    );
  });
});

describe("CPUs that come and go", () => {
  const idle = { userUs: 0n, niceUs: 0n, systemUs: 0n, throttledUs: 0n, perCpu: [] };

  it("never count their time twice", () => {
    const samples = Array.from({ length: 200 }, (_, i) => ({
      uptimeUs: BigInt(i + 1) * secondUs,
      usage: idle,
      shown: [[0], [0, 1], [1], [0]][i % 4] ?? [0],
      hostCpuset: [0, 1],
    }));
    let cpuSeconds = 0n;
    forEachReport(samples, (report, _sample, before) => {
      cpuSeconds += BigInt(before?.report.cpus.length ?? 1);
      expect(sum(report, "idleUs", 1n)).toBe(cpuSeconds * secondUs);
    });
  });

  it("give nothing of theirs to others, and go on where they were", () => {
    fc.assert(
      fc.property(lives, (samples) => {
        const last = new Map<number, { total: bigint; uptimeUs: bigint }>();
        forEachReport(samples, (report, { uptimeUs }) => {
          for (const cpu of report.cpus) {
            const total = fields.reduce((time, field) => time + cpu[field], 0n);
            const was = last.get(cpu.id) ?? { total: 0n, uptimeUs: 0n };
            expect(total - was.total, `${cpu.id}`).toBeGreaterThanOrEqual(0n);
            expect(total - was.total, `${cpu.id}`).toBeLessThanOrEqual(uptimeUs - was.uptimeUs);
            last.set(cpu.id, { total, uptimeUs });
          }
        });
      }),
      runs,
    );
  });

  it("are pinned elsewhere: the new one begins at 0, the old one stays in the sum", () => {
    const [, reports] = advanceSamples(
      [
        [1, 4],
        [1, 6],
      ].map((shown, i) => ({
        uptimeUs: BigInt(i + 1) * 1000n * secondUs,
        usage: { ...idle, userUs: BigInt(i + 1) * 600n * secondUs },
        shown,
        hostCpuset: shown,
      })),
    );
    expect(reports?.cpus.map(({ id, userUs }) => [id, userUs])).toEqual([
      [1, 600n * secondUs],
      [6, 0n],
    ]);
    expect(reports?.hidden.map(({ userUs }) => userUs)).toEqual([600n * secondUs]);
  });
});

describe("time", () => {
  it("is what each CPU gains, as long as the CPUs are the same", () => {
    fc.assert(
      fc.property(lives, (samples) => {
        forEachReport(samples, (report, sample, before) => {
          if (before !== undefined && String(ids(before.report)) !== String(ids(report))) {
            return;
          }
          const dt = sample.uptimeUs - (before?.sample.uptimeUs ?? 0n);
          report.cpus.forEach((cpu, i) => {
            const old = before?.report.cpus[i];
            const gained = fields.map((field) => cpu[field] - (old?.[field] ?? 0n));
            expect(gained.reduce((a, b) => a + b)).toBe(dt);
          });
        });
      }),
      runs,
    );
  });

  it.each([false, true])(
    "used is reported in full, but for what may be pending, as CPUs come and go; saved: %s",
    (saved) => {
      fc.assert(
        fc.property(lives, (samples) => {
          let fits = true;
          forEachReport(
            samples,
            (report, sample, before) => {
              const used = usedIn(sample);
              const dt = sample.uptimeUs - (before?.sample.uptimeUs ?? 0n);
              const gained = used - (before === undefined ? 0n : usedIn(before.sample));
              fits &&= gained <= dt * mostCpus(report, before?.report);
              const reported = busyOf(report);
              expect(reported).toBeLessThanOrEqual(used);
              if (fits) {
                expect(reported).toBe(used);
              }
            },
            saved,
          );
        }),
        runs,
      );
    },
  );

  it("used is at most what the CPUs of one of two reports could use, on each at most all", () => {
    fc.assert(
      fc.property(fc.oneof(lives, absurd), (samples) => {
        let uptimeUs = 0n;
        forEachReport(samples, (report, sample, before) => {
          const dt = least(sample.uptimeUs, maxUptimeUs) - uptimeUs;
          const passed = dt > 0n ? dt : 0n;
          uptimeUs += passed;
          const busy = busyOf(report) - (before === undefined ? 0n : busyOf(before.report));
          expect(busy).toBeLessThanOrEqual(passed * mostCpus(report, before?.report));
          for (const cpu of report.cpus) {
            const was = before?.report.cpus.find(({ id }) => id === cpu.id);
            const gained = busyFields.map((field) => cpu[field] - (was?.[field] ?? 0n));
            // What one that comes gained before it went is in its line, too.
            if (before === undefined || was !== undefined) {
              expect(gained.reduce((a, b) => a + b)).toBeLessThanOrEqual(passed);
            }
          }
        });
      }),
      runs,
    );
  });

  it("idle or throttled is no time of a CPU that is new: it begins when use needs it", () => {
    fc.assert(
      fc.property(lives, (samples) => {
        const known = new Set<number>();
        forEachReport(samples, (report, _sample, before) => {
          for (const cpu of report.cpus) {
            if (before !== undefined && !known.has(cpu.id)) {
              expect([cpu.id, cpu.idleUs, cpu.stealUs]).toEqual([cpu.id, 0n, 0n]);
            }
            known.add(cpu.id);
          }
        });
      }),
      runs,
    );
  });

  describe.each([false, true])("used by more CPUs than the last report had; saved: %s", (saved) => {
    const hostCpuset = [0, 1, 2, 3];
    const at = (second: bigint, usedS: bigint, shown: number[], perCpuS: bigint[] = []) => ({
      uptimeUs: second * secondUs,
      usage: {
        userUs: usedS * 600_000n,
        niceUs: 0n,
        systemUs: usedS * 400_000n,
        throttledUs: 0n,
        perCpu: perCpuS.map((s, cpu) => ({ cpu, userUs: s * secondUs, systemUs: s * secondUs })),
      },
      shown,
      hostCpuset,
    });
    // Parts are rounded to µs.
    const busyS = (cpu: CpuCounters) =>
      (busyFields.reduce((us, field) => us + cpu[field], 0n) + 10n) / secondUs;

    it("is on those that came, not lost", () => {
      const [, grown, later] = advanceSamples(
        [at(100n, 60n, [0]), at(200n, 451n, hostCpuset), at(201n, 454n, hostCpuset)],
        saved,
      );
      expect(grown?.cpus.map(busyS)).toEqual([160n, 97n, 97n, 97n]);
      expect(sum(grown ?? none, "userUs", 1n)).toBe(451n * 600_000n);
      expect(grown?.cpus.map(({ idleUs }) => idleUs / secondUs)).toEqual([40n, 0n, 0n, 0n]);
      expect(busyOf(later ?? none) / secondUs).toBe(454n);
    });

    it("is on each of them what the kernel says", () => {
      const [, grown] = advanceSamples(
        [at(100n, 0n, [0], [0n, 0n, 0n, 0n]), at(200n, 250n, hostCpuset, [100n, 30n, 90n, 30n])],
        saved,
      );
      expect(grown?.cpus.map(busyS)).toEqual([100n, 30n, 90n, 30n]);
    });

    it("stays in the sum where the quota shrinks again, and comes once", () => {
      const reports = advanceSamples(
        [
          at(100n, 60n, [0]),
          at(200n, 450n, hostCpuset),
          at(300n, 500n, [0]),
          at(400n, 500n, [0]),
          at(500n, 600n, hostCpuset),
        ],
        saved,
      );
      expect(reports.map((report) => busyOf(report) / secondUs)).toEqual([
        60n,
        450n,
        500n,
        500n,
        600n,
      ]);
      expect(reports.map((report) => sum(report, "idleUs", 1n) / secondUs)).toEqual([
        40n,
        40n,
        390n,
        490n,
        490n,
      ]);
    });

    it("is at most what as many as now are shown could use", () => {
      const [, grown] = advanceSamples([at(100n, 0n, [0]), at(200n, 900n, [1, 2])], saved);
      expect(busyOf(grown ?? none)).toBe(200n * secondUs);
    });
  });

  it("that is little shows in the sum at once, on however many CPUs", () => {
    const shown = Array.from({ length: 64 }, (_, id) => id);
    const samples = Array.from({ length: 50 }, (_, i) => ({
      uptimeUs: BigInt(i) * secondUs,
      usage: {
        userUs: BigInt(i) * 50_000n,
        niceUs: 0n,
        systemUs: BigInt(i) * 1_234n,
        throttledUs: 0n,
        perCpu: [],
      },
      shown,
      hostCpuset: shown,
    }));
    forEachReport(samples, (report, { usage }) => {
      expect(sum(report, "userUs", tickUs)).toBe(usage.userUs / tickUs);
      expect(sum(report, "systemUs", tickUs)).toBe(usage.systemUs / tickUs);
      const perCpu = report.cpus.map((cpu) => Number(cpu.userUs));
      expect(Math.max(...perCpu) - Math.min(...perCpu)).toBeLessThanOrEqual(Number(tickUs));
    });
  });

  it("of a burst is reported later", () => {
    const usage = { niceUs: 0n, systemUs: 0n, throttledUs: 0n, perCpu: [] };
    const cpus = { shown: [0, 1], hostCpuset: [0, 1] };
    const at = (uptimeUs: bigint, userUs: bigint): CpuSample => ({
      uptimeUs,
      usage: { ...usage, userUs },
      ...cpus,
    });
    const reports = advanceSamples([
      at(secondUs, 0n),
      at(secondUs + 100_000n, 300_000n),
      at(secondUs + 150_000n, 300_000n),
      at(secondUs + 250_000n, 300_000n),
    ]);
    expect(reports.map((report) => sum(report, "userUs", 1n))).toEqual([
      0n,
      200_000n,
      300_000n,
      300_000n,
    ]);
  });

  it("throttled is steal, as far as there is room", () => {
    const idle = { userUs: 0n, niceUs: 0n, systemUs: 0n, perCpu: [] };
    const [first, second] = advanceSamples([
      {
        uptimeUs: secondUs,
        usage: { ...idle, throttledUs: 400_000n },
        shown: [2, 5],
        hostCpuset: [2, 5],
      },
      {
        uptimeUs: 2n * secondUs,
        usage: { ...idle, userUs: secondUs, throttledUs: 100n * secondUs },
        shown: [2, 5],
        hostCpuset: [2, 5],
      },
    ]);
    expect(first?.cpus.map((cpu) => cpu.stealUs)).toEqual([200_000n, 200_000n]);
    expect(second?.cpus.map((cpu) => cpu.stealUs)).toEqual([700_000n, 700_000n]);
    expect(second?.cpus.map((cpu) => cpu.idleUs)).toEqual([800_000n, 800_000n]);
  });

  it("throttled on more CPUs than are shown is no steal of a time without load", () => {
    // Eight tasks on eight CPUs with a quota of two: six CPUs' worth is throttled.
    const at = (second: bigint) => {
      const loaded = second < 10n ? second : 10n;
      return {
        uptimeUs: second * secondUs,
        usage: {
          userUs: loaded * 2n * secondUs,
          niceUs: 0n,
          systemUs: 0n,
          perCpu: [],
          throttledUs: loaded * 6n * secondUs,
        },
        shown: [0, 1],
        hostCpuset: [0, 1, 2, 3, 4, 5, 6, 7],
      };
    };
    const reports = advanceSamples(Array.from({ length: 15 }, (_, i) => at(BigInt(i + 1))));
    expect(sum(reports.at(-1) ?? none, "stealUs", 1n)).toBe(0n);
    expect(sum(reports.at(-1) ?? none, "idleUs", 1n)).toBe(10n * secondUs);
  });

  it("throttled begins at 0 again with a controller that was disabled and enabled", () => {
    const idle = { userUs: 0n, niceUs: 0n, systemUs: 0n, perCpu: [] };
    const reports = advanceSamples(
      [500_000n, 900_000n, 0n, 300_000n].map((throttledUs, i) => ({
        uptimeUs: BigInt(i + 1) * secondUs,
        usage: { ...idle, throttledUs },
        shown: [0],
        hostCpuset: [0],
      })),
    );
    expect(reports.map(({ cpus: [cpu] }) => cpu?.stealUs)).toEqual([
      500_000n,
      900_000n,
      900_000n,
      1_200_000n,
    ]);
  });

  it.each([false, true])(
    "a quota above counts while nobody else is below it; saved: %s",
    (saved) => {
      const idle = { userUs: 0n, niceUs: 0n, systemUs: 0n, throttledUs: 0n, perCpu: [] };
      const readings: (bigint | null | undefined)[] = [
        300_000n,
        500_000n,
        null,
        900_000n,
        1_000_000n,
        undefined,
        1_100_000n,
      ];
      const reports = advanceSamples(
        readings.map((throttledUs, i) => ({
          uptimeUs: BigInt(i + 1) * secondUs,
          usage: {
            ...idle,
            quotasAbove: throttledUs === undefined ? [] : [{ level: 2, throttledUs }],
          },
          shown: [0],
          hostCpuset: [0],
        })),
        saved,
      );
      expect(reports.map(({ cpus: [cpu] }) => cpu?.stealUs)).toEqual([
        // What it took before may have been the time of others.
        ...[0n, 200_000n, 200_000n],
        ...[200_000n, 300_000n, 300_000n, 400_000n],
      ]);
    },
  );

  it.each([false, true])("a quota above may be told late, too; saved: %s", (saved) => {
    const reports = advanceSamples(
      [0n, 1_500_000n, 1_500_000n].map((throttledUs, i) => ({
        uptimeUs: BigInt(i + 1) * secondUs,
        usage: {
          ...{ userUs: 0n, niceUs: 0n, systemUs: 0n, throttledUs: 0n, perCpu: [] },
          quotasAbove: [{ level: 1, throttledUs }],
        },
        shown: [0],
        hostCpuset: [0],
      })),
      saved,
    );
    expect(reports.map(({ cpus: [cpu] }) => cpu?.stealUs)).toEqual([0n, 1_000_000n, 1_500_000n]);
  });

  it("throttled is told when it ends, and is steal all the same", () => {
    // Nine tenths of each second, read twice in it.
    const at = (half: bigint) => ({
      uptimeUs: (half * secondUs) / 2n,
      usage: {
        userUs: ((half + 1n) / 2n) * 100_000n,
        niceUs: 0n,
        systemUs: 0n,
        perCpu: [],
        throttledUs: (half / 2n) * 900_000n,
      },
      shown: [0],
      hostCpuset: [0],
    });
    const reports = advanceSamples([1n, 2n, 3n, 4n, 5n, 6n].map(at));
    expect(reports.map(({ cpus: [cpu] }) => cpu?.stealUs)).toEqual([
      0n,
      500_000n,
      900_000n,
      1_400_000n,
      1_800_000n,
      2_300_000n,
    ]);
  });

  it("of each CPU follows the kernel's figures where there are any", () => {
    const perCpu = [
      { cpu: 0, userUs: 10_000n, systemUs: 0n },
      { cpu: 1, userUs: 30_000n, systemUs: 0n },
      { cpu: 7, userUs: 0n, systemUs: 50_000n },
    ];
    // CPU 7 is not shown: third of the cpuset, it falls on the first of two.
    const [report] = advanceSamples([
      {
        uptimeUs: secondUs,
        usage: { userUs: 80_000n, niceUs: 0n, systemUs: 60_000n, throttledUs: 0n, perCpu },
        shown: [0, 1],
        hostCpuset: [0, 1, 7],
      },
    ]);
    expect(report?.cpus.map((cpu) => cpu.userUs)).toEqual([20_000n, 60_000n]);
    expect(report?.cpus.map((cpu) => cpu.systemUs)).toEqual([60_000n, 0n]);
  });
});
