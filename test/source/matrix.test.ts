// Every key and file that is read, with everything that may stand in it: one line each.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { project } from "../support/project.js";
import { memoryKeys, type Source } from "../support/testing.js";
import { codeOr, type Files, sourceOf } from "./tree.js";

const BIG = 2n ** 50n;
const HIGHEST = 2n ** 63n - 1n;

/** What one file may hold, and what is to be made of it. undefined: there is no such file. */
type Cases = readonly (readonly [name: string, text: string | undefined, expected: unknown])[];

/** The kernel's figure of a use: never empty but in a cgroup that is going away. */
const FIGURE: Cases = [
  ["present", "12345\n", 12345n],
  ["zero", "0\n", 0n],
  ["above the host", `${BIG}\n`, BIG],
  ["2^63-1", `${HIGHEST}\n`, HIGHEST],
  ["too large for 64 bits", "99999999999999999999\n", 2n ** 64n - 1n],
  ["missing", undefined, null],
  ["max", "max\n", null],
  ["garbage", "12 apples\n", null],
  ["negative", "-1\n", null],
  ["empty", "", "ENODEV"],
];

const LIMIT: Cases = [
  ["present", "12345\n", 12345n],
  ["zero", "0\n", 0n],
  ["above the host", `${BIG}\n`, BIG],
  ["2^63-1", `${HIGHEST}\n`, null],
  ["2^63 less a page", "9223372036854771712\n", null],
  ["2^63 less a huge page", "9223372036852678656\n", null],
  ["too large for 64 bits", "99999999999999999999\n", null],
  ["missing", undefined, null],
  ["max", "max\n", null],
  ["garbage", "0x1000\n", null],
  ["negative", "-1\n", null],
  ["empty", "", null],
];

/** A key of a file with other keys around it. */
const KEY: Cases = FIGURE.filter(([name]) => name !== "empty" && name !== "missing");
const LIMIT_KEY: Cases = LIMIT.filter(([name]) => name !== "empty" && name !== "missing");

function bandwidth(quotaUs: bigint, periodUs: bigint) {
  return { quotaUs, periodUs };
}

const CPU_MAX: Cases = [
  ["present", "250000 100000\n", bandwidth(250_000n, 100_000n)],
  ["another period", "1000 1000000\n", bandwidth(1000n, 1_000_000n)],
  ["above the host", `${BIG} 1\n`, bandwidth(BIG, 1n)],
  ["2^63-1", `${HIGHEST} ${HIGHEST}\n`, bandwidth(HIGHEST, HIGHEST)],
  ["missing", undefined, null],
  ["max", "max 100000\n", null],
  ["garbage", "many few\n", null],
  ["no period", "250000\n", null],
  ["zero", "0 100000\n", null],
  ["period zero", "250000 0\n", null],
  ["empty", "", null],
];

const QUOTA: Cases = [
  ["present", "250000\n", bandwidth(250_000n, 100_000n)],
  ["above the host", `${BIG}\n`, bandwidth(BIG, 100_000n)],
  ["2^63-1", `${HIGHEST}\n`, bandwidth(HIGHEST, 100_000n)],
  ["missing", undefined, null],
  ["no quota", "-1\n", null],
  ["max", "max\n", null],
  ["garbage", "1e5\n", null],
  ["zero", "0\n", null],
  ["empty", "", null],
];

const PERIOD: Cases = [
  ["present", "50000\n", bandwidth(250_000n, 50_000n)],
  ["missing", undefined, null],
  ["zero", "0\n", null],
  ["garbage", "soon\n", null],
  ["empty", "", null],
];

const CPUS: Cases = [
  ["present", "0-1,3\n", [0, 1, 3]],
  ["one", "7\n", [7]],
  ["above the host", "4095\n", [4095]],
  ["an id that no kernel has", "65536\n", null],
  ["2^63-1", `${HIGHEST}\n`, null],
  ["missing", undefined, null],
  ["max", "max\n", null],
  ["garbage", "0-\n", null],
  ["empty", "\n", null],
];

type Read = (source: Source) => unknown;

const LIMIT_BYTES: Read = (source) => source.memory().limitBytes;
const SWAP_LIMIT: Read = (source) => source.memory().swapLimitBytes;
const USAGE: Read = (source) => source.memory().usageBytes;
const SWAP_USED: Read = (source) => source.memory().swapUsedBytes;
const HUGETLB: Read = (source) => source.memory().hugetlbLimitBytes;
const BANDWIDTH: Read = (source) => source.limits().bandwidth;
const CPUSET: Read = (source) => source.limits().cpuset;

const period: Files = { "cpu/c/cpu.cfs_period_us": "100000\n" };
const quota: Files = { "cpu/c/cpu.cfs_quota_us": "250000\n" };
const used: Files = { "memory/c/memory.usage_in_bytes": "0\n", "memory/c/memory.stat": "x 1\n" };

const files: readonly (readonly ["v1" | "v2", string, Read, Cases, Files?])[] = [
  ["v2", "c/memory.max", LIMIT_BYTES, LIMIT],
  ["v2", "c/memory.swap.max", SWAP_LIMIT, LIMIT],
  ["v2", "c/memory.current", USAGE, FIGURE],
  ["v2", "c/memory.swap.current", SWAP_USED, FIGURE],
  ["v2", "c/hugetlb.2MB.max", HUGETLB, LIMIT],
  ["v2", "c/cpu.max", BANDWIDTH, CPU_MAX],
  ["v2", "c/cpuset.cpus.effective", CPUSET, CPUS],
  ["v1", "memory/c/memory.usage_in_bytes", USAGE, FIGURE],
  ["v1", "memory/c/memory.memsw.usage_in_bytes", SWAP_USED, FIGURE, used],
  ["v1", "hugetlb/c/hugetlb.2MB.limit_in_bytes", HUGETLB, LIMIT],
  ["v1", "cpu/c/cpu.cfs_quota_us", BANDWIDTH, QUOTA, period],
  ["v1", "cpu/c/cpu.cfs_period_us", BANDWIDTH, PERIOD, quota],
  ["v1", "cpuset/c/cpuset.effective_cpus", CPUSET, CPUS],
  ["v1", "cpuset/c/cpuset.cpus", CPUSET, CPUS],
];

for (const [version, path, read, cases, others] of files) {
  describe(`${version} ${path}`, () => {
    it.each(cases)("%s", (_name, text, expected) => {
      const file: Files = text === undefined ? {} : { [path]: text };
      const source = sourceOf(version, { ...others, ...file });
      expect(codeOr(() => read(source))).toEqual(expected);
    });
  });
}

/** `key value` among keys that begin or end like it. */
function statText(key: string, value: string): string {
  return `${key}_x 1\n${key.slice(0, -1)} 2\n${key} ${value.trimEnd()}\nx_${key} 3\n`;
}

for (const [key, v1Key] of memoryKeys()) {
  describe(`memory.stat ${key}`, () => {
    it.each(KEY)("v2: %s", (_name, text, expected) => {
      const source = sourceOf("v2", { "c/memory.stat": statText(key, text ?? "") });
      expect(source.memory().stat).toEqual(expected === null ? {} : { [key]: expected });
    });

    it.each(v1Key === null ? [] : KEY)(`v1 ${v1Key}: %s`, (_name, text, expected) => {
      const stat = `${statText(v1Key ?? "", text ?? "")}${key}_local 4\n`;
      const source = sourceOf("v1", { "memory/c/memory.stat": stat });
      expect(source.memory().stat).toEqual(expected === null ? {} : { [key]: expected });
    });

    it("missing", () => {
      expect(sourceOf("v2", { "c/memory.stat": "other 1\n" }).memory().stat).toEqual({});
      expect(sourceOf("v1", { "memory/c/memory.stat": "other 1\n" }).memory().stat).toEqual({});
    });
  });
}

describe("memory.stat", () => {
  const statOf = (text: string) => sourceOf("v2", { "c/memory.stat": text }).memory().stat;
  const keys = memoryKeys().map(([key]) => key);
  const whole = Object.fromEntries(keys.map((key, index) => [key, BigInt(index)]));
  const lines = keys.map((key, index) => `${key} ${index}\n`);

  it.each([
    ["tabs", "anon\t5\nfile \t 6\t\n"],
    ["blanks", "  anon 5\n\tfile   6  \n"],
    ["empty lines", "\nanon 5\n\n \nfile 6\n\n"],
    ["no newline at the end", "anon 5\nfile 6"],
    ["another order", "file 6\nanon 5\n"],
    ["a key without a value", "file\nanon 5\nfile 6\nfile\n"],
    ["a key that comes twice", "anon 4\nfile 6\nanon 5\n"],
    ["a second value", "anon 5\nfile 6\nfile 7 8\n"],
  ])("is read with %s", (_name, text) => {
    expect(statOf(text)).toEqual({ anon: 5n, file: 6n });
  });

  it("is read in every order", () => {
    expect(statOf(lines.join(""))).toEqual(whole);
    expect(statOf([...lines].reverse().join(""))).toEqual(whole);
    expect(statOf([...lines.slice(7), "odd 1\n", ...lines.slice(0, 7)].join(""))).toEqual(whole);
  });

  it("is read up to where every key was found", () => {
    expect(statOf(`${lines.join("")}anon 99\n`)).toEqual(whole);
    expect(statOf(`${lines.slice(1).join("")}odd 1\nanon 0\n`)).toEqual(whole);
  });
});

/** The keys of every recorded memory.stat. */
function recordedKeys(): ReadonlySet<string> {
  const fixtures = join(project, "test/fixtures");
  const files = readdirSync(fixtures, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith("/memory.stat"),
  );
  const lines = files.flatMap((path) => readFileSync(join(fixtures, path), "utf8").split("\n"));
  return new Set(lines.map((line) => line.split(" ", 1)[0] ?? ""));
}

it("keys of memory.stat are those of kernels", () => {
  const known = recordedKeys();
  const keys = memoryKeys().flatMap(([key, v1Key]) => (v1Key === null ? [key] : [key, v1Key]));
  expect(keys.length).toBeGreaterThan(30);
  expect(keys.filter((key) => !known.has(key))).toEqual([]);
  expect(new Set(keys).size).toBe(keys.length);
});

const limitKeys: readonly (readonly [string, Read, Cases])[] = [
  ["hierarchical_memory_limit", LIMIT_BYTES, LIMIT_KEY],
  ["hierarchical_memsw_limit", SWAP_LIMIT, LIMIT_KEY],
  ["total_swap", SWAP_USED, KEY],
];

describe.each(limitKeys)("v1 memory.stat %s", (key, read, cases) => {
  it.each(cases)("%s", (_name, text, expected) => {
    const stat = statText(key, text ?? "");
    expect(read(sourceOf("v1", { "memory/c/memory.stat": stat }))).toEqual(expected);
  });
});

const cpuStatKeys = [
  ["user_usec", "userUs"],
  ["system_usec", "systemUs"],
  ["nice_usec", "niceUs"],
  ["throttled_usec", "throttledUs"],
] as const;

describe.each(cpuStatKeys)("v2 cpu.stat %s", (key, field) => {
  it.each(KEY)("%s", (_name, text, expected) => {
    const source = sourceOf("v2", { "c/cpu.stat": statText(key, text ?? "") });
    expect(source.usage()[field]).toBe(expected ?? 0n);
  });
});

describe.each(["cpu.stat", "cpu.stat.local"])("v1 %s throttled_time", (file) => {
  it.each(KEY)("%s", (_name, text, expected) => {
    const stat = statText("throttled_time", text ?? "");
    const source = sourceOf("v1", { [`cpu/c/${file}`]: stat });
    expect(source.usage().throttledUs).toBe(typeof expected === "bigint" ? expected / 1000n : 0n);
  });
});

const stats = [
  ["v2", "c/memory.stat", (source: Source) => source.memory()],
  ["v2", "c/cpu.stat", (source: Source) => source.usage()],
  ["v1", "memory/c/memory.stat", (source: Source) => source.memory()],
  ["v1", "cpuacct/c/cpuacct.stat", (source: Source) => source.usage()],
  ["v1", "cpuacct/c/cpuacct.usage_all", (source: Source) => source.usage()],
] as const;

describe.each(stats)("%s %s", (version, path, read) => {
  it("is no row of zeros when it is empty", () => {
    const source = sourceOf(version, { [path]: "" });
    expect(codeOr(() => read(source))).toBe("ENODEV");
  });
});
