// The file in which a worker leaves the counters of containers for the next one.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { testName } from "../support/names.js";
import { keptCounters } from "../support/testing.js";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), testName("counters-")));
});
afterEach(() => rmSync(directory, { recursive: true }));

function fileOf(lines: readonly string[], end = "end\n"): string {
  return ["vprocfs-counters 1", ...lines, end].join("\n");
}

/** What is understood of a file. */
function kept(text: string): string {
  const file = join(directory, "file");
  writeFileSync(file, text);
  return keptCounters(file);
}

const PLAIN = "m1 1 2 3 4 5 6";
const CPU = "m2 1 2 3 4 5 6 7 8 9 10 11 12 13 14";
const numbers = (length: number): string => Array.from({ length }, (_, at) => at + 1).join(" ");
const COUNTS = `m3 ${numbers(26)}`;
const MOVED = `m3 ${numbers(46)}`;

it("is read as it was written", () => {
  expect(kept(fileOf([PLAIN, MOVED]))).toBe(fileOf([PLAIN, MOVED]));
});

it("has lines of workers that kept less of a container that was moved", () => {
  expect(kept(fileOf([CPU]))).toBe(fileOf([`${CPU}${" 0".repeat(32)}`]));
  expect(kept(fileOf([COUNTS]))).toBe(fileOf([`${COUNTS}${" 0".repeat(20)}`]));
});

it.each([
  "m4 1 2 3 4 5",
  `${MOVED} 47`,
  `${COUNTS} 27`,
  "m5 1 2 3 4 5 6 7",
  "m6 1 2 3 4 5 x",
  "what 1 2 3 4 5 6",
  "",
])("has the other containers' lines where one is %j", (bad) => {
  expect(kept(fileOf([PLAIN, bad]))).toBe(fileOf([PLAIN]));
  expect(kept(fileOf([bad, PLAIN]))).toBe(fileOf([PLAIN]));
});

it.each([
  ["half of it", fileOf([PLAIN], "")],
  ["one of another version", fileOf([PLAIN]).replace(" 1\n", " 2\n")],
])("is none if it is %s", (_, text) => {
  expect(kept(text)).toBe(fileOf([]));
});
