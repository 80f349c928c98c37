// The state file and what lies in it, without a mount.

import { describe, expect, it } from "vitest";
import { State } from "../support/testing.js";

const MIB = 2 ** 20;

describe("a record that is given back twice", () => {
  it("stays whose it has become meanwhile", () => {
    const state = new State(MIB);
    const before = state.beginLoad(7n, 1n);
    state.sampleLoad(before, 1n);
    // The same container with another init: what the first life left is of no use to it.
    state.beginLoad(7n, 2n);
    const one = state.openFile("one");
    state.endLoad(before);
    const other = state.openFile("other");
    expect(state.readFile(one)).toBe("one");
    expect(state.readFile(other)).toBe("other");
  });
});
