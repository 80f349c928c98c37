// How figures and limits combine: along the chain, across files, over time.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it, onTestFinished } from "vitest";
import { haveProgram } from "../support/command.js";
import { type Files, sourceOf, Tree, v1Container, v2Container } from "./tree.js";

const MIB = 2n ** 20n;

/** Thirty nested cgroups: "/c0", "/c0/c1", ... */
const chain = Array.from({ length: 30 }, (_, depth) =>
  Array.from({ length: depth + 1 }, (__, level) => `/c${level}`).join(""),
);
const leaf = chain.at(-1) ?? "";

/** The file at every level: `value(level)`. */
function along(prefix: string, name: string, value: (level: number) => string): Files {
  return Object.fromEntries(
    chain.map((path, level) => [`${prefix}${path}/${name}`, `${value(level)}\n`]),
  );
}

describe("a chain of 30 cgroups", () => {
  it.each([0, 1, 13, 28, 29])("v2: the smallest limits win (at level %i)", (lowest) => {
    const value = (level: number) => (level === lowest ? "1000" : `${2000 + level}`);
    const tree = new Tree({
      ...v2Container(leaf),
      ...along("", "memory.max", value),
      ...along("", "memory.swap.max", (level) => (level === lowest ? "0" : "max")),
      ...along("", "hugetlb.2MB.max", value),
      ...along("", "cpu.max", (level) => `${value(level)} 1000`),
    });
    const source = tree.source(leaf);
    expect(source.memory()).toMatchObject({
      limitBytes: 1000n,
      swapLimitBytes: 0n,
      hugetlbLimitBytes: 1000n,
    });
    expect(source.limits().bandwidth).toEqual({ quotaUs: 1000n, periodUs: 1000n });
  });

  it.each([0, 29])("v1: the smallest quota wins (at level %i)", (lowest) => {
    const tree = new Tree({
      ...v1Container(leaf),
      ...along("cpu", "cpu.cfs_quota_us", (level) => (level === lowest ? "50000" : "-1")),
      ...along("cpu", "cpu.cfs_period_us", () => "100000"),
    });
    const expected = { quotaUs: 50_000n, periodUs: 100_000n };
    expect(tree.source(leaf).limits().bandwidth).toEqual(expected);
  });

  it("the root of the hierarchy counts, what is above it does not", () => {
    const tree = new Tree({ ...v2Container("/c"), "memory.max": "4096\n" });
    expect(tree.source("/c").memory().limitBytes).toBe(4096n);
    const outer = new Tree({ "unified/cgroup.controllers": "memory\n", "memory.max": "1\n" });
    outer.write({ "unified/c/memory.max": "8192\n" });
    expect(outer.source("/c").memory().limitBytes).toBe(8192n);
  });

  it("v2: an absent file passes the limit on", () => {
    const tree = new Tree({ ...v2Container("/a/b/c"), "a/memory.max": `${64n * MIB}\n` });
    expect(tree.source("/a/b/c").memory()).toMatchObject({
      limitBytes: 64n * MIB,
      usageBytes: null,
    });
  });

  it.each([
    ["a third is less than 33334 of 100000", ["1 3", "33334 100000"], [1n, 3n]],
    ["more than 33333 of 100000", ["1 3", "33333 100000"], [33_333n, 100_000n]],
    ["no overflow", [`${2n ** 63n} 2`, `${2n ** 63n} 3`], [2n ** 63n, 3n]],
    ["the nearer of two equal ones", ["1 2", "2 4"], [2n, 4n]],
  ] as const)("quotas compare exactly: %s", (_name, [outer, inner], [quotaUs, periodUs]) => {
    const files = { "a/cpu.max": `${outer}\n`, "a/c/cpu.max": `${inner}\n` };
    const tree = new Tree({ ...v2Container("/a/c"), ...files });
    expect(tree.source("/a/c").limits().bandwidth).toEqual({ quotaUs, periodUs });
  });
});

describe("the effective cpuset", () => {
  it("v2: the nearest cgroup that has the controller", () => {
    const tree = new Tree(v2Container("/a/b/c"));
    tree.write({ "cpuset.cpus.effective": "0-7\n", "a/cpuset.cpus.effective": "2-3\n" });
    expect(tree.source("/a/b/c").limits().cpuset).toEqual([2, 3]);
    tree.write({ "a/b/c/cpuset.cpus.effective": "3\n" });
    expect(tree.source("/a/b/c").limits().cpuset).toEqual([3]);
  });

  it.each(["v1", "v2"] as const)("%s: an empty one is passed over", (version) => {
    const [prefix, name] =
      version === "v1" ? ["cpuset/", "cpuset.effective_cpus"] : ["", "cpuset.cpus.effective"];
    const source = sourceOf(version, { [`${prefix}${name}`]: "4\n", [`${prefix}c/${name}`]: "\n" });
    expect(source.limits().cpuset).toEqual([4]);
  });

  it("v1: the effective one before the configured one", () => {
    const files = { "cpuset/c/cpuset.cpus": "0-3\n", "cpuset/c/cpuset.effective_cpus": "1\n" };
    expect(sourceOf("v1", files).limits().cpuset).toEqual([1]);
  });

  it("is read anew each time", () => {
    const tree = new Tree({ ...v2Container("/c"), "c/cpuset.cpus.effective": "0-3\n" });
    const source = tree.source("/c", true);
    expect(source.limits().cpuset).toEqual([0, 1, 2, 3]);
    tree.write({ "c/cpuset.cpus.effective": "0\n" });
    expect(source.limits().cpuset).toEqual([0]);
  });
});

describe("a partition of cpuset", () => {
  const OUTER = { "cpuset.cpus.effective": "0-7\n" };
  const files = (partition: string, effective: string): Files => ({
    "c/cpuset.cpus": "8-15\n",
    "c/cpuset.cpus.effective": `${effective}\n`,
    "c/cpuset.cpus.partition": `${partition}\n`,
  });
  const exclusive = (set: string): Files => ({ "c/cpuset.cpus.exclusive.effective": `${set}\n` });
  const range = (first: number, last: number): number[] =>
    Array.from({ length: last - first + 1 }, (_, at) => first + at);

  it.each([
    ["root", "8-9", range(8, 15)],
    ["isolated", "8-9", range(8, 15)],
    ["isolated", "", range(8, 15)],
    ["member", "8-9", [8, 9]],
    ["root invalid (Cpu list in cpuset.cpus not exclusive)", "8-9", [8, 9]],
    ["isolated invalid", "", range(0, 7)],
  ] as const)(
    "that is %j has the CPUs of those below it (effective: %j)",
    (state, set, expected) => {
      for (const since67 of [{}, exclusive("8-15")]) {
        const source = sourceOf("v2", { ...OUTER, ...files(state, set), ...since67 });
        expect(source.limits().cpuset).toEqual(expected);
      }
    },
  );

  it("has no CPU that was configured and not given to it, as far as the kernel tells", () => {
    const source = sourceOf("v2", { ...OUTER, ...files("root", "9"), ...exclusive("8-11") });
    expect(source.limits().cpuset).toEqual(range(8, 11));
  });

  it("above the container leaves it the effective set", () => {
    const tree = new Tree({ ...v2Container("/c/d"), ...OUTER, ...files("root", "8-9") });
    tree.write({ ...exclusive("8-15"), "c/d/cpuset.cpus.partition": "member\n" });
    expect(tree.source("/c/d").limits().cpuset).toEqual([8, 9]);
  });

  it("is seen when it comes and goes", () => {
    const tree = new Tree({ ...v2Container("/c"), ...OUTER, ...files("member", "8-15") });
    tree.write({ ...exclusive(""), "cgroup.subtree_control": "cpuset\n" });
    const source = tree.source("/c", true);
    expect(source.limits().cpuset).toEqual(range(8, 15));
    tree.write({ ...files("root", "8-9"), ...exclusive("8-12") });
    expect(source.limits().cpuset).toEqual(range(8, 12));
    tree.write(exclusive("8-10"));
    expect(source.limits().cpuset).toEqual(range(8, 10));
    tree.write({ "c/cpuset.cpus.partition": "member\n" });
    expect(source.limits().cpuset).toEqual([8, 9]);
  });
});

describe("v1 swap", () => {
  const stat = (memory: bigint, memsw: bigint) => ({
    "memory/c/memory.stat": `hierarchical_memory_limit ${memory}\nhierarchical_memsw_limit ${memsw}\n`,
  });
  const none = 9223372036854771712n;

  it.each([
    ["both set: the difference", 512n * MIB, 768n * MIB, 256n * MIB],
    ["the same: none", 512n * MIB, 512n * MIB, 0n],
    ["below memory: none", 512n * MIB, 256n * MIB, 0n],
    ["memsw alone", none, 768n * MIB, 768n * MIB],
    ["memory alone: no limit", 512n * MIB, none, null],
    ["neither: no limit", none, none, null],
  ])("%s", (_name, memory, memsw, expected) => {
    expect(sourceOf("v1", stat(memory, memsw)).memory().swapLimitBytes).toBe(expected);
  });

  it.each([
    ["total_swap is preferred", "total_swap 7\n", "100\n", "40\n", 7n],
    ["else memsw less memory", "x 1\n", "100\n", "40\n", 60n],
    ["never below zero", "x 1\n", "40\n", "100\n", 0n],
  ])("used: %s", (_name, text, memsw, usage, expected) => {
    const source = sourceOf("v1", {
      "memory/c/memory.stat": text,
      "memory/c/memory.memsw.usage_in_bytes": memsw,
      "memory/c/memory.usage_in_bytes": usage,
    });
    expect(source.memory().swapUsedBytes).toBe(expected);
  });

  it.each([
    ["0\n", true],
    ["60\n", false],
    ["", false],
    ["low\n", false],
  ])("swappiness %j", (text, expected) => {
    const source = sourceOf("v1", { "memory/c/memory.swappiness": text });
    expect(source.memory().swappinessZero).toBe(expected);
  });
});

describe("huge pages", () => {
  it.each([
    ["v2", "c/hugetlb.2MB.max", "c/hugetlb.2MB.current"],
    ["v1", "hugetlb/c/hugetlb.2MB.limit_in_bytes", "hugetlb/c/hugetlb.2MB.usage_in_bytes"],
  ] as const)("%s: limit and use", (version, limit, usage) => {
    const source = sourceOf(version, { [limit]: "4194304\n", [usage]: "2097152\n" });
    expect(source.memory()).toMatchObject({
      hugetlbLimitBytes: 4194304n,
      hugetlbUsedBytes: 2097152n,
    });
  });

  it.each([
    ["v2", "", "max", "current", v2Container("/a/b/c")],
    ["v1", "hugetlb/", "limit_in_bytes", "usage_in_bytes", v1Container("/a/b/c")],
  ] as const)("%s: what others use of the limits above is not free", (_v, at, max, used, files) => {
    const tree = new Tree({
      ...files,
      [`${at}a/hugetlb.2MB.${max}`]: "20971520\n",
      [`${at}a/hugetlb.2MB.${used}`]: "18874368\n",
      [`${at}a/b/hugetlb.2MB.${max}`]: "8388608\n",
      [`${at}a/b/hugetlb.2MB.${used}`]: "2097152\n",
      [`${at}a/b/c/hugetlb.2MB.${used}`]: "2097152\n",
    });
    expect(tree.source("/a/b/c").memory()).toMatchObject({
      hugetlbLimitBytes: 8388608n,
      hugetlbUsedBytes: 2097152n,
      hugetlbFreeBytes: 2097152n,
    });
  });
});

describe("reservations of huge pages", () => {
  const MIB2 = 2097152n;
  it.each([
    ["v2", "", "max", "current"],
    ["v1", "hugetlb/", "limit_in_bytes", "usage_in_bytes"],
  ] as const)("%s: are limited like use", (version, at, max, used) => {
    const files = (counter: string, limit: bigint, use: bigint, cgroup = "a/c"): Files => ({
      [`${at}${cgroup}/hugetlb.2MB.${counter}${max}`]: `${limit * MIB2}\n`,
      [`${at}${cgroup}/hugetlb.2MB.${counter}${used}`]: `${use * MIB2}\n`,
    });
    const hugetlb = (...all: readonly Files[]): readonly (bigint | null)[] => {
      const tree = new Tree(version === "v1" ? v1Container("/a/c") : v2Container("/a/c"));
      all.forEach((each) => void tree.write(each));
      const memory = tree.source("/a/c").memory();
      const { hugetlbLimitBytes, hugetlbReservedBytes, hugetlbFreeBytes } = memory;
      const free = hugetlbFreeBytes < 2n ** 62n ? hugetlbFreeBytes / MIB2 : null;
      return [hugetlbLimitBytes && hugetlbLimitBytes / MIB2, hugetlbReservedBytes / MIB2, free];
    };
    expect(hugetlb(files("rsvd.", 8n, 5n))).toEqual([8n, 5n, null]);
    expect(hugetlb(files("", 9n, 2n), files("rsvd.", 8n, 5n))).toEqual([8n, 3n, null]);
    expect(hugetlb(files("", 7n, 2n), files("rsvd.", 8n, 5n))).toEqual([7n, 3n, null]);
    // Of what an ancestor has left to reserve, a sibling has 10. Its own 3 are reserved already.
    const above = files("rsvd.", 20n, 15n, "a");
    expect(hugetlb(files("", 30n, 2n), files("rsvd.", 30n, 5n), above)).toEqual([20n, 3n, 8n]);
  });
});

describe("CPU time", () => {
  it("v2: user time is without nice", () => {
    const text = "user_usec 1000\nsystem_usec 300\nnice_usec 400\n";
    const usage = sourceOf("v2", { "c/cpu.stat": text }).usage();
    expect(usage).toMatchObject({ userUs: 600n, niceUs: 400n, tellsNice: true, systemUs: 300n });
  });

  it("v2: nice time is no more than user time, of which it is a part", () => {
    const text = "user_usec 1000\nsystem_usec 300\nnice_usec 4000\n";
    const usage = sourceOf("v2", { "c/cpu.stat": text }).usage();
    expect(usage).toMatchObject({ userUs: 0n, niceUs: 1000n, systemUs: 300n });
  });

  it("v2: cpu.stat.local knows of an ancestor's quota, where the kernel has it", () => {
    const files = { "c/cpu.stat": "user_usec 1\nthrottled_usec 5\n" };
    expect(sourceOf("v2", files).usage().throttledUs).toBe(5n);
    const local = { ...files, "c/cpu.stat.local": "throttled_usec 70\n" };
    expect(sourceOf("v2", local).usage().throttledUs).toBe(70n);
    const empty = { ...files, "c/cpu.stat.local": "" };
    expect(sourceOf("v2", empty).usage().throttledUs).toBe(5n);
  });

  it.each([
    ["v2", "", "cpu.max", "60000 100000\n", "throttled_usec", 1n],
    ["v1", "cpu/", "cpu.cfs_quota_us", "60000\n", "throttled_time", 1000n],
  ] as const)("%s before 6.6: an ancestor's quota takes from its only cgroup", (...row) => {
    const [version, at, limit, quota, key, unit] = row;
    const stat = (us: bigint) => `nr_throttled 4\n${key} ${us * unit}\n`;
    const tree = new Tree({
      ...(version === "v2" ? v2Container("/pve/100/ns") : v1Container("/pve/100/ns")),
      [`${at}pve/100/ns/cpu.stat`]: stat(5n),
      [`${at}pve/100/cpu.stat`]: stat(70n),
      [`${at}pve/cpu.stat`]: stat(9000n),
      [`${at}pve/100/${limit}`]: quota,
      [`${at}pve/100/cpu.cfs_period_us`]: "100000\n",
      [`${at}pve/101/`]: "",
    });
    const source = tree.source("/pve/100/ns");
    const above = () => {
      source.limits();
      const usage = source.usage();
      expect(usage.throttledUs).toBe(5n);
      return usage.quotasAbove;
    };
    expect(above()).toEqual([{ level: 1, throttledUs: 70n }]);
    tree.write({ [`${at}pve/100/cpu.stat`]: stat(80n) });
    expect(above()).toEqual([{ level: 1, throttledUs: 80n }]);
    // Of two, nothing tells which one it was that wanted to run.
    tree.write({ [`${at}pve/100/other/`]: "" });
    expect(above()).toEqual([{ level: 1, throttledUs: null }]);
    tree.remove(`${at}pve/100/other`);
    expect(above()).toEqual([{ level: 1, throttledUs: 80n }]);
    tree.write({ [`${at}pve/100/cgroup.procs`]: "4711\n" });
    expect(above()).toEqual([{ level: 1, throttledUs: null }]);
    tree.write({ [`${at}pve/100/cgroup.procs`]: "" });
    expect(above()).toEqual([{ level: 1, throttledUs: 80n }]);
    tree.write({ [`${at}pve/100/${limit}`]: version === "v2" ? "max 100000\n" : "-1\n" });
    expect(above()).toEqual([]);
    tree.write({ [`${at}pve/100/${limit}`]: quota });
    tree.write({ [`${at}pve/100/ns/cpu.stat.local`]: `${key} ${300n * unit}\n` });
    const counted = tree.source("/pve/100/ns");
    counted.limits();
    expect(counted.usage()).toMatchObject({ throttledUs: 300n, quotasAbove: [] });
  });

  it.each([
    ["v2", "c", "cpu.max", "50000 100000\n", "max 100000\n", "cpu.stat.local", "throttled_usec"],
    ["v1", "cpu,cpuacct/c", "cpu.cfs_quota_us", "50000\n", "-1\n", "cpu.stat", "throttled_time"],
  ])("%s: throttled time is read only while there is a quota, and after its end", (...row) => {
    const [version, at, limit, quota, none, stat, key] = row;
    const tree = new Tree({
      ...(version === "v2" ? v2Container("/c") : { "cpu,cpuacct/release_agent": "\n" }),
      [`${at}/${limit}`]: none,
      [`${at}/cpu.cfs_period_us`]: "100000\n",
    });
    const tell = (us: number) => {
      tree.write({ [`${at}/${stat}`]: `${key} ${version === "v2" ? us : us * 1000}\n` });
    };
    tell(5);
    const source = tree.source("/c", true);
    const told = () => {
      source.limits();
      return source.usage().throttledUs;
    };
    expect(told()).toBe(5n);
    tell(6);
    expect(told()).toBe(5n);
    tree.write({ [`${at}/${limit}`]: quota });
    expect(told()).toBe(6n);
    tell(7);
    expect(told()).toBe(7n);
    tell(8);
    tree.write({ [`${at}/${limit}`]: none });
    expect(told()).toBe(8n);
    tell(9);
    expect(told()).toBe(8n);
  });

  it.each([
    ["v2", "c", "cpu.max", "max 100000\n", { "cgroup.events": "populated 1\n" }],
    ["v1", "cpu,cpuacct/c", "cpu.cfs_quota_us", "-1\n", {}],
  ])("%s: in a cgroup namespace there may be a quota above, which nobody sees", (...row) => {
    const [version, at, limit, none, root] = row;
    const tree = new Tree({
      ...(version === "v2" ? v2Container("/c") : {}),
      ...root,
      [`${at}/${limit}`]: none,
    });
    const source = tree.source("/c", true);
    for (const us of [5n, 6n]) {
      tree.write({ [`${at}/cpu.stat.local`]: `throttled_usec ${us}\n` });
      source.limits();
      expect(source.usage().throttledUs).toBe(us);
    }
  });

  it("before 6.6 quotas far above a cgroup are not asked: tenants choose how deep they nest", () => {
    const files = {
      ...v2Container(leaf),
      ...along("", "cpu.max", () => "50000 100000"),
      ...along("", "cpu.stat", () => "throttled_usec 7"),
    };
    const source = new Tree(files).source(leaf);
    source.limits();
    expect(source.usage()).toMatchObject({
      throttledUs: 7n,
      quotasAbove: [1, 2, 3, 4, 5, 6, 7, 8].map((level) => ({ level, throttledUs: 7n })),
    });
  });

  it("v1: ticks, and nanoseconds per CPU", () => {
    const usage = sourceOf("v1", {
      "cpuacct/c/cpuacct.stat": "user 12\nsystem 3\n",
      "cpuacct/c/cpuacct.usage_all": "cpu user system\n0 1500 2500\n2 7000 0\n",
      "cpu/c/cpu.stat": "nr_periods 4\nthrottled_time 9000\n",
    }).usage();
    expect(usage).toEqual({
      userUs: 120_000n,
      niceUs: 0n,
      tellsNice: false,
      systemUs: 30_000n,
      throttledUs: 9n,
      quotasAbove: [],
      perCpu: [
        { cpu: 0, userUs: 1n, systemUs: 2n },
        { cpu: 2, userUs: 7n, systemUs: 0n },
      ],
    });
  });

  it("v1: cpu and cpuacct may be separate, with different paths", () => {
    const tree = new Tree({
      "cpu/t1/cpu.cfs_quota_us": "1000\n",
      "cpu/t1/cpu.cfs_period_us": "1000\n",
      "cpuacct/deep/t2/cpuacct.stat": "user 1\nsystem 0\n",
    });
    const source = tree.sourceIn("2:cpu:/t1\n1:cpuacct:/deep/t2\n");
    expect(source.limits().bandwidth).toEqual({ quotaUs: 1000n, periodUs: 1000n });
    expect(source.usage().userUs).toBe(10_000n);
  });
});

describe("v2: swap on a host that has none", () => {
  const tree = (files: Files) =>
    new Tree({
      ...v2Container("/c"),
      "c/memory.current": "4096\n",
      "c/memory.stat": "x 1\n",
      ...files,
    });

  it("is not read, and 0", () => {
    const files = tree({ "c/memory.swap.current": "0\n" });
    const source = files.source("/c", true);
    expect(source.memory(0n).swapUsedBytes).toBe(0n);
    files.write({ "c/memory.swap.current": "8192\n" });
    expect(source.memory(0n).swapUsedBytes).toBe(0n);
    expect(source.memory(1n).swapUsedBytes).toBe(8192n);
  });

  it("is not known where the kernel does not account it", () => {
    const source = tree({}).source("/c", true);
    expect(source.memory(0n).swapUsedBytes).toBeNull();
    expect(source.memory(0n).swapUsedBytes).toBeNull();
  });
});

/** Enables the memory controller when somebody opens memory.high, who waits for that: a lease. */
const ENABLE = `
import fcntl, os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
file = os.open("a/c/memory.high", os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("ready", flush=True)
signal.sigwait([signal.SIGIO])
for name, text in (("c/memory.max", "5000"), ("cgroup.subtree_control", "memory")):
    with open("a/" + name, "w") as to:
        to.write(text)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
`;

describe("controllers that come and go", () => {
  it("v2: limits written later are seen at once", () => {
    const tree = new Tree({ ...v2Container("/a/c"), "a/c/memory.max": "max\n" });
    tree.write({ "cgroup.subtree_control": "memory\n", "a/cgroup.subtree_control": "memory\n" });
    const source = tree.source("/a/c", true);
    expect(source.memory().limitBytes).toBeNull();
    tree.write({ "a/c/memory.max": "5000\n" });
    expect(source.memory().limitBytes).toBe(5000n);
    tree.write({ "a/memory.max": "4000\n", "a/cpu.max": "1 2\n", "cgroup.subtree_control": "x\n" });
    expect(source.memory().limitBytes).toBe(4000n);
    tree.write({ "a/c/memory.current": "77\n", "a/cgroup.subtree_control": "x\n" });
    expect(source.memory().usageBytes).toBe(77n);
  });

  it.runIf(haveProgram("python3"))(
    "v2: a file that comes while they are read is seen",
    async () => {
      const tree = new Tree({ ...v2Container("/a/c"), "a/c/memory.high": "max\n" });
      tree.write({ "cgroup.subtree_control": "memory\n", "a/cgroup.subtree_control": "" });
      const child = spawn("python3", ["-c", ENABLE], { cwd: tree.root });
      onTestFinished(() => void child.kill());
      await once(child.stdout, "data");
      const source = tree.source("/a/c", true);
      expect(source.memory().limitBytes).toBeNull();
      expect(source.memory().limitBytes).toBe(5000n);
    },
  );

  it("v2 on a hybrid host counts for what v1 does not have", () => {
    const tree = new Tree({
      "memory/c/memory.usage_in_bytes": "5\n",
      "unified/cgroup.controllers": "hugetlb\n",
      "unified/c/memory.current": "6\n",
      "unified/c/cpu.stat": "user_usec 8\n",
      "unified/c/hugetlb.2MB.max": "9\n",
    });
    const source = tree.source("/c");
    expect(source.memory()).toMatchObject({ usageBytes: 5n, hugetlbLimitBytes: 9n });
    expect(source.usage().userUs).toBe(8n);
  });

  it("nothing mounted: nothing known, and no error", () => {
    const source = new Tree({}).source("/c");
    expect(source.memory()).toMatchObject({ limitBytes: null, usageBytes: null, stat: {} });
    expect(source.limits()).toEqual({ cpuset: null, bandwidth: null });
    expect(source.usage()).toMatchObject({ userUs: 0n, perCpu: [] });
  });

  it("cpu and cpuacct as links to one directory", () => {
    const source = new Tree({
      "cpu,cpuacct/c/cpuacct.stat": "user 2\nsystem 0\n",
      "cpu,cpuacct/c/cpu.cfs_quota_us": "1000\n",
      "cpu,cpuacct/c/cpu.cfs_period_us": "2000\n",
    }).source("/c");
    expect(source.usage().userUs).toBe(20_000n);
    expect(source.limits().bandwidth).toEqual({ quotaUs: 1000n, periodUs: 2000n });
  });
});
