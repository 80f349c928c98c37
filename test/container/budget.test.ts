// Token buckets, and the CPU time that is charged to them (native/tenant/budget.h,
// native/base/cpu_laps.h).

import { expect, it } from "vitest";
import { type BudgetStep, native } from "../support/testing.js";

const S = 1_000_000;
/** What can be saved up, as time, µs. */
const BURST = S / 10;

it("a bucket lends to those who wait, one after the other", () => {
  const take: BudgetStep = ["take", S, 0];
  const waits = native.spendBudget(100, Array<BudgetStep>(15).fill(take));
  // A tenth of a second's worth at once, and 10 ms for each more.
  expect(waits).toEqual([...Array(10).fill(0), 10_000, 20_000, 30_000, 40_000, 50_000]);
});

it("a bucket spreads those whose cost is known later, and lends to nobody who need not wait", () => {
  const waits = native.spendBudget(S, [
    ["lend", S, 30],
    ["charge", 0, BURST + 500],
    ["lend", S, 30],
    ["lend", S, 30],
    ["give", 0, 30],
    ["lend", S, 30],
  ]);
  expect(waits).toEqual([0, 0, 500, 530, 0, 530]);
});

it("a bucket is exceeded by what those took who waited before, not by what is lent", () => {
  const waits = native.spendBudget(S, [
    ["charge", 0, BURST],
    ["lend", S, BURST],
    ["exceeded", S, 0],
    ["charge", S, 1.5 * BURST],
    ["exceeded", S, 0],
    ["charge", S, BURST],
    ["exceeded", S, 0],
    ["exceeded", 2 * S, 0],
  ]);
  expect(waits).toEqual([0, 0, 0, 0, 0, 0, 1, 0]);
});

it("a bucket forgives what was charged beyond two seconds, and gains while nobody asks", () => {
  const waits = native.spendBudget(S, [
    ["take", S, 0],
    ["charge", 0, 3600 * S],
    ["lend", S, 10],
    ["charge", 0, 3600 * S],
    ["lend", 2 * S, 10],
    ["lend", 5 * S, 10],
  ]);
  expect(waits).toEqual([0, 0, 2 * S, 0, S + 10, 0]);
});

const HALF = S / 2;
it.each([
  { what: "one that takes all it may", wants: [1], takes: 0.5 },
  { what: "one that takes little", wants: [0.1], takes: 0.1 },
  { what: "two of which each takes less than it may", wants: [0.4, 0.4], takes: 0.5 },
  { what: "four that hammer", wants: Array(4).fill(1), takes: 0.5 },
  {
    what: "four that hammer, and two that take some",
    wants: [1, 1, 1, 1, 0.025, 0.025],
    takes: 0.5,
  },
  {
    what: "one that hammers, and many that take little",
    wants: [1, ...Array(20).fill(0.01)],
    takes: 0.5,
  },
  { what: "forty that hammer", wants: Array(40).fill(1), takes: 0.5 },
  { what: "two hundred that hammer", wants: Array(200).fill(1), takes: 0.5 },
  { what: "four hundred that hammer, on eight CPUs", wants: Array(400).fill(1), all: 4, takes: 2 },
])("tenants take what all may have together: $what", ({ wants, takes, all = 1 }) => {
  const wanted = wants.map((cpus: number) => cpus * S);
  const taken = native.fairShareCpu(HALF, all * HALF, wanted, 40, true).slice(20);
  const average = taken.reduce((sum, one) => sum + one, 0) / taken.length / S;
  expect(average).toBeGreaterThan(0.75 * takes);
  expect(average).toBeLessThan(1.1 * takes);
  expect(Math.max(...taken)).toBeLessThan(1.3 * takes * S);
});

it("the share of tenants that nobody keeps to it does not shrink to nothing", () => {
  const [first = 0] = native.fairShareCpu(HALF, HALF, [S, S], 20, false).slice(-1);
  expect(first).toBe(2 * S);
});

it("a bucket of more than one token for each µs is none of too few", () => {
  const steps: BudgetStep[] = [
    ["charge", 0, 2 * S],
    ["lend", 1, 10],
  ];
  expect(native.spendBudget(4 * S, steps)).toEqual([0, S / 2 - BURST - 1]);
  expect(native.spendBudget(0, steps)).toEqual([0, 0]);
});

it.each<[what: string, cpus: number, idle: number, requests: number, tenant: number, yes: boolean]>(
  [
    ["others have a quarter of a CPU", 2, 0, 0.75 * S, S, true],
    ["what is missing may be rounding", 2, 0, 0.9 * S, 0.95 * S, false],
    ["the tenant and its requests have all", 2, 0.1 * S, S, 0.9 * S, false],
    ["others have much, and there is more", 2, 0.25 * S, 0.5 * S, 0.75 * S, false],
    ["its requests have all of the only CPU", 1, 0, 0.9 * S, 0.1 * S, true],
    ["what was charged began anew", 2, 0, -5 * S, 0.75 * S, true],
  ],
)("others compete with a tenant: %s", (_, cpus, idle, requests, tenant, yes) => {
  const start = [10 * S, cpus, 7 * S, 3 * S, 6 * S, 5 * S] as const;
  const then = [11 * S, cpus, 7 * S + idle, 3.02 * S, 6 * S + requests, 5 * S + tenant] as const;
  expect(native.findContention([start, then])).toEqual(["none", yes ? "new" : "none"]);
});

it("others compete for a second after they were seen, and not for want of an earlier look", () => {
  const uses = [
    [10 * S, 2, 0, 0, 0, 0],
    [10.01 * S, 2, 0, 0, 0, 0],
    [10.25 * S, 2, 0, 0, 0, 0],
    [10.5 * S, 2, 0, 0, 0, 0],
    [11 * S, 2, S, 0, 0, 0],
    [11.6 * S, 2, 2.2 * S, 0, 0, 0],
    [20 * S, 2, 2.2 * S, 0, 0, 0],
    [19 * S, 2, 2.2 * S, 0, 0, 0],
  ] as const;
  const found = ["none", "none", "new", "some", "some", "none", "none", "none"];
  expect(native.findContention(uses)).toEqual(found);
});

it("what is charged is charged however many wait", () => {
  const wait: BudgetStep = ["lend", S, 20];
  const done: BudgetStep[] = [
    ["give", 0, 20],
    ["charge", S, 20],
  ];
  const N = 2000;
  const steps = [["charge", S, S] as const, ...Array<BudgetStep>(N).fill(wait)];
  const waits = native.spendBudget(S, [
    ...steps,
    ...Array<BudgetStep[]>(N).fill(done).flat(),
    wait,
  ]);
  expect(waits.at(-1)).toBe(S - BURST + N * 20);
});

it("a bucket forgives when it is told to", () => {
  const steps: BudgetStep[] = [
    ["charge", S, 3600 * S],
    ["forgive", S, S / 50],
    ["lend", S, 10],
    ["forgive", S, S / 5],
    ["lend", S, 10],
  ];
  expect(native.spendBudget(S, steps)).toEqual([0, 0, S / 50, 0, S / 50 + 10]);
});

const PIECES = 6000;
/** Payers take turns on one thread; between them there is work that nobody pays for. */
const pieces = Array.from({ length: PIECES }, (_, i): readonly [number, number] => {
  return [[1, 60] as const, [0, 40] as const, [2, 15] as const][i % 3] ?? [0, 0];
});

it.each([
  ["exactly", true, 0.2],
  ["at random", false, 0.5],
])("CPU time that is measured %s is charged to whoever took it", (_, exactly, tolerance) => {
  const [nobody, one, other, third] = native.chargeLaps(exactly, pieces);
  const each = PIECES / 3;
  // With the 5 µs for what comes before a piece.
  const near = (us: number | undefined, of: number): void => {
    expect(us).toBeGreaterThan(each * of * (1 - tolerance));
    expect(us).toBeLessThan(each * (of + 10) * (1 + tolerance));
  };
  expect([nobody, third]).toEqual([0, 0]);
  near(one, 65);
  near(other, 20);
});

it("each piece that takes long is charged once, whether it was sampled or not", () => {
  const long = Array.from({ length: 400 }, () => native.chargeLaps(false, [[1, 3000]])[1] ?? 0);
  expect(Math.max(...long)).toBeLessThan(2 * 3000);
  expect(Math.min(...long)).toBeGreaterThan(0.8 * 3000);
});

it("a long piece is charged none of what others took before it", () => {
  const before = Array.from({ length: 8 }, () => [2, 15] as const);
  const nobody = Array.from({ length: 8 }, () => [0, 40] as const);
  const charges = Array.from(
    { length: 100 },
    () => native.chargeLaps(false, [...before, ...nobody, [1, 3000]])[1] ?? 0,
  ).sort((a, b) => a - b);
  expect(charges[50]).toBeGreaterThan(0.9 * 3000);
  expect(charges[50]).toBeLessThan(1.2 * 3000);
});
