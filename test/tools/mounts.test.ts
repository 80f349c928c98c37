import { describe, expect, it, onTestFinished, vi } from "vitest";
import { loadConfig } from "../../src/config-load.js";
import { ContainerTables, parseMountinfo } from "../../src/mountinfo.js";
import {
  type ContainerInputs,
  checkContainer,
  readExclusion,
  sortMounts,
} from "../../src/tools/container-checks.js";
import { Findings } from "../../src/tools/findings.js";
import { checkFigures, Inside } from "../../src/tools/inside.js";
import { surveyed } from "../metrics/sources.js";

const PATHS = [
  "proc/meminfo",
  "proc/stat",
  "proc/uptime",
  "proc/swaps",
  "proc/vmstat",
  "proc/kmsg",
  "sys/devices/system/cpu/online",
];
const CONFIG = { fsType: "fuse.lxcfs", source: "vprocfs" };
const DEVICES = new Set(["0:30", "0:31"]);

const MOUNTS = parseMountinfo(
  [
    "1 0 0:1 / / rw - ext4 /dev/sda rw",
    "2 1 0:2 / /proc rw - proc proc rw",
    "3 2 0:30 /containers/7/proc/meminfo /proc/meminfo ro - fuse.lxcfs vprocfs ro",
    "4 2 0:29 /containers/7/proc/stat /proc/stat ro - fuse.lxcfs vprocfs ro",
    "5 2 0:30 /containers/7/proc/uptime /proc/uptime ro - fuse.lxcfs vprocfs ro",
    "6 5 0:31 /proc/uptime /proc/uptime ro - fuse.lxcfs lxcfs ro",
    "7 1 0:30 /containers/7/sys/devices/system/cpu /sys/devices/system/cpu ro - fuse.lxcfs vprocfs ro",
    "8 2 0:30 /containers/7/proc/vmstat /proc/vmstat ro - fuse.lxcfs vprocfs ro",
    "9 8 0:6 /null /proc/vmstat ro - devtmpfs udev rw",
    "10 2 0:7 /kmsg /proc/kmsg rw - tmpfs tmpfs rw",
  ].join("\n"),
);

describe("sortMounts", () => {
  it("tells what is live, dead, shadowed and missing", () => {
    expect(sortMounts(MOUNTS, PATHS, { config: CONFIG, device: "0:30", devices: DEVICES })).toEqual(
      {
        live: ["proc/meminfo", "sys/devices/system/cpu/online"],
        dead: ["proc/stat"],
        shadowed: ["proc/vmstat"],
        missing: ["proc/swaps"],
        foreign: ["proc/kmsg"],
        others: [],
        lxcfs: ["proc/uptime"],
      },
    );
  });

  it("takes all for dead when nothing is mounted on the host", () => {
    const host = { config: CONFIG, device: undefined, devices: new Set(["0:31"]) };
    const { live, dead } = sortMounts(MOUNTS, PATHS, host);
    expect(live).toEqual([]);
    expect(dead).toHaveLength(3);
  });

  it("takes files of another vprocfs for what they are, while that is mounted", () => {
    const host = { config: CONFIG, device: "0:30", devices: new Set([...DEVICES, "0:29"]) };
    expect(sortMounts(MOUNTS, PATHS, host)).toMatchObject({
      live: ["proc/meminfo", "sys/devices/system/cpu/online"],
      others: ["proc/stat"],
      dead: [],
    });
  });

  it("takes an LXCFS's files for what they are, while it lives", () => {
    const mounts = parseMountinfo("6 1 0:31 /proc/stat /proc/stat ro - fuse.lxcfs lxcfs ro");
    const host = { config: CONFIG, device: "0:30", devices: DEVICES };
    expect(sortMounts(mounts, ["proc/stat"], host)).toMatchObject({ lxcfs: ["proc/stat"] });
    const without = { ...host, devices: new Set(["0:30"]) };
    expect(sortMounts(mounts, ["proc/stat"], without)).toMatchObject({ dead: ["proc/stat"] });
  });
});

describe("checkContainer", () => {
  const container = {
    ...surveyed("5021", "web1"),
    init: process.pid,
    figures: new Map<string, number>(),
  };
  const inputs = {
    inside: new Inside({ readInside: () => Promise.reject(new Error("nobody is asked")) }, "0:30"),
    flags: " --mountpoint /x",
    config: loadConfig({ flags: { source: "none-of-ours" }, env: {}, defaultFile: "/nonexistent" }),
    device: "0:30",
    devices: new Set<string>(),
    exclusionReason: () => undefined,
    paths: ["proc/vprocfs-test"],
    later: new Map(),
    hostMeminfo: "",
    tables: new ContainerTables({ tableMs: 60_000, tenantMs: 60_000 }),
  };

  it("says where a mount table takes too long", async () => {
    const tables = new ContainerTables({ tableMs: 0, tenantMs: 0 });
    const findings = await checkContainer(container, { ...inputs, tables });
    const what = expect.stringContaining("takes too long");
    expect(findings[0]).toMatchObject({ level: "warning", id: "5021", what });
  });

  it("advises a command for this container of this vprocfs, if that serves", async () => {
    const todoOf = async (change: Partial<ContainerInputs>) => {
      const findings = await checkContainer(container, { ...inputs, ...change });
      return findings.map(({ what, todo }) => [what.split(":")[0], todo])[0];
    };
    const none = "no file of vprocfs is mounted";
    // Another container may be named 5021, and this one like another.
    expect(await todoOf({})).toEqual([none, "vprocfs attach 5021 --mountpoint /x"]);
    expect(await todoOf({ inside: undefined })).toEqual([none, undefined]);
  });
});

it("no files inside are read after those of three containers that do not answer", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const readInside = vi.fn(() => new Promise<string>(() => {}));
  const inside = new Inside({ readInside }, "0:30");
  const check = async (id: string) => {
    const findings = new Findings("web1", id);
    const figures = new Map([
      ["memoryTotal", 1024],
      ["swapTotal", 0],
      ["cpus", 1],
    ]);
    const live = ["proc/meminfo", "proc/stat"];
    const done = checkFigures(findings, { ...surveyed(id), figures }, { live }, MOUNTS, {
      inside,
      hostMeminfo: "",
    });
    await vi.advanceTimersByTimeAsync(3000);
    await done;
    return findings.list.map(({ what }) => what);
  };
  for (const id of ["1", "2", "3"]) {
    expect(await check(id)).toEqual(["/proc/meminfo inside: does not answer"]);
  }
  expect(await check("4")).toEqual([]);
  expect(inside.skipped).toBe(1);
  expect(readInside).toHaveBeenCalledTimes(3);
});

it("says where it cannot be read which containers are left alone", () => {
  const { exclusionReason, unread } = readExclusion(() => {
    throw Object.assign(new Error("EMFILE: too many open files, scandir"), { code: "EMFILE" });
  });
  expect(exclusionReason(surveyed("1"))).toBeUndefined();
  expect(unread).toMatchObject([{ level: "warning", what: expect.stringContaining("EMFILE") }]);
});
