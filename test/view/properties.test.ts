// What holds whatever the kernel says: arbitrary figures of a cgroup, possible or not, as a recorded
// tree of v1 or v2, rendered as a container would read them.

import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { renderFixture } from "../support/testing.ts";
import {
  type Container,
  type Host,
  hostMeminfo,
  hostValues,
  least,
  meminfoLabels,
  writeCase,
} from "./synthetic.ts";
import { forAll, kb, max, maxU64, min, minus, root, runs, worlds } from "./worlds.ts";

/** Every line of a meminfo: the form of a kernel's, and numbers without sign. */
function parseMeminfo(text: string): Record<string, bigint> {
  const values: Record<string, bigint> = {};
  for (const line of text.split("\n").slice(0, -1)) {
    const match = /^(\w+(?:\(\w+\))?): *(\d+)( kB)?$/.exec(line);
    expect(match, line).not.toBeNull();
    const [, label = "", value = ""] = match ?? [];
    expect(values).not.toHaveProperty([label]);
    values[label] = BigInt(value);
  }
  return values;
}

function meminfoOf(read: (path: string) => string): (label: string) => bigint {
  const values = parseMeminfo(read("proc/meminfo"));
  return (label) => {
    const value = values[label];
    if (value === undefined) {
      throw new Error(`no ${label}`);
    }
    return value;
  };
}

function memoryLimit(box: Container): bigint | null {
  return least(box.limits.map(({ memory }) => memory));
}

/** What the cgroups of v1 leave for swap where they limit memory and swap together; null: none does. */
function swapOfV1(host: Host, set: bigint, memory: bigint | null): bigint | null {
  const size = host.memTotalKb * 1024n;
  const isLimit = set < size + host.swapTotalKb * 1024n;
  return isLimit ? minus(set, memory === null ? 0n : min(memory, size)) : null;
}

/** SEMANTICS of SwapTotal, said again. */
function swapTotal(host: Host, box: Container): bigint {
  const usedKb = kb(box.swapUsed ?? 0n);
  const set = least(box.limits.map(({ swap }) => swap));
  if (box.version === 1 && box.swappiness === 0 && usedKb === 0n) {
    return 0n;
  }
  const swap = set !== null && box.version === 1 ? swapOfV1(host, set, memoryLimit(box)) : set;
  return swap === null ? host.swapTotalKb : min(max(kb(swap), usedKb), host.swapTotalKb);
}

describe("meminfo", () => {
  it("gives MemTotal, MemFree and swap exactly as limits and use say", () => {
    forAll((read, host, box) => {
      const value = meminfoOf(read);
      const total = max(min(host.memTotalKb, kb(memoryLimit(box) ?? maxU64)), 4n);
      const limited = total < host.memTotalKb;
      const free = minus(total, kb(box.usage));
      expect(value("MemTotal")).toBe(total);
      // What others have cached of the node's memory is free for this one.
      const most = max(host.memAvailableKb ?? 0n, host.memFreeKb);
      expect(value("MemFree")).toBeGreaterThanOrEqual(
        limited ? min(free, host.memFreeKb) : host.memFreeKb,
      );
      expect(value("MemFree")).toBeLessThanOrEqual(limited ? min(free, most) : most);
      expect(value("SwapTotal")).toBe(swapTotal(host, box));
      expect(value("SwapFree")).toBe(minus(swapTotal(host, box), kb(box.swapUsed ?? 0n)));
    });
  });

  it("has no amount above its whole", () => {
    // The node's pool of huge pages is in no memory limit.
    const notMemory = /^(VmallocTotal|CommitLimit|Committed_AS|Hugepagesize|Hugetlb)$/;
    forAll((read, host) => {
      const value = meminfoOf(read);
      const total = value("MemTotal");
      expect(total).toBeGreaterThan(0n);
      expect(total).toBeLessThanOrEqual(host.memTotalKb);
      expect(value("MemFree")).toBeLessThanOrEqual(value("MemAvailable"));
      expect(value("MemAvailable")).toBeLessThanOrEqual(total);
      expect(value("SwapFree")).toBeLessThanOrEqual(value("SwapTotal"));
      const swapUsed = value("SwapTotal") - value("SwapFree");
      for (const label of ["SwapCached", "Zswapped"]) {
        expect(value(label)).toBeLessThanOrEqual(swapUsed);
      }
      for (const label of ["Shmem", "Mapped", "Dirty", "FileHugePages"]) {
        expect(value(label), label).toBeLessThanOrEqual(value("Cached"));
      }
      expect(value("AnonHugePages")).toBeLessThanOrEqual(value("AnonPages"));
      expect(value("Committed_AS")).toBeLessThanOrEqual(total + value("SwapTotal"));
      for (const [label, amount] of Object.entries(parseMeminfo(read("proc/meminfo")))) {
        if (!notMemory.test(label) && !/^Swap|^DirectMap|^Zswapped/.test(label)) {
          expect(amount, label).toBeLessThanOrEqual(total);
        }
      }
    });
  });

  it("adds up", () => {
    forAll((read, host, box) => {
      const value = meminfoOf(read);
      expect(value("Active")).toBe(value("Active(anon)") + value("Active(file)"));
      expect(value("Inactive")).toBe(value("Inactive(anon)") + value("Inactive(file)"));
      expect(value("Slab")).toBe(value("SReclaimable") + value("SUnreclaim"));
      expect(value("KReclaimable")).toBeGreaterThanOrEqual(value("SReclaimable"));
      const lists = value("Active") + value("Inactive") + value("Unevictable");
      expect(lists).toBeLessThanOrEqual(value("MemTotal"));
      // free(1), htop and busybox take these off the total, some all of the slab.
      const unused = value("MemFree") + value("Buffers") + value("Cached") + value("Slab");
      expect(unused).toBeLessThanOrEqual(value("MemTotal"));
      if (memoryLimit(box) !== null && value("MemTotal") < host.memTotalKb) {
        const mapped = value("DirectMap4k") + value("DirectMap2M");
        expect(mapped).toBe(value("MemTotal"));
      }
    });
  });

  it("keeps the host's lines in the host's order, and 0 where nothing is known of a container", () => {
    forAll((read, host, box) => {
      const values = parseMeminfo(read("proc/meminfo"));
      expect(Object.keys(values)).toEqual(meminfoLabels);
      const limited = min(memoryLimit(box) ?? maxU64, maxU64) / 1024n < host.memTotalKb;
      // Without a limit the node's memory is the container's.
      expect(values.Buffers).toBe(limited ? 0n : (hostValues(host).Buffers ?? -1n));
      for (const label of ["Mlocked", "Bounce", "HardwareCorrupted", "NewInSomeKernel"]) {
        expect(values[label], label).toBe(0n);
      }
    });
  });

  it("is the same whatever the host's other lines say", () => {
    const dir = join(root, "others");
    // The node's pool of huge pages is everybody's, and cannot be committed.
    const isHosts = /^Hugetlb$|^Commit/;
    const own = (host: Host, container: Container) => {
      writeCase(dir, host, container);
      const lines = Object.entries(parseMeminfo(renderFixture(dir, "proc/meminfo")));
      return lines.filter(([label]) => !isHosts.test(label));
    };
    fc.assert(
      fc.property(worlds, ([plain, container]) => {
        // No container has more of the page cache than the node.
        const host = { ...plain, cachedKb: plain.memTotalKb / 3n };
        const shown = own(host, container);
        expect(own({ ...host, othersKb: host.memTotalKb / 5n }, container)).toEqual(shown);
      }),
      runs,
    );
  });

  it("is the host's, byte for byte, without a memory controller", () => {
    const dir = join(root, "host");
    fc.assert(
      fc.property(worlds, ([host, container]) => {
        writeCase(dir, host, { ...container, accounted: false });
        expect(renderFixture(dir, "proc/meminfo")).toBe(hostMeminfo(dir));
      }),
      runs,
    );
  });

  it("and swaps tell of the same swap", () => {
    forAll((read) => {
      const value = meminfoOf(read);
      const [header, ...devices] = read("proc/swaps").split("\n").slice(0, -1);
      expect(header).toBe("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority");
      expect(devices).toHaveLength(value("SwapTotal") === 0n ? 0 : 1);
      for (const device of devices) {
        const [, , size = "", used = ""] = device.split(/\s+/);
        expect(BigInt(size)).toBe(value("SwapTotal"));
        expect(BigInt(used)).toBe(value("SwapTotal") - value("SwapFree"));
        expect(device).not.toContain("sdz9");
      }
    });
  });
});

function parseList(text: string): number[] {
  return text
    .trim()
    .split(",")
    .flatMap((range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

/** SEMANTICS of the CPUs shown, said again. */
function shownCpus(box: Container): number[] {
  const counts = box.limits.map(({ cpu }) =>
    cpu === null ? box.cpuset.length : Number((cpu.quotaUs + cpu.periodUs - 1n) / cpu.periodUs),
  );
  const count = Math.max(1, Math.min(box.cpuset.length, ...counts));
  return [...box.cpuset].sort((a, b) => a - b).slice(0, count);
}

interface CpuLine {
  readonly name: string;
  readonly fields: bigint[];
}

function cpuLines(text: string): [CpuLine, ...CpuLine[]] {
  const parsed = [...text.matchAll(/^(cpu\d*) +(\d+(?: \d+){9})$/gm)].map(
    ([, name = "", rest]) => ({
      name,
      fields: (rest ?? "").split(" ").map(BigInt),
    }),
  );
  const [sum, ...rest] = parsed;
  if (sum === undefined) {
    throw new Error(`no cpu line in ${text}`);
  }
  return [sum, ...rest];
}

describe("CPUs", () => {
  it("are the same in every file", () => {
    forAll((read, _host, box) => {
      const shown = shownCpus(box);
      expect(parseList(read("sys/devices/system/cpu/online"))).toEqual(shown);
      const [, ...lines] = cpuLines(read("proc/stat"));
      expect(lines.map(({ name }) => name)).toEqual(shown.map((id) => `cpu${id}`));
      const processors = [...read("proc/cpuinfo").matchAll(/^processor\t: (\d+)$/gm)];
      expect(processors.map(([, id]) => Number(id))).toEqual(shown);
    });
  });

  it("are counted right within cpuinfo", () => {
    forAll((read) => {
      const blocks = read("proc/cpuinfo")
        .split("\n\n")
        .slice(0, -1)
        .map(
          (block) =>
            new Map([...block.matchAll(/^([\w ]+\w)\t+: (.*)$/gm)].map(([, k, v]) => [k, v])),
        );
      for (const block of blocks) {
        const package_ = blocks.filter((b) => b.get("physical id") === block.get("physical id"));
        const cores = new Set(package_.map((b) => b.get("core id")));
        expect(Number(block.get("siblings"))).toBe(package_.length);
        expect(Number(block.get("cpu cores"))).toBe(cores.size);
      }
    });
  });

  it("add up in every column, and to the time that there was", () => {
    forAll((read, _host, box) => {
      const [sum, ...lines] = cpuLines(read("proc/stat"));
      sum.fields.forEach((field, i) => {
        expect(lines.reduce((a, line) => a + (line.fields[i] ?? 0n), 0n)).toBe(field);
      });
      const uptime = BigInt(box.uptimeUs) / 10_000n;
      for (const { name, fields } of lines) {
        const gained = fields.reduce((a, b) => a + b);
        // Each of five fields is rounded down.
        expect(gained, name).toBeLessThanOrEqual(uptime);
        expect(gained, name).toBeGreaterThanOrEqual(uptime - 5n);
      }
      const [up = "", idle = ""] = read("proc/uptime").trim().split(" ");
      expect(up).toMatch(/^\d+\.\d\d$/);
      expect(BigInt(up.replace(".", ""))).toBe(uptime);
      expect(BigInt(idle.replace(".", ""))).toBe(sum.fields[3]);
    });
  });

  it("leave nothing of the host's activity in stat", () => {
    forAll((read) => {
      const text = read("proc/stat");
      expect(text).not.toMatch(/\b9000(?:0[1-9]|1[0-5])\b/);
      const rest = text.split("\n").filter((line) => !line.startsWith("cpu"));
      expect(rest).toEqual([
        "intr 0 0 0 0",
        "ctxt 0",
        "btime 1700000000",
        "processes 1",
        "procs_running 1",
        "procs_blocked 0",
        "softirq 0 0 0 0 0 0 0 0 0 0 0",
        "",
      ]);
    });
  });
});
