// What the usual tools say inside a limited container, whatever started it.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PERIOD_US } from "../../src/demo/cgroups.js";
import { hierarchyOf, isV2 } from "./cgroups.js";
import { BINDS } from "./daemon.js";
import {
  checkGrowth,
  checkMeminfo,
  checkStat,
  cpuinfoIds,
  cpuList,
  statIds,
  swaps,
  value,
} from "./procfile.js";
import { top } from "./top.js";
import { until } from "./wait.js";

/** Somewhere to run programs: a container of any kind. */
export interface Inside {
  /** Its init, as the host sees it. */
  readonly init: number;
  /** Runs a program that must succeed. */
  output(argv: readonly string[]): Promise<string>;
}

interface Expected {
  readonly memoryMiB: number;
  readonly swapMiB: number;
  readonly cpus: readonly number[];
  /** The files that are bound; all of them unless told. */
  readonly binds?: readonly string[];
}

function row(table: string, name: string): number[] {
  const line = table.split("\n").find((candidate) => candidate.startsWith(`${name}:`));
  assert.ok(line !== undefined, `no line ${name} in:\n${table}`);
  return line
    .slice(name.length + 1)
    .trim()
    .split(/\s+/)
    .map(Number);
}

/** meminfo, swaps, free and swapon tell of the same memory and swap. */
async function checkMemory(inside: Inside, expected: Expected): Promise<void> {
  const free = await inside.output(["free", "-m"]);
  assert.equal(row(free, "Mem")[0], expected.memoryMiB, free);
  assert.equal(row(free, "Swap")[0], expected.swapMiB, free);
  const memory = checkMeminfo(await inside.output(["cat", "/proc/meminfo"]));
  assert.equal(value(memory, "MemTotal"), expected.memoryMiB * 1024);
  assert.equal(value(memory, "SwapTotal"), expected.swapMiB * 1024);
  const lines = swaps(await inside.output(["cat", "/proc/swaps"]));
  const sum = lines.reduce((all, line) => all + line.size, 0);
  assert.equal(sum, expected.swapMiB * 1024);
  const shown = await inside.output(["swapon", "--show", "--bytes", "--noheadings"]);
  const sizes = shown
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => Number(line.split(/\s+/)[2]));
  const bytes = sizes.reduce((all, size) => all + size, 0);
  assert.ok(Math.abs(bytes - expected.swapMiB * 2 ** 20) <= 4096, `swapon --show: ${shown}`);
  const vmstat = await inside.output(["vmstat", "-s", "-S", "K"]);
  assert.match(vmstat, new RegExp(`^ *${expected.memoryMiB * 1024} K total memory$`, "m"));
  assert.match(vmstat, new RegExp(`^ *${expected.swapMiB * 1024} K total swap$`, "m"));
}

/** cpuinfo, stat and sysfs tell of the same CPUs. */
async function checkCpus(inside: Inside, expected: Expected): Promise<void> {
  assert.deepEqual(cpuinfoIds(await inside.output(["cat", "/proc/cpuinfo"])), expected.cpus);
  const stat = checkStat(await inside.output(["cat", "/proc/stat"]));
  assert.deepEqual(statIds(stat), expected.cpus);
  for (const name of ["online", "present"]) {
    const list = await inside.output(["cat", `/sys/devices/system/cpu/${name}`]);
    assert.deepEqual(cpuList(list), expected.cpus, name);
  }
  // A promise of the kernel, which no limit changes.
  const possible = "/sys/devices/system/cpu/possible";
  assert.equal(await inside.output(["cat", possible]), readFileSync(possible, "utf8"));
  const names = (await inside.output(["ls", "/sys/devices/system/cpu"])).split("\n");
  const ids = names.flatMap((name) => /^cpu(\d+)$/.exec(name)?.slice(1).map(Number) ?? []);
  const others = ids.filter((id) => !expected.cpus.includes(id));
  assert.equal(ids.length - others.length, expected.cpus.length);
  // One directory alone would tell older programs that threads can never run on two CPUs.
  assert.ok(others.length === 0 || (others.length === 1 && expected.cpus.length === 1), `${ids}`);
  for (const id of others) {
    assert.equal(await inside.output(["cat", `/sys/devices/system/cpu/cpu${id}/online`]), "0\n");
  }
}

/** Its own mounts: one for each file or directory, of the type that others look for. */
async function checkMounts(inside: Inside, binds: readonly string[] = BINDS): Promise<void> {
  const mounts = (await inside.output(["cat", "/proc/mounts"])).split("\n");
  for (const path of binds) {
    const ours = mounts.filter((line) => line.startsWith(`vprocfs /${path} fuse.lxcfs `));
    assert.equal(ours.length, 1, `/${path} in ${mounts.join("\n")}`);
  }
}

/** Its uptime is the time since its init started, in the file and in what procps makes of it. */
async function checkUptime(inside: Inside): Promise<void> {
  const [up = ""] = (await inside.output(["cat", "/proc/uptime"])).split(" ");
  const [host = ""] = readFileSync("/proc/uptime", "utf8").split(" ");
  const stat = readFileSync(`/proc/${inside.init}/stat`, "utf8");
  const started = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]) / 100;
  const age = Number(host) - started;
  assert.ok(Number(up) > 0 && Number(up) <= age + 0.02, `${up} of ${age} s`);
  assert.match(await inside.output(["uptime", "-p"]), /^up /);
}

/** For how many seconds the quota has throttled a process's cgroup. */
function throttledSeconds(pid: number): number {
  const text = readFileSync(join(hierarchyOf(pid, "cpu"), "cpu.stat"), "utf8");
  const v1 = /^throttled_time (\d+)$/m.exec(text)?.[1];
  const v2 = /^throttled_usec (\d+)$/m.exec(text)?.[1];
  return v1 === undefined ? Number(v2) / 1e6 : Number(v1) / 1e9;
}

/**
 * Waits for the quota to throttle. On a machine that is busy with other things, 1.5 CPUs may be out
 * of reach: there it goes down to what still shows as two.
 */
async function untilThrottled(inside: Inside): Promise<void> {
  const directory = hierarchyOf(inside.init, "cpu");
  const before = throttledSeconds(inside.init);
  const isThrottled = (): boolean => throttledSeconds(inside.init) > before + 0.1;
  try {
    await until("the quota throttles", isThrottled, 10_000);
  } catch {
    const [file, value] = isV2
      ? ["cpu.max", `${PERIOD_US * 1.01} ${PERIOD_US}`]
      : ["cpu.cfs_quota_us", `${PERIOD_US * 1.01}`];
    writeFileSync(join(directory, file), value);
    await until("a small quota throttles", isThrottled);
  }
}

/** The share of each state in each line of top's CPUs. */
function cpuLines(text: string): number[][] {
  const lines = text.match(/%Cpu(\(s\)|\d+) *:[^%]*/g) ?? [];
  return lines.map((line) =>
    [...line.matchAll(/(-?\d+(?:\.\d+)?|nan|inf) (?:us|sy|ni|id|wa|hi|si|st)\b/g)].map((found) =>
      Number(found[1]),
    ),
  );
}

/** top while busy loops run against the quota: each CPU has 100 %, some of it is stolen. */
export async function checkThrottled(inside: Inside, frames = 2): Promise<void> {
  const before = checkStat(await inside.output(["cat", "/proc/stat"]));
  await untilThrottled(inside);
  const text = await inside.output(top("-b", "-1", "-n", `${frames}`, "-d", "1", "-w", "200"));
  const lines = cpuLines(text);
  assert.equal(lines.length, frames * before.cpus.length, text);
  for (const shares of lines) {
    const sum = shares.reduce((all, share) => all + share, 0);
    assert.ok(
      shares.every((share) => share >= 0 && share <= 100),
      text,
    );
    assert.ok(Math.abs(sum - 100) < 1, text);
  }
  const after = checkStat(await inside.output(["cat", "/proc/stat"]));
  checkGrowth(before, after);
  assert.ok(after.total.steal > before.total.steal, "steal");
  assert.ok(after.total.user > before.total.user, "user");
}

/** All that the job shows. The caller has busy loops running for the last. */
export async function checkShows(inside: Inside, expected: Expected): Promise<void> {
  await checkMounts(inside, expected.binds);
  await checkMemory(inside, expected);
  await checkCpus(inside, expected);
  await checkUptime(inside);
}
