// The length of a file that is read out of the page cache, from snapshot to snapshot.

import { describe, expect, it } from "vitest";
import { stabilised } from "../support/testing.js";

const NONE = { bytes: 0, seam: 0 };

/** Lines of `bytes` together. */
const lines = (count: number, bytes = 20): string => `${"x".repeat(bytes - 1)}\n`.repeat(count);

describe("a file that is read out of the page cache", () => {
  it("keeps its length while its text fits", () => {
    const first = stabilised(lines(1, 42), NONE, false);
    expect(first).toMatchObject({ bytes: 128, seam: 0 });
    expect(first.text).toBe(`${"x".repeat(41)}${" ".repeat(86)}\n`);
    const next = stabilised(lines(2, 50), first, false);
    expect(next).toMatchObject({ bytes: 128, seam: 0 });
    expect(next.text).toHaveLength(128);
  });

  it("ends a line where it ended before it grew, however often", () => {
    let file = stabilised(lines(1), NONE, false);
    let had = file.text;
    const grown = new Set([file.bytes]);
    for (let count = 2; count < 200; count += 1) {
      const text = lines(count);
      const next = stabilised(text, file, false);
      expect(next.text).toHaveLength(next.bytes);
      // What a reader gets that has had the whole of the one before.
      const seen = had + next.text.slice(had.length);
      expect(seen.replaceAll(/ +\n/g, "\n").split("\n").slice(0, -1)).toEqual(
        Array.from({ length: seen.match(/\n/g)?.length ?? 0 }, () => "x".repeat(19)),
      );
      expect(next.text.replaceAll(/ +\n/g, "\n")).toBe(text);
      file = next;
      had = next.text;
      grown.add(next.bytes);
    }
    expect(grown.size).toBeLessThan(40);
  });

  it("becomes shorter when it is less than half full, and forgets where it ended", () => {
    const long = stabilised(lines(20), { bytes: 128, seam: 64 }, false);
    expect(long.seam).toBe(128);
    expect(stabilised(lines(1), long, false)).toMatchObject({ bytes: 64, seam: 0 });
    expect(stabilised("", long, false)).toEqual({ text: "", bytes: 0, seam: 0 });
  });

  it("has no blanks where its columns are fixed", () => {
    const text = lines(3);
    expect(stabilised(text, NONE, true)).toEqual({ text, bytes: 60, seam: 0 });
    expect(stabilised(lines(4), { bytes: 60, seam: 0 }, true).text).toBe(lines(4));
  });

  it("takes lengths that nobody can have told for none", () => {
    for (const before of [
      { bytes: 4_000_000_000, seam: 0 },
      { bytes: 64, seam: 4_000_000_000 },
      { bytes: 64, seam: 1 },
    ]) {
      const { text, bytes } = stabilised(lines(3), before, false);
      expect(text.replaceAll(/ +\n/g, "\n")).toBe(lines(3));
      expect(bytes).toBeLessThan(256);
    }
  });

  it("is one line longer than its room at worst", () => {
    const text = "1".repeat(60);
    const short = stabilised(`${text}\n`, NONE, false);
    const long = stabilised(`${text.repeat(4)}\n`, short, false);
    // No line ends before: nothing can be done for who has had the shorter one.
    expect(long.text.trimEnd()).toBe(text.repeat(4));
  });
});
