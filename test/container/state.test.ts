// The state file and what lies in it, without a mount.

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
    const one = state.openFile(A, "one");
    state.endLoad(before);
    const other = state.openFile(B, "other");
    expect(state.readFile(A, one)).toBe("one");
    expect(state.readFile(B, other)).toBe("other");
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
