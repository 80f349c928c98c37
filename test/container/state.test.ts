// The state file and what lies in it, without a mount.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { State } from "../support/testing.js";

const MIB = 2 ** 20;
const A = 0x1000n;
const B = 0x1001n;

describe("a record that is given back twice", () => {
  it("stays whose it has become meanwhile", () => {
    const state = new State(MIB);
    const before = state.beginLoad(7n, 1n);
    state.sampleLoad(before, 1n);
    // The same container with another init: what the first life left is of no use to it.
    state.beginLoad(7n, 2n);
    const one = state.add(0xaan, 100);
    state.endLoad(before);
    const other = state.add(0xbbn, 100);
    expect(other).not.toBe(one);
    expect(state.records().map(({ record }) => record)).toEqual([one, other].sort((a, b) => a - b));
  });
});

describe("a record of one life of a container", () => {
  it("is left alone by what is left of an earlier life", () => {
    const state = new State(MIB);
    const before = state.beginLoad(7n, 1n);
    state.sampleLoad(before, 1n);
    const after = state.beginLoad(7n, 2n);
    expect(state.loads()).toBe(0);
    // The room of the one before.
    state.sampleLoad(after, 1n);
    state.endLoad(before);
    expect(state.loads()).toBe(1);
    const late = state.beginLoad(7n, 1n);
    expect(state.loads()).toBe(1);
    state.sampleLoad(late, 1n);
    expect(state.loads()).toBe(2);
    state.endLoad(after);
    state.endLoad(late);
    expect(state.loads()).toBe(0);
  });
});

describe("the records of one key", () => {
  it("are those that are there, in the order in which they lie", () => {
    const state = new State(MIB);
    const made = [3, 400, 50, 2000].map((bytes) => ({
      key: 7n,
      record: state.add(7n, bytes),
      bytes,
    }));
    state.add(8n, 10);
    const expected = [...made].sort((a, b) => a.record - b.record);
    expect(state.recordsOf(7n, 0n)).toEqual(expected);
    const [gone] = expected.splice(1, 1);
    state.remove(7n, gone?.record ?? 0);
    expect(state.recordsOf(7n, 0n)).toEqual(expected);
    expect(state.takeOver(false)).toBe("");
    expect(state.recordsOf(7n, 0n)).toEqual(expected);
    for (const { record } of expected) {
      state.remove(7n, record);
    }
    expect(state.recordsOf(7n, 0n)).toEqual([]);
    expect(state.recordsOf(8n, 0n)).toHaveLength(1);
  });

  it("are told of as they were, also when others take their room meanwhile", () => {
    const state = new State(MIB);
    const made = [1, 2, 3].map(() => state.add(7n, 100));
    expect(state.recordsOf(7n, 8n).map(({ record }) => record)).toEqual(made);
    expect(state.recordsOf(7n, 0n)).toEqual([]);
    expect(state.recordsOf(8n, 0n)).toHaveLength(16);
  });
});

describe("what is kept of containers", () => {
  const STEP = 64;

  it("is given back when they are gone and nobody has asked about them, a few at a time", () => {
    const state = new State(MIB);
    for (let key = 1n; key <= 200n; key += 1n) {
      state.keepCounters(key, 1n, 1n);
      state.sampleLoad(state.beginLoad(key, 1n), 1n);
    }
    state.takeOver(false);
    expect(state.giveBackUnseen(151n)).toBe(Math.ceil(200 / STEP));
    expect([state.counters(), state.loads()]).toEqual([50, 50]);
    expect(state.giveBackUnseen(191n)).toBe(1);
    expect([state.counters(), state.loads()]).toEqual([10, 10]);
  });

  it("is given back when they are gone although they are known, and is not kept again", () => {
    const state = new State(MIB);
    for (const key of [7n, 8n]) {
      state.beginContainer(key, 1n);
      state.keepCounters(key, 1n, 1n);
    }
    state.giveBackUnseen(8n);
    expect(state.counters()).toBe(1);
    expect(() => state.finishContainer(7n, false)).toThrow("container");
    state.finishContainer(8n, false);
    expect(state.counters()).toBe(0);
  });

  it("is given back when one ends, whoever has kept it", () => {
    const state = new State(MIB);
    state.sampleLoad(state.beginLoad(7n, 1n), 1n);
    state.takeOver(false);
    state.beginContainer(7n, 1n);
    // Another thread found it at the same time; its container was of no use in the end.
    state.keepCounters(7n, 1n, 1n);
    state.keepCounters(7n, 2n, 1n);
    state.keepCounters(8n, 1n, 1n);
    expect([state.counters(), state.loads()]).toEqual([3, 1]);
    state.finishContainer(7n, false);
    expect([state.counters(), state.loads()]).toEqual([2, 0]);
  });

  it("stays when another one goes on with the life", () => {
    const state = new State(MIB);
    state.sampleLoad(state.beginLoad(7n, 1n), 1n);
    state.beginContainer(7n, 1n);
    state.keepCounters(7n, 1n, 1n);
    state.finishContainer(7n, true);
    expect([state.counters(), state.loads()]).toEqual([1, 1]);
  });

  it("is looked at again when there is no room", () => {
    const state = new State(MIB);
    let kept = 0n;
    while (!state.lacksRoom()) {
      kept += 1n;
      state.keepCounters(kept, 1n, 1n);
    }
    expect(state.counters()).toBe(Number(kept));
    state.giveBackUnseen(kept);
    expect([state.counters(), state.lacksRoom()]).toEqual([1, false]);
    state.keepCounters(1n, 1n, 1n);
    expect(state.lacksRoom()).toBe(false);
  });
});

describe("a handle", () => {
  it.each([
    ["of a state file that was ignored", MIB, true],
    // Handles of files that it has no room for are not in it.
    ["of a full state file", 2 ** 15, false],
  ])("%s is never given out again", (_name, bytes, damaged) => {
    const state = new State(bytes);
    const seen = new Set<bigint>();
    for (let worker = 0; worker < 5; worker += 1) {
      for (let i = 0; i < 200; i += 1) {
        seen.add(state.openFile(A, `${worker} ${i}`));
      }
      expect(state.takeOver(damaged)).toBe(damaged ? "foreign content" : "");
    }
    expect(seen.size).toBe(1000);
  });

  it("stays good when another worker takes over", () => {
    const state = new State(MIB);
    const handle = state.openFile(A, "text");
    expect(state.takeOver(false)).toBe("");
    expect(state.readFile(A, handle)).toBe("text");
    expect(state.openFile(A, "other")).not.toBe(handle);
  });

  it("is of one node only", () => {
    const state = new State(MIB);
    const handle = state.openFile(A, "of A");
    expect(state.readFile(B, handle)).toBeNull();
    state.closeFile(B, handle);
    expect(state.readFile(A, handle)).toBe("of A");
    state.restoreFile(B, handle, "of B");
    expect(state.readFile(A, handle)).toBe("of A");
    expect(state.readFile(B, handle)).toBe("of B");
    state.restoreFile(B, handle, "of B again");
    expect(state.readFile(B, handle)).toBe("of B again");
    state.closeFile(A, handle);
    expect(state.readFile(A, handle)).toBeNull();
    expect(state.readFile(B, handle)).toBe("of B again");
  });
});

describe("an open file that a worker before left", () => {
  it("is left to the next worker if nobody has asked this one for it", () => {
    const state = new State(MIB);
    const handle = state.openFile(A, "text");
    expect(state.takeOver(false)).toBe("");
    expect(state.takeOver(false)).toBe("");
    expect(state.readFile(A, handle)).toBe("text");
    expect(state.takeOver(false)).toBe("");
    expect(state.readFile(A, handle)).toBe("text");
  });

  it("gives its room back when it is closed before anybody has asked for it", () => {
    const state = new State(MIB);
    const COUNT = 300;
    for (let times = 0; times < 10; times += 1) {
      const text = `${times}`.repeat(1000);
      const handles = Array.from({ length: COUNT }, () => state.openFile(A, text));
      expect(state.takeOver(false)).toBe("");
      const [first = 0n, ...others] = handles;
      state.closeFile(B, first);
      expect(state.readFile(A, first)).toBe(text);
      for (const handle of [first, ...others]) {
        state.closeFile(A, handle);
      }
      expect(state.readFile(A, first)).toBeNull();
    }
    expect(state.takeOver(false)).toBe("");
    expect(state.openFiles()).toBe(0);
  });
});

describe("a file that is closed while it is renewed", () => {
  it("changes nothing that has taken its room", () => {
    const state = new State(MIB);
    const handle = state.openFile(A, "text");
    state.holdFile(A, handle);
    state.closeFile(A, handle);
    const others = ["one", "two", "three"].map((of) => ({ of, handle: state.openFile(B, of) }));
    state.renewHeld("x");
    expect(state.takeOver(false)).toBe("");
    expect(others.map(({ handle }) => state.readFile(B, handle))).toEqual(
      others.map(({ of }) => of),
    );
  });
});

describe("the room of a state file", () => {
  const LIVES = 40;
  const COUNT = 1000;
  const BYTES = 1500;
  const GRANULE = 256;

  function highest(state: State): number {
    return Math.max(0, ...state.records().map(({ record }) => record));
  }

  it("is found again in every life", () => {
    const state = new State(64 * MIB);
    const reached: number[] = [];
    for (let life = 0; life < LIVES; life += 1) {
      const made = Array.from({ length: COUNT }, () => state.add(1n, BYTES));
      reached.push(highest(state));
      for (const record of made) {
        state.remove(1n, record);
      }
      expect(state.takeOver(false)).toBe("");
    }
    expect(new Set(reached).size).toBe(1);
  });

  it("is found again beside records that stay, whatever their size", () => {
    const state = new State(64 * MIB);
    const reached: number[] = [];
    const last = { key: 1n, record: 0 };
    for (let life = 0; life < LIVES; life += 1) {
      // Another size in every life, so that none fits what the last one left.
      const bytes = BYTES + (life % 7) * 1000;
      const made = Array.from({ length: COUNT }, () => state.add(1n, bytes));
      reached.push(highest(state));
      const stays = state.add(2n, 100);
      for (const record of made) {
        state.remove(1n, record);
      }
      state.remove(2n, last.record);
      last.record = stays;
      expect(state.takeOver(false)).toBe("");
      expect(state.records()).toEqual([{ key: 2n, record: stays, bytes: 100 }]);
    }
    // The most that was ever there at once, and half as much again.
    expect(Math.max(...reached)).toBeLessThan((COUNT * (BYTES + 6000) * 1.5) / GRANULE + 1000);
  });

  it("is nobody's twice, through whatever comes", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 999 }), { minLength: 50, maxLength: 400 }), (steps) => {
        const state = new State(MIB / 4);
        const held = new Map<bigint, { record: number; bytes: number }>();
        let key = 0n;
        for (const step of steps) {
          const oldest = held.entries().next().value;
          if (step < 30) {
            expect(state.takeOver(false)).toBe("");
          } else if (step < 400 && oldest !== undefined) {
            const [of, { record }] = oldest;
            state.remove(of, record);
            held.delete(of);
          } else {
            key += 1n;
            const bytes = step < 900 ? step : step * 40;
            const record = state.add(key, bytes);
            if (record !== 0) {
              held.set(key, { record, bytes });
            }
          }
        }
        const expected = [...held].map(([of, rest]) => ({ key: of, ...rest }));
        expected.sort((a, b) => a.record - b.record);
        const expectThem = (): void => {
          expect(state.records()).toEqual(expected);
          expect(expected.flatMap(({ key: of }) => state.recordsOf(of, 0n))).toEqual(expected);
          expect(state.recordsOf(key + 1n, 0n)).toEqual([]);
        };
        expectThem();
        expect(state.takeOver(false)).toBe("");
        expectThem();
      }),
      { numRuns: 100 },
    );
  });

  it("is kept for counters, however many files are open", () => {
    const state = new State(MIB);
    const text = "x".repeat(1000);
    const handles = Array.from({ length: 2000 }, () => state.openFile(A, text));
    let kept = 0;
    while (state.add(1n, BYTES) !== 0) {
      kept += BYTES;
    }
    // Heads of records and of the file come out of it.
    expect(kept).toBeGreaterThan(0.9 * 0.4 * MIB);
    // What there is no room for is not lost before another worker takes over.
    expect(handles.every((handle) => state.readFile(A, handle) === text)).toBe(true);
    expect(state.takeOver(false)).toBe("");
    const left = handles.filter((handle) => state.readFile(A, handle) === text).length;
    expect(left).toBeGreaterThan(300);
    expect(left).toBeLessThan(1000);
    expect(state.records()).toHaveLength(kept / BYTES);
  });

  it("is kept for counters in one piece, however files are closed", () => {
    const state = new State(MIB);
    const handles = Array.from({ length: 2000 }, () => state.openFile(A, "x"));
    // Two of three, so that what is left lies everywhere.
    for (const [i, handle] of handles.entries()) {
      if (i % 3 !== 0) {
        state.closeFile(A, handle);
      }
    }
    let kept = 0;
    while (state.add(1n, 30_000) !== 0) {
      kept += 32_768;
    }
    expect(kept).toBeGreaterThan(0.9 * 0.4 * MIB);
    expect(state.takeOver(false)).toBe("");
    expect(state.records()).toHaveLength(kept / 32_768);
    expect(state.readFile(A, handles[0] ?? 0n)).toBe("x");
  });

  it.each([
    ["", false],
    [", also without another worker", true],
  ])("is one piece again when all is given back%s", (_name, goesOn) => {
    const state = new State(MIB);
    const fill = (bytes: number): number[] => {
      const made: number[] = [];
      for (let record = state.add(1n, bytes); record !== 0; record = state.add(1n, bytes)) {
        made.push(record);
      }
      return made;
    };
    const all = fill(100_000).length;
    for (const bytes of [100, 5000, 700, 30_000]) {
      for (const { record } of state.records()) {
        state.remove(1n, record);
      }
      expect(goesOn || state.takeOver(false) === "").toBe(true);
      expect(fill(bytes).length).toBeGreaterThan(all);
    }
    for (const { record } of state.records()) {
      state.remove(1n, record);
    }
    expect(goesOn || state.takeOver(false) === "").toBe(true);
    expect(fill(100_000)).toHaveLength(all);
  });
});
