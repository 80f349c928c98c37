// When a record of the host's kernel log was logged, and who had the PID in it then.

import { describe, expect, it } from "vitest";
import { native, type PidHolders } from "../support/testing.js";

const S = 1_000_000n;
const TICK = 10_000n;
const now = (at: bigint, slack = 0n, least = 0n) => ({ at, slack, least });
// Of one that lives the start is cut to a tick; of one that has ended it is exact.
const living = (start: bigint, killed = true) => ({ living: { start, end: 0n, killed } });
const ended = (start: bigint, end: bigint, killed = true) => ({ ended: { start, end, killed } });

describe("the log's clock", () => {
  const read = (record: bigint, monotonic: bigint, behind = 0n) => ({ record, monotonic, behind });

  it("is that of the reader until a record has been read", () => {
    expect(native.logClock([], 5n * S, 9n * S)).toBe(9n * S);
  });

  it("is known by the record that was read soonest", () => {
    const reads = [read(S, 3n * S), read(2n * S, 2n * S + 5000n), read(3n * S, 6n * S)];
    const by = native.logClock(reads, 4n * S, 9n * S);
    expect(by).toBeGreaterThanOrEqual(4n * S + 5000n);
    expect(by).toBeLessThan(4n * S + 50_000n);
  });

  it("is never later than now", () => {
    expect(native.logClock([read(S, 2n * S)], 2n * S, 2n * S + 1n)).toBe(2n * S + 1n);
  });

  it("may part from others as time passes, and after a suspend", () => {
    const once = [read(S, S)];
    expect(native.logClock(once, 3601n * S, 3700n * S)).toBeGreaterThan(3604n * S);
    const by = native.logClock([...once, read(2n * S, 3n * S, 100n * S)], 5n * S, 9n * S);
    expect(by).toBeGreaterThanOrEqual(6n * S);
  });
});

describe("whose a crash is", () => {
  it("is who had the PID and was killed, however late all is read", () => {
    const crash = { at: 5n * S, ...living(2n * S) };
    for (const late of [0n, TICK, S, 4n * S]) {
      expect(native.whoCrashed([crash], now(5n * S + late), living(2n * S))).toBe(2n * S);
    }
    const gone = { at: 5n * S, ...ended(2n * S, 5n * S + 40n) };
    expect(native.whoCrashed([gone], now(6n * S), {})).toBe(2n * S);
  });

  it("is not who has it since, and lives", () => {
    const young = living(5n * S, false);
    for (const late of [0n, TICK, S]) {
      expect(native.whoCrashed([{ at: 5n * S, ...young }], now(5n * S + late), young)).toBeNull();
      expect(native.whoCrashed([], now(5n * S + late), young)).toBeNull();
    }
    // Nor one that has it for long: whoever crashes ends.
    expect(native.whoCrashed([], now(5n * S), living(S, false))).toBeNull();
    expect(native.whoCrashed([], now(500n * S, 9n * S), living(S, false))).toBeNull();
  });

  it("is not who has it since and was killed too, told by exact times", () => {
    const young = ended(5n * S + 300n, 5n * S + 900n);
    const told = (crashes: Parameters<typeof native.whoCrashed>[0], at: bigint) =>
      native.whoCrashed(crashes, now(at), young);
    // By the time that it is looked for only the second one is known.
    expect(told([{ at: 5n * S + 100n, ...young }], 5n * S + TICK)).toBeNull();
    const both = [
      { at: 5n * S + 100n, ...ended(2n * S, 5n * S + 200n) },
      { at: 5n * S + 800n, ...young },
    ];
    // Both crashed: which of them is meant is not to be told within what the clocks agree to.
    expect(told(both, 5n * S + TICK)).toBeNull();
    expect(told(both, 5n * S + 200n)).toBe(2n * S);
    expect(told(both.slice(1), 5n * S + TICK)).toBe(5n * S + 300n);
  });

  it("is not who began within the same tick, until it is known better when", () => {
    const crash = { at: 5n * S + 100n, ...living(5n * S) };
    expect(native.whoCrashed([crash], now(5n * S + TICK), living(5n * S))).toBeNull();
    const later = ended(5n * S + 300n, 5n * S + 900n);
    expect(native.whoCrashed([crash], now(5n * S + TICK), later)).toBeNull();
    const before = ended(5n * S + 99n, 5n * S + 900n);
    expect(native.whoCrashed([crash], now(5n * S + TICK), before)).toBe(5n * S);
  });

  it("is told by what is found later, when the one is gone", () => {
    const crash = { at: 5n * S };
    expect(native.whoCrashed([crash], now(6n * S), {})).toBeNull();
    expect(native.whoCrashed([crash], now(6n * S), ended(2n * S, 5n * S + 40n))).toBe(2n * S);
    expect(native.whoCrashed([crash], now(6n * S), ended(5n * S + 1n, 6n * S))).toBeNull();
  });

  it("is not the earlier one where it may be a later one's that is not reported yet", () => {
    const crash = { at: 5n * S, ...ended(2n * S, 5n * S + 40n) };
    const soon = now(5n * S + 2n * TICK);
    expect(native.whoCrashed([crash], soon, crash)).toBe(2n * S);
    for (const killed of [false, true]) {
      const later = { ...living(5n * S + TICK, killed), ended: crash.ended };
      expect(native.whoCrashed([crash], soon, later)).toBeNull();
      expect(native.whoCrashed([crash], now(5n * S + TICK - 1n), later)).toBe(2n * S);
      expect(native.whoCrashed([], soon, later)).toBeNull();
    }
    const gone = ended(5n * S + TICK, 5n * S + 2n * TICK);
    expect(native.whoCrashed([crash], soon, gone)).toBeNull();
  });

  it("is of whom it is reported after the record was printed, where that is known", () => {
    const first = { at: 5n * S, ...ended(2n * S, 5n * S + 40n) };
    const later = ended(5n * S + 300n, 5n * S + 900n);
    const printed = now(5n * S + 700n, 0n, 5n * S + 650n);
    expect(native.whoCrashed([first], printed, first)).toBeNull();
    expect(native.whoCrashed([], printed, first)).toBeNull();
    const both = [first, { at: 5n * S + 800n, ...later }];
    expect(native.whoCrashed(both, printed, later)).toBe(5n * S + 300n);
    expect(native.whoCrashed(both, now(5n * S, 0n, 5n * S - 50n), later)).toBe(2n * S);
  });

  it("is not proven by a report where others were lost, unless they are older", () => {
    const crash = { at: 5n * S, ...ended(2n * S, 5n * S + 40n) };
    const moment = now(5n * S + TICK, 0n, 4n * S);
    const told = (lost: bigint) => native.whoCrashed([crash], moment, crash, lost);
    expect(told(5n * S + 50n)).toBeNull();
    expect(told(4n * S)).toBeNull();
    expect(told(4n * S - 1n)).toBe(2n * S);
    // It has been read long ago.
    expect(native.whoCrashed([crash], now(9n * S), crash, 4n * S - 1n)).toBe(2n * S);
    expect(native.whoCrashed([], now(5n * S), living(2n * S), 5n * S)).toBeNull();
  });

  it("is told whatever crashes others make", () => {
    const gone = ended(2n * S, 5n * S + 40n);
    const crash = { at: 5n * S, ...gone };
    const moment = now(5n * S + TICK, 0n, 4n * S);
    const others = (count: number, at: bigint) =>
      new Array<typeof crash & { other: true }>(count).fill({ ...crash, at, other: true });
    expect(native.whoCrashed([...others(10_000, 5n * S), crash], moment, {})).toBe(2n * S);
    expect(native.whoCrashed([crash, ...others(511, 5n * S)], moment, {})).toBe(2n * S);
    // Its process had to be forgotten, but not that it crashed.
    const soon = [crash, ...others(512, 5n * S)];
    expect(native.whoCrashed(soon, moment, {})).toBeNull();
    expect(native.whoCrashed(soon, moment, living(5n * S - TICK + 1n))).toBeNull();
    expect(native.whoCrashed(soon, moment, living(5n * S - TICK))).toBe(5n * S - TICK);
    expect(native.whoCrashed(soon, moment, gone)).toBe(2n * S);
    // That is forgotten, too, with all older ones: later records are proven.
    const all = [crash, ...others(65_536, 5n * S)];
    expect(native.whoCrashed(all, moment, gone)).toBeNull();
    expect(native.whoCrashed(all, now(6n * S, 0n, 5n * S + 1n), living(2n * S))).toBe(2n * S);
  });

  it("is told by what is found, where the kernel has not told of the crash", () => {
    expect(native.whoCrashed([], now(5n * S), living(2n * S))).toBe(2n * S);
    expect(native.whoCrashed([], now(5n * S), ended(2n * S, 5n * S))).toBe(2n * S);
    const one = { ...living(2n * S), ...ended(2n * S + 42n, 5n * S) };
    expect(native.whoCrashed([], now(5n * S), one)).toBe(2n * S + 42n);
    const two = { ...living(4n * S), ...ended(2n * S, 3n * S) };
    expect(native.whoCrashed([], now(5n * S), two)).toBeNull();
    // Who is as young as the log's time is uncertain may have come afterwards.
    const young = 5n * S - 50_000n;
    expect(native.whoCrashed([], now(5n * S), living(young))).toBeNull();
    expect(native.whoCrashed([], now(5n * S), ended(young, 5n * S))).toBeNull();
  });

  it("is nobody's who began, or ended, at another time", () => {
    expect(native.whoCrashed([], now(5n * S), living(6n * S))).toBeNull();
    expect(native.whoCrashed([], now(50n * S), ended(2n * S, 5n * S))).toBeNull();
    expect(native.whoCrashed([], now(5n * S), ended(2n * S, 5n * S, false))).toBeNull();
    // What was logged before we came: as far as the clocks may part.
    expect(native.whoCrashed([], now(50n * S, 9n * S), living(45n * S))).toBeNull();
    expect(native.whoCrashed([], now(50n * S, 9n * S), living(2n * S))).toBe(2n * S);
  });
});

describe("who had a PID", () => {
  const had = (moment: ReturnType<typeof now>, holders: PidHolders) =>
    native.whoHadPid(moment, holders, false);

  it("is who has it for long, and not one that has begun since", () => {
    expect(had(now(5n * S), living(2n * S, false))).toBe(2n * S);
    expect(had(now(5n * S), living(5n * S - TICK, false))).toBeNull();
    expect(
      had(now(5n * S), { ...living(5n * S - TICK, false), ...ended(2n * S, 4_950_000n) }),
    ).toBe(null);
    expect(had(now(5n * S, S), living(4n * S + 1n, false))).toBeNull();
  });

  it("is one that has ended only as long as nobody can have had it since", () => {
    const gone = ended(2n * S, 5n * S);
    expect(had(now(5n * S + TICK), gone)).toBe(2n * S);
    expect(had(now(5n * S + 450_000n), gone)).toBe(2n * S);
    expect(had(now(5n * S + 550_000n), gone)).toBeNull();
    expect(had(now(5n * S + TICK, 0n, 5n * S + 1n), gone)).toBeNull();
    // In a line that is the container's own anyway.
    expect(native.whoHadPid(now(7n * S), gone, true)).toBe(2n * S);
    expect(native.whoCrashed([], now(5n * S + 450_000n), gone)).toBe(2n * S);
    expect(native.whoCrashed([], now(5n * S + 550_000n), gone)).toBeNull();
  });
});
