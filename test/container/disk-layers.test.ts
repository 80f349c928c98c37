// What a container reads and writes where the host has devices that are made of others: the kernel
// counts it again on each of them.

import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { testName } from "../support/names.js";
import { project } from "../support/project.js";
import { figuresOfFixture, renderFixture, storedIoOfFixture } from "../support/testing.js";

interface Device {
  readonly number: string;
  readonly name: string;
  /** kB that the container has read and written. */
  readonly io?: readonly [read: number, written: number];
  /** What it is made of, in sysfs: disks, and partitions as "sda/sda2". */
  readonly of?: readonly string[];
  /** false: sysfs does not tell of it. */
  readonly told?: boolean;
}

type Io = Device["io"];
const sda = (io?: Io): Device => ({ number: "8:0", name: "sda", ...(io && { io }) });
const sdb = (io?: Io): Device => ({ number: "8:16", name: "sdb", ...(io && { io }) });
const dm = (minor: number, of: readonly string[], io?: Io): Device => {
  return { number: `253:${minor}`, name: `dm-${minor}`, of, ...(io && { io }) };
};
const loop = (io: Io): Device => ({ number: "7:0", name: "loop0", ...(io && { io }) });
const md = (of: readonly string[], io: Io): Device => {
  return { number: "9:127", name: "md127", of, ...(io && { io }) };
};

/** At the end of what a worker stores, unless it is of an earlier version. */
const SUMS_BYTES = 32;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), testName("layers-")));
});
afterEach(() => rmSync(directory, { recursive: true }));

function link(target: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path);
}

function writeHost(devices: readonly Device[]): void {
  cpSync(join(project, "test/fixtures/v2-x86-2cpu-swap"), directory, { recursive: true });
  const block = join(directory, "sys/block");
  const told = devices.filter((device) => device.told !== false);
  for (const { number, name } of told) {
    for (const part of ["slaves", "holders"]) {
      mkdirSync(join(block, name, part), { recursive: true });
    }
    link(join(block, name), join(directory, "sys/dev/block", number));
  }
  for (const { name, of = [] } of told) {
    for (const slave of of) {
      link(join(block, slave), join(block, name, "slaves", slave.replace(/.*\//, "")));
      link(join(block, name), join(block, slave, "holders", name));
    }
  }
  const lines = devices.map(({ number, name }) => ` ${number.replace(":", " ")} ${name} 1 2 3\n`);
  writeFileSync(join(directory, "proc/diskstats"), lines.join(""));
}

function writeIo(devices: readonly Device[]): void {
  const own = join(directory, "cgroup/lxc.payload.web/io.stat");
  const lines = devices.flatMap(({ number, io }) => {
    return io ? [`${number} rbytes=${io[0] * 1024} wbytes=${io[1] * 1024}\n`] : [];
  });
  writeFileSync(own, lines.join(""));
}

function shown(): readonly (number | undefined)[] {
  const vmstat = renderFixture(directory, "proc/vmstat");
  return ["pgpgin", "pgpgout"].map((key) =>
    Number(new RegExp(`^${key} (\\d+)$`, "m").exec(vmstat)?.[1]),
  );
}

function surveyed(counters?: string): readonly number[] {
  const found = figuresOfFixture(directory, counters);
  return ["readBytes", "writtenBytes"].map((key) => (found.get(key) ?? Number.NaN) / 1024);
}

describe("a request counts once", () => {
  it.each<readonly [name: string, counted: Io, devices: readonly Device[]]>([
    ["a disk", [8, 4], [sda([8, 4])]],
    ["several disks", [9, 6], [sda([8, 4]), sdb([1, 2])]],
    ["LVM", [8, 4], [sda([8, 4]), dm(0, ["sda/sda2"], [8, 4])]],
    ["LVM on a whole disk", [8, 4], [sda([8, 4]), dm(0, ["sda"], [8, 4])]],
    ["LVM beside a partition", [9, 6], [sda([9, 6]), dm(0, ["sda/sda2"], [8, 4])]],
    [
      "LVM on dm-crypt, whose workers write",
      [8, 4],
      [sda([8, 0]), dm(0, ["sda/sda2"], [8, 4]), dm(1, ["dm-0"], [8, 4])],
    ],
    [
      "dm-crypt beside another disk",
      [9, 6],
      [sda([8, 0]), dm(0, ["sda/sda2"], [8, 4]), sdb([1, 2])],
    ],
    [
      "RAID with parity, whose worker writes",
      [8, 4],
      [sda([5, 0]), sdb([3, 0]), md(["sda/sda1", "sdb/sdb1"], [8, 4])],
    ],
    ["multipath", [8, 4], [sda(), sdb(), dm(0, ["sda", "sdb"], [8, 4])]],
    [
      "bcache",
      [8, 4],
      [
        sda([3, 4]),
        sdb([5, 0]),
        { number: "252:0", name: "bcache0", of: ["sda", "sdb"], io: [8, 4] },
      ],
    ],
    [
      "DRBD",
      [8, 4],
      [sda([8, 4]), { number: "147:0", name: "drbd0", of: ["sda/sda1"], io: [8, 4] }],
    ],
    [
      "DRBD that sysfs does not tell the disk of",
      [8, 4],
      [sda([8, 4]), { number: "147:0", name: "drbd0", io: [8, 4] }],
    ],
    ["a file as a disk", [8, 4], [sda([8, 4]), dm(0, ["sda/sda2"], [8, 4]), loop([8, 4])]],
    [
      "LVM in a file",
      [8, 4],
      [
        ...[sda([8, 4]), dm(0, ["sda/sda2"], [8, 4]), loop([8, 4])],
        ...[dm(1, ["loop0"], [8, 4]), dm(2, ["dm-1"], [8, 4])],
      ],
    ],
    ["a ZFS volume", [8, 4], [sda(), { number: "230:0", name: "zd0", io: [8, 4] }]],
    ["a device of the network", [8, 4], [{ number: "43:0", name: "nbd0", io: [8, 4] }]],
    [
      "a device that sysfs does not tell of",
      [8, 4],
      [sda([8, 4]), { ...dm(0, [], [8, 4]), told: false }],
    ],
  ])("%s", (_, counted, devices) => {
    writeHost(devices);
    writeIo(devices);
    expect({ vmstat: shown(), metrics: surveyed() }).toEqual({ vmstat: counted, metrics: counted });
  });

  it("and not at all on a device that the host does not have", () => {
    writeHost([sda()]);
    writeIo([sda([8, 4]), sdb([1, 2])]);
    expect({ vmstat: shown(), metrics: surveyed() }).toEqual({ vmstat: [8, 4], metrics: [8, 4] });
  });
});

it("metrics do not fall below those of a worker that counted it on each device", () => {
  const file = join(directory, "counters");
  const devices = [sda([8, 4]), dm(0, ["sda/sda2"], [8, 4])];
  writeHost(devices);
  writeIo(devices);
  writeFileSync(file, `vprocfs-counters 1\nm1 1 0 ${16 * 1024} 0 ${8 * 1024} 0\nend\n`);
  expect(surveyed(file)).toEqual([16, 8]);
  writeIo([sda([9, 6]), dm(0, ["sda/sda2"], [9, 6])]);
  expect(surveyed(file)).toEqual([17, 10]);
});

describe("while sysfs cannot be read", () => {
  const devices = [sda([8, 4]), dm(0, ["sda"], [9, 5])];

  it.each([
    ["sda/holders", [9, 5]],
    ["dm-0/slaves", [8, 4]],
  ])("a device counts later: %s", (path, others) => {
    writeHost(devices);
    writeIo(devices);
    const place = join(directory, "sys/block", path);
    renameSync(place, `${place}-`);
    // ELOOP, which does not say that there is nothing; as EMFILE and ENOMEM do not.
    symlinkSync(basename(place), place);
    const before = storedIoOfFixture(directory);
    expect(before.totals).toEqual(others);
    expect(surveyed()).toEqual([Number.NaN, Number.NaN]);
    rmSync(place);
    renameSync(`${place}-`, place);
    expect(storedIoOfFixture(directory, before.stored).totals).toEqual([9, 5]);
    expect(surveyed()).toEqual([9, 5]);
  });

  it("what was counted of a device stays", () => {
    writeHost(devices);
    writeIo(devices);
    const { stored } = storedIoOfFixture(directory);
    const more = [sda([18, 14]), dm(0, ["sda"], [20, 16])];
    writeIo(more);
    const place = join(directory, "sys/block/dm-0/slaves");
    rmSync(place, { recursive: true });
    symlinkSync("slaves", place);
    const lacking = storedIoOfFixture(directory, stored);
    expect(lacking.totals).toEqual([18, 14]);
    rmSync(place);
    mkdirSync(place);
    link(join(directory, "sys/block/sda"), join(place, "sda"));
    expect(storedIoOfFixture(directory, lacking.stored).totals).toEqual([20, 16]);
  });
});

describe("after a version that listed no devices that are made of others", () => {
  /** As that one stored it. */
  function storedBefore(devices: readonly Device[]): Buffer {
    writeHost(devices);
    writeIo(devices);
    const { stored } = storedIoOfFixture(directory);
    return stored.subarray(0, -SUMS_BYTES);
  }

  it("what they have counted is not new, but what they count is", () => {
    const stored = storedBefore([sda([8, 0])]);
    rmSync(join(directory, "sys"), { recursive: true });
    const devices = [sda([8, 0]), dm(0, ["sda"], [8, 400])];
    writeHost(devices);
    writeIo(devices);
    const first = storedIoOfFixture(directory, stored);
    expect(first.totals).toEqual([8, 0]);
    writeIo([sda([9, 0]), dm(0, ["sda"], [9, 402])]);
    expect(storedIoOfFixture(directory, first.stored).totals).toEqual([9, 2]);
  });
});

it("metrics do not fall when another worker finds fewer devices", () => {
  const file = join(directory, "counters");
  const devices = [sda([8, 4]), sdb([1, 2])];
  writeHost(devices);
  writeIo(devices);
  expect(surveyed(file)).toEqual([9, 6]);
  writeIo([sda([8, 4])]);
  expect(surveyed(file)).toEqual([9, 6]);
  writeIo([sda([9, 6])]);
  expect(surveyed(file)).toEqual([10, 8]);
});
