// The files that give away a machine's size and load, of arbitrary hosts and containers: they agree
// with meminfo and with each other, and nothing of the node's activity is in them.

import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { project } from "../support/project.ts";
import { HostFiles, renderFixture, treePaths, viewsOf } from "../support/testing.ts";
import {
  type Container,
  disks,
  type Io,
  NO_LIMITS,
  PLAIN_BOX,
  PLAIN_HOST,
  vmstatKeys,
  writeCase,
} from "./synthetic.ts";
import { forAll, minus, root } from "./worlds.ts";

type Read = (path: string) => string;

/** The figures that the made-up host has in all these files. */
const NODES_FIGURES = /\b77777\d{5}\b/;

function meminfoPages(read: Read): (label: string) => bigint {
  const text = read("proc/meminfo");
  return (label) => {
    const found = new RegExp(`^${label.replace(/[()]/g, "\\$&")}: +(\\d+)`, "m").exec(text)?.[1];
    if (found === undefined) {
      throw new Error(`no ${label} in meminfo`);
    }
    return BigInt(found) / 4n;
  };
}

function table(text: string): Map<string, bigint> {
  return new Map(
    text
      .split("\n")
      .slice(0, -1)
      .map((line) => {
        expect(line).toMatch(/^\w+ \d+$/);
        const [key = "", value = ""] = line.split(" ");
        return [key, BigInt(value)];
      }),
  );
}

function onlineIds(read: Read): number[] {
  return read("sys/devices/system/cpu/online")
    .trim()
    .split(",")
    .flatMap((range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

/** The container's figures of a device that is still there. */
function figuresOf({ io }: Container, device: string): Io | undefined {
  return io.find((row) => row.device === device);
}

/** The devices that a container uses, or that it has a limit for. */
function isItsOwn(box: Container, device: string): boolean {
  const limited = box.version === 2 && box.ioLimits.includes(device);
  return limited || figuresOf(box, device) !== undefined;
}

const busy: Io = {
  device: "8:0",
  readBytes: 4096n,
  writtenBytes: 4096n,
  reads: 1n,
  writes: 1n,
  discards: 0n,
  discardedBytes: 0n,
};

describe("diskstats and partitions", () => {
  it("have the container's devices that are there, in the host's order", () => {
    forAll((read, _host, box) => {
      const used = disks.filter(({ device }) => isItsOwn(box, device));
      const own = used.length > 0 ? used : disks.filter(({ name }) => name === "sda");
      const lines = read("proc/diskstats").split("\n").slice(0, -1);
      const words = lines.map((line) => line.trim().split(/ +/));
      expect(words.map(([major, minor, name]) => [`${major}:${minor}`, name])).toEqual(
        own.map(({ device, name }) => [device, name]),
      );
      const [head, blank, ...rows] = read("proc/partitions").split("\n").slice(0, -1);
      expect([head, blank]).toEqual(["major minor  #blocks  name", ""]);
      expect(rows.map((row) => row.trim().split(/ +/).at(-1))).toEqual(
        own.map(({ name }) => name).filter((name) => name !== "loop0"),
      );
      for (const row of rows) {
        expect(row).toMatch(/^ *\d+ +\d+ {4}1048576 \S+$/);
      }
    });
  });

  it("tell what the container read, wrote and discarded, and nothing else", () => {
    forAll((read, _host, box) => {
      for (const line of read("proc/diskstats").split("\n").slice(0, -1)) {
        expect(line).toMatch(/^[ \d]{4} [ \d]{7} \S+( \d+){17}$/);
        const [major, minor, , ...columns] = line.trim().split(/ +/);
        const io = figuresOf(box, `${major}:${minor}`);
        const sectors = (bytes: bigint) => bytes / 512n;
        const known = new Map([
          [0, io?.reads],
          [2, sectors(io?.readBytes ?? 0n)],
          [4, io?.writes],
          [6, sectors(io?.writtenBytes ?? 0n)],
          [11, io?.discards],
          [13, sectors(io?.discardedBytes ?? 0n)],
        ]);
        expect(columns.map(BigInt)).toEqual(columns.map((_, i) => known.get(i) ?? 0n));
      }
    });
  });
});

describe("io.stat", () => {
  const sda = (columns: string): string => `   8       0 sda ${columns}\n`;
  const none = `${"0 ".repeat(16)}0`;
  const read = "7 0 4 0 0 0 0 0 0 0 0 0 0 0 0 0 0";

  it.each([
    ["empty", "", sda(none)],
    ["one device", "8:0 rbytes=2048 wbytes=0 rios=7 wios=0 dbytes=0 dios=0\n", sda(read)],
    ["other policies' keys", "8:0 rbytes=2048 rios=7 cost.usage=5 use_delay=1\n", sda(read)],
    ["devices without figures in one line", "7:0 8:16 8:0 rbytes=2048 rios=7\n", undefined],
    ["a device without figures", "8:0\n", sda(none)],
    ["the same device twice", "8:0 rios=3\n8:0 rbytes=2048 rios=7\n", sda(read)],
    ["figures of nobody", "rbytes=2048 rios=7\n", sda(none)],
    [
      "a path of an NVMe disk that has several",
      "8:0 rbytes=2048 rios=7\n(unknown) rbytes=0 rios=9\n",
      sda(read),
    ],
    ["a device that is gone", "8:16 rbytes=2048 rios=7\n", sda(none)],
    ["a number that is none", "8:0 rbytes=2048x rios=-7 wios=\n", sda(none)],
    ["no device", "8:x rbytes=2048\n:0 rios=1\n4096:0 rios=1\n8:1048576 rios=1\n", sda(none)],
    [
      "more than 64 bits",
      "8:0 rios=99999999999999999999\n",
      sda(`${2n ** 64n - 1n}${none.slice(1)}`),
    ],
  ])("%s", (_, text, expected) => {
    const dir = join(root, "io");
    writeCase(dir, PLAIN_HOST, { ...PLAIN_BOX, version: 2 });
    writeFileSync(join(dir, "cgroup/outer/box/io.stat"), text);
    const shown = renderFixture(dir, "proc/diskstats");
    if (expected === undefined) {
      expect(shown.split("\n").map((line) => line.trim().split(/ +/)[2])).toEqual([
        "sda",
        "loop0",
        undefined,
      ]);
    } else {
      expect(shown).toBe(expected);
    }
  });

  it.each([
    ["no controller", "cgroup/outer/box/io.stat"],
    ["no limits either", "cgroup/outer/io.max"],
  ])("%s: the first disk, without figures", (_, file) => {
    const dir = join(root, "io");
    writeCase(dir, PLAIN_HOST, { ...PLAIN_BOX, version: 2 });
    rmSync(join(dir, file));
    expect(renderFixture(dir, "proc/diskstats")).toBe(sda(none));
    expect(renderFixture(dir, "proc/partitions")).toMatch(
      /^major minor {2}#blocks {2}name\n\n +8 +0 +\d+ sda\n$/,
    );
    expect(renderFixture(dir, "proc/vmstat")).toMatch(/^pgpgin 0$/m);
  });

  it("is of no path of an NVMe disk, which has no number of its own", () => {
    const dir = join(root, "io");
    writeCase(dir, PLAIN_HOST, { ...PLAIN_BOX, version: 2 });
    rmSync(join(dir, "cgroup/outer/box/io.stat"));
    const path = join(dir, "proc/diskstats");
    writeFileSync(path, `   0       0 nvme0c0n1 ${none}\n${readFileSync(path, "utf8")}`);
    expect(renderFixture(dir, "proc/diskstats")).toBe(sda(none));
    writeFileSync(join(dir, "cgroup/outer/box/io.stat"), "0:0 rbytes=2048 rios=7\n");
    expect(renderFixture(dir, "proc/diskstats")).toBe(sda(none));
  });

  it("of the root is the node's: nobody in it sees figures of disks", () => {
    const dir = join(root, "io");
    writeCase(dir, PLAIN_HOST, { ...PLAIN_BOX, version: 1, io: [busy] });
    writeFileSync(
      join(dir, "proc/4711/cgroup"),
      readFileSync(join(dir, "proc/4711/cgroup"), "utf8").replace(/:blkio:.*/, ":blkio:/"),
    );
    for (const file of ["io_service_bytes_recursive", "io_serviced_recursive"]) {
      writeFileSync(join(dir, `cgroup/blkio/blkio.throttle.${file}`), "8:0 Read 4096\n");
    }
    expect(renderFixture(dir, "proc/diskstats")).toBe(sda(none));
  });
});

describe("CPU time", () => {
  it("of the root is the node's: a container in it has used none", () => {
    const dir = join(root, "cpuacct");
    writeCase(dir, PLAIN_HOST, { ...PLAIN_BOX, version: 1 });
    const cgroups = join(dir, "proc/4711/cgroup");
    const text = readFileSync(cgroups, "utf8");
    writeFileSync(cgroups, text.replace(/:([^:\n]*cpuacct[^:\n]*):.*/, ":$1:/"));
    const [, user, , system] = renderFixture(dir, "proc/stat").split(/ +/);
    expect({ user, system }).toEqual({ user: "0", system: "0" });
  });
});

const AMOUNTS: readonly (readonly [key: string, ...labels: string[]])[] = [
  ["nr_free_pages", "MemFree"],
  ["nr_inactive_anon", "Inactive(anon)"],
  ["nr_active_anon", "Active(anon)"],
  ["nr_inactive_file", "Inactive(file)"],
  ["nr_active_file", "Active(file)"],
  ["nr_zone_active_file", "Active(file)"],
  ["nr_unevictable", "Unevictable"],
  ["nr_slab_reclaimable", "SReclaimable"],
  ["nr_slab_unreclaimable", "SUnreclaim"],
  ["nr_anon_pages", "AnonPages"],
  ["nr_mapped", "Mapped"],
  ["nr_dirty", "Dirty"],
  ["nr_writeback", "Writeback"],
  ["nr_shmem", "Shmem"],
  ["nr_page_table_pages", "PageTables"],
  ["nr_swapcached", "SwapCached"],
];

describe("vmstat", () => {
  it("agrees with meminfo in every amount", () => {
    forAll((read) => {
      const vmstat = table(read("proc/vmstat"));
      expect([...vmstat.keys()]).toEqual(vmstatKeys);
      const pages = meminfoPages(read);
      for (const [key, label] of AMOUNTS) {
        expect(vmstat.get(key), key).toBe(pages(label ?? ""));
      }
      const labels = ["Cached", "SwapCached", "Buffers"];
      const cached = labels.reduce((all, label) => all + pages(label), 0n);
      const rest = cached - (vmstat.get("nr_file_pages") ?? 0n);
      // Of each a part of a page may be left over.
      expect(rest <= 0n && rest >= -2n).toBe(true);
      for (const key of ["nr_dirty_threshold", "nr_dirty_background_threshold"]) {
        expect(vmstat.get(key)).toBeLessThanOrEqual(pages("MemTotal"));
      }
    });
  });

  it("counts the container's events and no others", () => {
    forAll((read, _host, box) => {
      const vmstat = table(read("proc/vmstat"));
      const counted = new Map([
        ["pgfault", box.events.pgfault],
        ["pgmajfault", box.events.pgmajfault],
        ["oom_kill", box.oomKills],
      ]);
      const onDisks = disks
        .filter(({ name }) => !/^(dm-|loop)/.test(name))
        .map(({ device }) => figuresOf(box, device));
      const sum = (of: (io: Io) => bigint) =>
        onDisks.reduce((all, io) => all + (io === undefined ? 0n : of(io)), 0n) / 1024n;
      counted.set(
        "pgpgin",
        sum((io) => io.readBytes),
      );
      counted.set(
        "pgpgout",
        sum((io) => io.writtenBytes),
      );
      for (const [key, value] of vmstat) {
        if (!key.startsWith("nr_")) {
          expect(value, key).toBe(counted.get(key) ?? 0n);
        }
      }
    });
  });

  it("of a container without memory controller has the host's amounts and no events", () => {
    forAll((_read, host, box) => {
      const dir = join(root, "host");
      writeCase(dir, host, { ...box, accounted: false });
      const read: Read = (path) => renderFixture(dir, path);
      const vmstat = table(read("proc/vmstat"));
      const pages = meminfoPages(read);
      for (const [key, label] of AMOUNTS) {
        expect(vmstat.get(key), key).toBe(pages(label ?? ""));
      }
      expect(vmstat.get("pgfault")).toBe(0n);
    });
  });

  it("of such a container's node has no counters of the host either", () => {
    const dir = join(root, "host");
    writeCase(dir, PLAIN_HOST, { ...PLAIN_BOX, accounted: false });
    const node = join(dir, "sys/devices/system/node");
    mkdirSync(join(node, "node0"), { recursive: true });
    writeFileSync(join(node, "online"), "0\n");
    writeFileSync(join(node, "node0/cpulist"), "0-1\n");
    writeFileSync(join(node, "node0/meminfo"), "Node 0 MemTotal:        4194304 kB\n");
    const counters = "nr_dirtied 71\nnr_written 72\nnr_vmscan_write 73\nnuma_hit 74\n";
    writeFileSync(join(node, "node0/vmstat"), `nr_free_pages 5\n${counters}nr_mapped 6\n`);
    expect(renderFixture(dir, "sys/devices/system/node/node0/vmstat")).toBe(
      `nr_free_pages 5\n${counters.replaceAll(/\d+$/gm, "0")}nr_mapped 6\n`,
    );
  });

  it("counts transparent huge pages in their size, which is not that of the pool", () => {
    const dir = join(root, "huge");
    const limits = [{ ...PLAIN_BOX.limits[0], memory: 2n ** 28n }, PLAIN_BOX.limits[1]] as const;
    const bytes = 16n << 20n;
    const file = { file: 65536n, file_dirty: 8192n, file_writeback: 4096n };
    const stat = { anon: bytes, anon_thp: bytes, ...file };
    writeCase(dir, PLAIN_HOST, { ...PLAIN_BOX, limits, usage: 2n * bytes, stat });
    writeFileSync(join(dir, "proc/vmstat"), "nr_anon_transparent_hugepages 9\n");
    // A node's part is told too, which is all of it here.
    const node = join(dir, "sys/devices/system/node");
    mkdirSync(join(node, "node0"), { recursive: true });
    writeFileSync(join(node, "online"), "0\n");
    writeFileSync(join(node, "node0/cpulist"), "0-1\n");
    writeFileSync(join(node, "node0/meminfo"), "Node 0 MemTotal:        4194304 kB\n");
    const counters = ["nr_anon_transparent_hugepages", "nr_zone_write_pending"];
    const text0 = counters.map((name) => `${name} 9\n`).join("");
    writeFileSync(join(node, "node0/vmstat"), text0);
    expect(renderFixture(dir, "sys/devices/system/node/node0/vmstat")).toBe(
      "nr_anon_transparent_hugepages 8\nnr_zone_write_pending 3\n",
    );
    const meminfo = join(dir, "proc/meminfo");
    const text = readFileSync(meminfo, "utf8");
    const shown = () => renderFixture(dir, "proc/vmstat");
    expect(shown()).toBe("nr_anon_transparent_hugepages 8\n");
    writeFileSync(meminfo, text.replace(/^(Hugepagesize: +)2048/m, "$11048576"));
    const size = join(dir, "sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
    mkdirSync(dirname(size), { recursive: true });
    writeFileSync(size, "2097152\n");
    expect(shown()).toBe("nr_anon_transparent_hugepages 8\n");
  });
});

interface Zone {
  readonly node: number;
  readonly name: string;
  readonly text: string;
}

function zones(text: string): Zone[] {
  return [...text.matchAll(/^Node (\d+), zone +(\w+)\n((?: .*\n)*)/gm)].map(
    ([, node = "", name = "", body = ""]) => ({ node: Number(node), name, text: body }),
  );
}

function figure(zone: Zone, key: string): bigint {
  const found = new RegExp(`^ *(?:pages )?${key}:? +(\\d+)$`, "m").exec(zone.text)?.[1];
  return BigInt(found ?? 0);
}

describe("zoneinfo", () => {
  it("adds up to meminfo", () => {
    forAll((read) => {
      const all = zones(read("proc/zoneinfo"));
      const pages = meminfoPages(read);
      const sum = (key: string) => all.reduce((total, zone) => total + figure(zone, key), 0n);
      expect(sum("managed")).toBe(pages("MemTotal"));
      expect(sum("nr_free_pages")).toBe(pages("MemFree"));
      expect(sum("free")).toBe(pages("MemFree"));
      expect(sum("nr_inactive_anon")).toBe(pages("Inactive(anon)"));
      expect(sum("nr_zone_active_file")).toBe(pages("Active(file)"));
      expect(sum("nr_mapped")).toBe(pages("Mapped"));
      expect(sum("workingset_refault_file")).toBe(0n);
    });
  });

  it("has no more in a zone than the zone is large, and less is less on every node", () => {
    forAll((read, host) => {
      const all = zones(read("proc/zoneinfo"));
      expect(all).toHaveLength((host.packages + 1) * 3);
      for (const zone of all) {
        const managed = figure(zone, "managed");
        expect(figure(zone, "free")).toBeLessThanOrEqual(managed);
        expect(figure(zone, "present")).toBe(managed);
        expect(figure(zone, "min")).toBeLessThanOrEqual(managed);
        expect(zone.text.includes("pagesets")).toBe(managed > 0n);
        expect(zone.text.includes("  per-node stats")).toBe(managed > 0n && isFirst(all, zone));
      }
    });
  });

  function isFirst(all: readonly Zone[], zone: Zone): boolean {
    const populated = all.filter((other) => figure(other, "managed") > 0n);
    return populated.find(({ node }) => node === zone.node) === zone;
  }

  it("has the pages of each shown CPU", () => {
    forAll((read) => {
      const ids = onlineIds(read);
      for (const zone of zones(read("proc/zoneinfo"))) {
        const listed = [...zone.text.matchAll(/^ {4}cpu: (\d+)$/gm)].map(([, id]) => Number(id));
        expect(listed).toEqual(figure(zone, "managed") > 0n ? ids : []);
      }
    });
  });
});

describe("buddyinfo", () => {
  it("has the free pages of zoneinfo's zones, in as few blocks as can be", () => {
    forAll((read) => {
      const text = read("proc/buddyinfo");
      const populated = zones(read("proc/zoneinfo")).filter((zone) => figure(zone, "managed") > 0n);
      const rows = text.split("\n").slice(0, -1);
      expect(rows).toHaveLength(populated.length);
      populated.forEach((zone, index) => {
        const row = rows[index] ?? "";
        expect(row).toMatch(/^Node \d+, zone {1,8}\w+ (?: *\d+ ){11}$/);
        expect(row.startsWith(`Node ${zone.node}, zone ${zone.name.padStart(8)} `)).toBe(true);
        const blocks = row.trim().split(/ +/).slice(4).map(BigInt);
        expect(blocks.slice(0, -1).every((count) => count <= 1n)).toBe(true);
        const pages = blocks.reduce((sum, count, order) => sum + (count << BigInt(order)), 0n);
        expect(pages).toBe(figure(zone, "nr_free_pages"));
      });
    });
  });
});

describe("softirqs, interrupts and schedstat", () => {
  it.each(["proc/softirqs", "proc/interrupts"])("%s has a column for each CPU", (path) => {
    forAll((read) => {
      const ids = onlineIds(read);
      const [head = "", ...rows] = read(path).split("\n").slice(0, -1);
      expect([...head.matchAll(/CPU(\d+)/g)].map(([, id]) => Number(id))).toEqual(ids);
      for (const row of rows) {
        const numbers = /^ *\w+:((?: +\d+)+)/.exec(row)?.[1]?.trim().split(/ +/) ?? [];
        const count = /^(ERR|MIS)/.test(row) ? 1 : ids.length;
        expect(numbers.slice(0, count), row).toEqual(Array(count).fill("0"));
        // Every column ends where its CPU's name begins its last blanks.
        expect(row).toMatch(new RegExp(`^.{3,12}:( {10}0){${count}}(?: |$)`));
      }
    });
  });

  it("interrupts keeps what its lines are about", () => {
    forAll((read) => {
      const text = read("proc/interrupts");
      expect(text).toMatch(/ 0 {2}IO-APIC {3}2-edge {6}timer$/m);
      expect(text).toMatch(/^ERR: {10}0$/m);
    });
  });

  it("schedstat has the CPUs, their time, and domains of no others", () => {
    forAll((read, _host, box) => {
      const ids = onlineIds(read);
      const text = read("proc/schedstat");
      expect(text).toMatch(/^version 17\ntimestamp \d+\n/);
      const cpus = [...text.matchAll(/^cpu(\d+)((?: \d+){9})$/gm)];
      expect(cpus.map(([, id]) => Number(id))).toEqual(ids);
      for (const [, , numbers = ""] of cpus) {
        const columns = numbers.trim().split(" ").map(BigInt);
        expect(columns.filter((_, i) => i !== 6)).toEqual(Array(8).fill(0n));
        expect(minus(columns[6] ?? 0n, BigInt(box.uptimeUs) * 1000n)).toBe(0n);
      }
      for (const [, index, mask = ""] of text.matchAll(/^domain(\d+) (?:\w+) ([0-9a-f,]+) /gm)) {
        const set = BigInt(`0x${mask.replace(",", "")}`);
        const inside = ids.filter((id) => (set >> BigInt(id)) & 1n);
        expect(inside.length, text).toBeGreaterThan(1);
        expect(ids.reduce((rest, id) => rest & ~(1n << BigInt(id)), set)).toBe(0n);
        expect(Number(index)).toBeLessThan(2);
      }
      if (ids.length === 1) {
        expect(text).not.toContain("domain");
      }
    });
  });
});

describe("nothing of the node", () => {
  it("is in any of them", () => {
    forAll((read) => {
      for (const path of viewsOf(join(root, "case"))) {
        expect(read(path), path).not.toMatch(NODES_FIGURES);
      }
    });
  });

  it("slabinfo is a heading and as much slab as meminfo tells", () => {
    forAll((read) => {
      const [version, names, ...rows] = read("proc/slabinfo").split("\n").slice(0, -1);
      expect(version).toBe("slabinfo - version: 2.1");
      expect(names).toMatch(/^# name {12}<active_objs> .* <sharedavail>$/);
      const objects = rows.map((row) => {
        const form =
          /^(\w+) +(\d+) +(\d+) +4096 {4}1 {4}1 : tunables {4}0 {4}0 {4}0 : slabdata +(\d+) +(\d+) {6}0$/;
        const [, name, ...counts] = form.exec(row) ?? [];
        expect(new Set(counts).size, row).toBe(1);
        return [name, BigInt(counts[0] ?? -1)] as const;
      });
      const pages = meminfoPages(read);
      const slab = pages("SReclaimable");
      const rest = pages("SUnreclaim");
      // slabtop(1) divides by their number.
      expect(objects).toEqual([
        ["reclaimable", slab],
        ["unreclaimable", slab === 0n && rest === 0n ? 1n : rest],
      ]);
    });
  });

  it("diskstats has the disks that its file systems lie on, at 0", () => {
    const dir = join(root, "mounts");
    writeCase(dir, PLAIN_HOST, { ...PLAIN_BOX, io: [busy] });
    const mounts = [
      "1 0 7:0 / / rw - ext4 /dev/loop0 rw",
      "2 1 8:0 /x /data rw - ext4 /dev/sda rw",
      "3 1 0:44 / /proc rw - proc proc rw",
      "4 1 253:99 / /gone rw - ext4 /dev/gone rw",
      "garbage",
    ];
    writeFileSync(join(dir, "proc/4711/mountinfo"), `${mounts.join("\n")}\n`);
    const lines = renderFixture(dir, "proc/diskstats").split("\n").slice(0, -1);
    const words = lines.map((line) => line.trim().split(/ +/));
    expect(words.map(([, , name]) => name)).toEqual(["sda", "loop0"]);
    expect(Number(words[0]?.[3])).toBe(1);
    expect(words[1]?.slice(3).every((figure) => figure === "0")).toBe(true);
    writeFileSync(join(dir, "proc/4711/mountinfo"), "1 0 0:9 / / rw - btrfs /dev/sda rw\n");
    expect(renderFixture(dir, "proc/diskstats")).toMatch(/^ +8 +0 sda 1 /);
  });

  it("disks that file systems lie on are not taken for gone where they cannot be told", () => {
    const dir = join(root, "mounts-unknown");
    writeCase(dir, PLAIN_HOST, PLAIN_BOX);
    const table = join(dir, "proc/4711/mountinfo");
    const first = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n";
    writeFileSync(table, first);
    const disk = join(dir, "sys/block/sda");
    mkdirSync(join(disk, "sda1"), { recursive: true });
    mkdirSync(join(dir, "sys/dev/block"), { recursive: true });
    symlinkSync("../../block/sda/sda1", join(dir, "sys/dev/block/8:1"));
    writeFileSync(join(disk, "sda1/partition"), "1\n");
    writeFileSync(join(disk, "dev"), "8:0\n");
    const files = new HostFiles(dir, 10_000n);
    const S = 1_000_000n;
    expect(files.mounted(1n * S)).toEqual(["8:1", "8:0"]);
    // ELOOP, which does not say that there is nothing; as EMFILE and ENOMEM do not.
    rmSync(join(disk, "dev"));
    symlinkSync("dev", join(disk, "dev"));
    expect(files.mounted(1000n * S)).toEqual(["8:1", "8:0"]);
    rmSync(join(disk, "dev"));
    writeFileSync(join(disk, "dev"), "8:0\n");
    // EISDIR.
    rmSync(table);
    mkdirSync(table);
    expect(files.mounted(2000n * S)).toEqual(["8:1", "8:0"]);
    rmSync(table, { recursive: true });
    writeFileSync(table, `${first}2 1 7:0 / /data rw - ext4 /dev/loop0 rw\n`);
    // It is not left alone for ten seconds.
    expect(files.mounted(2009n * S)).toEqual(["8:1", "8:0", "7:0"]);
  });

  it("disks of another process that has the init's PID by now are not the container's", () => {
    const dir = join(root, "mounts-of-another");
    writeCase(dir, PLAIN_HOST, PLAIN_BOX);
    const table = join(dir, "proc/4711/mountinfo");
    writeFileSync(table, "1 0 8:0 / / rw - ext4 /dev/sda rw\n");
    const files = new HostFiles(dir, 10_000n);
    expect(files.mounted(1_000_000n)).toEqual(["8:0"]);
    const stat = join(dir, "proc/4711/stat");
    const text = readFileSync(stat, "utf8");
    const ofAnother = text.replace(/ (\d{6}) /, " 1$1 ");
    expect(ofAnother).not.toBe(text);
    writeFileSync(stat, ofAnother);
    expect(files.mounted(1000_000_000n)).toEqual([]);
    writeFileSync(stat, text);
    expect(files.mounted(2000_000_000n)).toEqual(["8:0"]);
  });

  it("ZFS's cache is none of the container's", () => {
    const dir = join(root, "zfs");
    writeCase(dir, PLAIN_HOST, PLAIN_BOX);
    const path = "proc/spl/kstat/zfs/arcstats";
    // Of OpenZFS 2.1.11 on Linux 6.1, with a pool in use.
    const recorded = readFileSync(join(project, "test/view/recorded/arcstats-2.1.11"), "utf8");
    // Below 0 where memory is short.
    const text = recorded.replace(/^(memory_available_bytes +3 +)/m, "$1-");
    expect(text).toMatch(/^size +4 +132782160$/m);
    mkdirSync(join(dir, "proc/spl/kstat/zfs"), { recursive: true });
    writeFileSync(join(dir, path), text);
    const shown = renderFixture(dir, path);
    // The head keeps how many lines follow and how long they are; its two times do not.
    const [head = "", names, ...lines] = text.split("\n");
    expect(shown.split("\n")).toEqual([
      head.replace(/ \d+ \d+$/, " 0 0"),
      names,
      ...lines.map((line) => line.replace(/-?\d+$/, "0")),
    ]);
    // htop shows a meter of it, and takes it off the memory in use, where this is above 0.
    expect(shown).toMatch(/^size +4 +0$/m);
    expect(treePaths(dir)).toContain(path);
    rmSync(join(dir, path));
    expect(treePaths(dir)).not.toContain(path);
  });

  it.each([
    ["a container without a limit", NO_LIMITS, 100_000n, 200_000n],
    ["one with a limit", { ...NO_LIMITS, memory: 1n << 31n }, 100_000n, 200_000n],
    ["one whose limit is smaller than what is free", { ...NO_LIMITS, memory: 1n << 26n }, 0n, 0n],
  ])("ZFS's cache is memory that %s can get", (_, limits, memFreeKb, memAvailableKb) => {
    const dir = join(root, "zfs-available");
    const host = { ...PLAIN_HOST, ...(memFreeKb > 0n && { memFreeKb, memAvailableKb }) };
    writeCase(dir, host, { ...PLAIN_BOX, limits: [NO_LIMITS, limits] });
    const shown = (label: string): number =>
      Number(
        new RegExp(`^${label}: +(\\d+) kB$`, "m").exec(renderFixture(dir, "proc/meminfo"))?.[1],
      );
    const before = [shown("MemFree"), shown("MemAvailable")];
    const path = join(dir, "proc/spl/kstat/zfs/arcstats");
    mkdirSync(dirname(path), { recursive: true });
    const recorded = readFileSync(join(project, "test/view/recorded/arcstats-2.1.11"), "utf8");
    writeFileSync(path, recorded);
    // size - c_min: more than that could be evicted.
    const most = memFreeKb > 0n ? Math.floor((132782160 - 97319680) / 1024) : 0;
    expect([shown("MemFree"), shown("MemAvailable")]).toEqual(before.map((kb) => kb + most));
    // Less can be: most of it is in use.
    writeFileSync(path, recorded.replace(/^(mfu_evictable_data +4 +)\d+$/m, "$11024"));
    const least = memFreeKb > 0n ? Math.floor((26624 + 1024 + 1024) / 1024) : 0;
    expect([shown("MemFree"), shown("MemAvailable")]).toEqual(before.map((kb) => kb + least));
  });
});
