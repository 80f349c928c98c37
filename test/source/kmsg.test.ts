// What files of kernel logs take and give, and where their readers are.

import { describe, expect, it } from "vitest";
import { native } from "../support/testing.js";

const USER = 1 << 3;
const WARNING = 4;

describe("what is written to kmsg", () => {
  const cases: [name: string, bytes: string, priority: number, text: string][] = [
    ["plain text is a user's warning", "hello\n", USER | WARNING, "hello"],
    ["one newline ends it, another one is a part", "a\n\n", USER | WARNING, "a\n"],
    ["a level, of the kernel's facility, is a user's", "<3>oops", USER | 3, "oops"],
    ["a level and a facility", "<30>daemon", 30, "daemon"],
    ["the highest facility", "<2047>x", 2047, "x"],
    ["beyond that bits are cut off, and again it is a user's", "<2049>x", USER | 1, "x"],
    ["no number counts as 0", "<>x", USER, "x"],
    ["no number at all is text", "<a>x", USER | WARNING, "<a>x"],
    [
      "a number that does not fit is text",
      `<${"9".repeat(30)}>x`,
      USER | WARNING,
      `<${"9".repeat(30)}>x`,
    ],
    ["an unclosed number is text", "<3", USER | WARNING, "<3"],
    ["it ends at a NUL", "a\0b", USER | WARNING, "a"],
    ["nothing is an empty record", "", USER | WARNING, ""],
    ["what looks like a record is text", "6,1,2,-;x", USER | WARNING, "6,1,2,-;x"],
  ];
  it.each(cases)("%s", (_name, bytes, priority, text) => {
    expect(native.readWritten(bytes)).toEqual({ priority, text });
  });
});

describe("what kmsg gives", () => {
  it("is a record that reads back", () => {
    const text = "a\\b\nc\x1b[1m";
    const record = native.writeKmsg(7n, 1_234_567n, 30, text);
    expect(record).toBe("30,7,1234567,-;a\\x5cb\\x0ac\\x1b[1m\n");
    expect(native.readLogRecord(record)).toMatchObject({
      level: 6,
      facility: 3,
      sequence: 7n,
      timeUs: 1_234_567n,
      text,
    });
  });
});

describe("a reader of kmsg", () => {
  const there = { first: 0, next: 3 };

  it("goes on where it was, and finds nothing at the end", () => {
    const reads = [0, 10, 20, 30].map((at) => ({ ...there, at, bytes: 10 }));
    expect(native.followKmsg(reads)).toEqual([0, 1, 2, "nothing"]);
  });

  it("goes on too where the offset is another one, and begins again at 0", () => {
    const reads = [0, 99, 0, 10, 0].map((at) => ({ ...there, at, bytes: 10 }));
    expect(native.followKmsg(reads)).toEqual([0, 1, 0, 1, 0]);
  });

  it("reads on at 0 as long as nothing has moved the offset", () => {
    const reads = [0, 0, 0].map((at) => ({ ...there, at, bytes: 0 }));
    expect(native.followKmsg(reads)).toEqual([0, 1, 2]);
  });

  it("is told of a loss once, and has the oldest then", () => {
    const read = (first: number, next: number, at: number) => ({ first, next, at, bytes: 10 });
    expect(native.followKmsg([read(0, 3, 0), read(5, 9, 10), read(5, 9, 10)])).toEqual([
      0,
      "loss",
      5,
    ]);
    // Another log, since the one that it has read is gone.
    expect(native.followKmsg([read(7, 9, 0), read(7, 9, 0), read(0, 4, 10)])).toEqual([
      "loss",
      7,
      "loss",
    ]);
  });

  it("goes where it seeks, and from there can begin again", () => {
    const at = (offset: number) => ({ ...there, at: offset, bytes: 10 });
    const seek = { ...there, seek: 2 };
    expect(native.followKmsg([seek, at(1), at(11)])).toEqual([2, "nothing"]);
    expect(native.followKmsg([seek, at(0)])).toEqual([0]);
    expect(native.followKmsg([{ ...there, seek: 3 }, at(1)])).toEqual(["nothing"]);
  });
});
