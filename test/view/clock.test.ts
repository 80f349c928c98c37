// Uptime, idle time and the date of boot of containers in time namespaces.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { testName } from "../support/names.js";
import { renderFixture } from "../support/testing.js";
import { type Container, PLAIN_BOX, PLAIN_HOST, writeCase } from "./synthetic.ts";

const dir = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), testName("clock-")));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const BUSY_S = 7;
/** Its init began 1,000 s after the node. */
const AGE_S = 50;
const BTIME = 1_700_000_000;

const BOX: Container = {
  ...PLAIN_BOX,
  uptimeUs: AGE_S * 1_000_000,
  cpu: { user: BigInt(BUSY_S * 1_000_000), nice: 0n, system: 0n },
};

function times(offset: string): { up: number; idle: number; btime: number } {
  writeCase(dir, PLAIN_HOST, BOX);
  writeFileSync(
    join(dir, "proc/4711/timens_offsets"),
    `monotonic           0         0\nboottime   ${offset}\n`,
  );
  const [up, idle] = renderFixture(dir, "proc/uptime").split(" ").map(Number);
  const btime = /^btime (\d+)$/m.exec(renderFixture(dir, "proc/stat"))?.[1];
  return { up: up ?? Number.NaN, idle: idle ?? Number.NaN, btime: Number(btime) };
}

describe("an offset of the clock of boot", () => {
  it.each([
    ["none", "0 0", AGE_S, BTIME],
    ["that puts its zero at init's start", "-1000 0", AGE_S, BTIME + 1000],
    ["that puts it some seconds before", "-985 0", AGE_S + 15, BTIME + 985],
    ["that puts it after", "-1020 0", AGE_S - 20, BTIME + 1020],
    ["that puts it beyond now", "-2000 0", 0, BTIME + 2000],
    [
      "of a node that was up for a day, on one that has just booted",
      "85400 0",
      AGE_S,
      BTIME - 85_400,
    ],
    ["of seconds, as a restored container has", "3 0", AGE_S, BTIME - 3],
    ["of seconds below zero", "-3 0", AGE_S, BTIME + 3],
    ["of less than a second", "-1 999000000", AGE_S, BTIME + 1],
    ["of a node that was up for a month", "2592000 0", AGE_S, BTIME - 2_592_000],
    ["beyond all bounds", "99999999999999 0", AGE_S, BTIME],
    ["that is none", "soon 0", AGE_S, BTIME],
  ])("%s", (_, offset, up, btime) => {
    const found = times(offset);
    expect(found.up).toBe(up);
    expect(found.btime).toBe(btime);
    // All that there was is busy or idle, on each of two CPUs.
    expect(found.idle).toBeCloseTo(Math.max(0, 2 * up - BUSY_S), 1);
  });
});

describe("CPU time that a cgroup has used", () => {
  it.each([
    ["is all the container's if it fits into its age", 2 * AGE_S, 0],
    ["is that also if it was read a little later", 2 * AGE_S + 3, 0],
    ["is of an earlier container if it does not", 2 * AGE_S + 5, 2 * AGE_S],
  ])("%s", (_, usedS, idle) => {
    const cpu = { ...BOX.cpu, user: BigInt(usedS * 1_000_000) };
    writeCase(dir, PLAIN_HOST, { ...BOX, cpu });
    expect(renderFixture(dir, "proc/uptime")).toBe(`${AGE_S}.00 ${idle}.00\n`);
  });
});
