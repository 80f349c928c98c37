import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { nativeCandidates } from "../../src/layout.js";
import { runSync } from "../support/command.js";

/** Prints how many kB of files a process has in memory, before and after it gave back what it can, and a sum. */
const SCRIPT = `
  const { readFileSync } = require("node:fs");
  const { trimMemory } = require(process.argv[1]);
  const fileKb = () => {
    const text = readFileSync("/proc/self/smaps_rollup", "utf8");
    const [rss, anonymous] = ["Rss", "Anonymous"].map((key) => Number(new RegExp("^" + key + ": +(\\\\d+)", "m").exec(text)[1]));
    return rss - anonymous;
  };
  const before = fileKb();
  trimMemory();
  const after = fileKb();
  const sum = Array.from({ length: 1000 }, (_, i) => i).sort((a, b) => b - a).reduce((a, b) => a + b);
  console.log(JSON.stringify({ before, after, sum, date: new Date(0).toLocaleDateString("en-GB") }));
`;

it("takes what only the start needed of Node's program out of memory, and goes on", () => {
  const addon = nativeCandidates("vprocfs.node").find(existsSync) ?? "";
  const { stdout, stderr } = runSync([process.execPath, "-e", SCRIPT, addon]);
  expect(stderr).toBe("");
  const { before, after, ...rest } = JSON.parse(stdout);
  expect(after).toBeLessThan(before / 2);
  expect(rest).toEqual({ sum: 499500, date: "01/01/1970" });
});
