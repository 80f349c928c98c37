// What a container reads and writes, as its own diskstats, partitions and vmstat tell it.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { isV2, MIB } from "../support/cgroups.js";
import { output } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, VIEWS } from "../support/daemon.js";
import { deviceOf, diskOf } from "../support/disks.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { replaceWorker } from "./never-down-support.js";

const PLACE = "/var/tmp";
const WRITTEN_MIB = 8;

const device = deviceOf(PLACE);
const isDisk = existsSync(`/sys/dev/block/${device}`);

/** Columns by device name. */
function diskstats(text: string): Map<string, number[]> {
  return new Map(
    text
      .split("\n")
      .slice(0, -1)
      .map((line) => {
        const [, , name = "", ...columns] = line.trim().split(/ +/);
        return [name, columns.map(Number)];
      }),
  );
}

function event(vmstat: string, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, "m").exec(vmstat)?.[1]);
}

const lack = isDisk ? "" : ` (skipped: ${PLACE} is on no block device)`;

describeLive(`disks${lack}`, ["dd", "vmstat", "setpriv"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let writer: Container;
  let idle: Container;
  let directory: string;

  beforeAll(async () => {
    daemon = await Daemon.start(scope, "--standby", "on");
    directory = mkdtempSync(join(PLACE, testName("disks-")));
    scope.defer(() => rmSync(directory, { recursive: true, force: true }));
    const binds = bindsOf(daemon);
    writer = await Container.start(scope, { name: "writer", memory: 64 * MIB, binds });
    idle = await Container.start(scope, { name: "idle", memory: 64 * MIB, binds });
    if (isDisk && !isV2) {
      // v1 counts on devices that have a limit.
      const { number } = diskOf(device);
      const limit = `${number} ${1024 * MIB}`;
      writer.cgroup.write("blkio", "blkio.throttle.write_bps_device", limit);
    }
  });

  async function write(): Promise<void> {
    await writer.output([
      ...["dd", "if=/dev/zero", `of=${join(directory, "file")}`, "bs=1M"],
      ...[`count=${WRITTEN_MIB}`, "oflag=direct", "status=none"],
    ]);
  }

  it.runIf(isDisk)("a container sees what it has written, and nobody else does", async () => {
    const { name } = diskOf(device);
    const before = diskstats(await writer.read("/proc/diskstats")).get(name)?.[6] ?? 0;
    const paged = event(await writer.read("/proc/vmstat"), "pgpgout");
    await write();
    const columns = diskstats(await writer.read("/proc/diskstats")).get(name) ?? [];
    const sectors = (columns[6] ?? 0) - before;
    expect(sectors).toBeGreaterThanOrEqual(WRITTEN_MIB * 2048);
    // With what the file system writes for it.
    expect(sectors).toBeLessThan(WRITTEN_MIB * 2048 * 2);
    const hosts = diskstats(readFileSync("/proc/diskstats", "utf8"));
    expect(columns).toHaveLength(hosts.get(name)?.length ?? 0);
    const vmstat = event(await writer.read("/proc/vmstat"), "pgpgout");
    expect(vmstat - paged).toBeGreaterThanOrEqual(WRITTEN_MIB * 1024);
    const partitions = await writer.read("/proc/partitions");
    const size = /^ *\d+ +\d+ +(\d+) (\S+)$/m.exec(partitions);
    expect(readFileSync("/proc/partitions", "utf8")).toContain(size?.[0]);
    // What its file systems lie on, at 0: psutil takes no disk at all for no figures.
    const others = diskstats(await idle.read("/proc/diskstats"));
    expect([...others.keys()]).toContain(name);
    expect([...others.values()].flat().every((figure) => figure === 0)).toBe(true);
    // procps reads all of it.
    expect(await writer.output(["vmstat", "-d"])).toContain(name);
    expect(await writer.output(["vmstat", "-s"])).toMatch(/^ *\d+ K paged out$/m);
  });

  it.runIf(isDisk)("no event goes back when the worker is replaced", async () => {
    await write();
    const keys = ["pgpgin", "pgpgout", "pgfault", "pgmajfault"];
    const before = await writer.read("/proc/vmstat");
    await replaceWorker(daemon, "kill");
    const after = await writer.read("/proc/vmstat");
    for (const key of keys) {
      expect(event(after, key), key).toBeGreaterThanOrEqual(event(before, key));
    }
    expect(event(after, "pgpgout")).toBeGreaterThan(0);
  });

  it.runIf(isDisk)("no figure goes back when a cgroup within it ends", async () => {
    const { name } = diskOf(device);
    const blkio = writer.cgroup.directory("blkio");
    const figures = async (): Promise<readonly number[]> => [
      ...(diskstats(await writer.read("/proc/diskstats")).get(name) ?? []),
      event(await writer.read("/proc/vmstat"), "pgpgout"),
    ];
    const inner = join(blkio, "inner");
    mkdirSync(inner);
    const file = join(directory, "inner");
    await output([
      ...[
        "sh",
        "-c",
        'echo $$ >"$1/cgroup.procs"; exec dd if=/dev/zero of="$2" bs=1M count=4 oflag=direct',
      ],
      ...["sh", inner, file],
    ]);
    const before = await figures();
    expect(before.at(-1)).toBeGreaterThanOrEqual(4 * 1024);
    rmdirSync(inner);
    const after = await figures();
    // The file system may have written something of its own.
    expect(after.filter((figure, at) => figure < (before[at] ?? 0))).toEqual([]);
    expect((after.at(-1) ?? 0) - (before.at(-1) ?? 0)).toBeLessThan(2 * 1024);
    await replaceWorker(daemon, "kill");
    const taken = await figures();
    expect(taken.filter((figure, at) => figure < (after[at] ?? 0))).toEqual([]);
  });

  it("nobody reads here what they could not read natively", async () => {
    const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const own = testScope();
    const mapped = await Container.start(own, {
      userBase: 600_000,
      memory: 64 * MIB,
      binds: bindsOf(daemon),
    });
    const tick = await Daemon.start(own, "--consistency", "tick");
    const cached = await Container.start(own, { memory: 64 * MIB, binds: bindsOf(tick) });
    for (const container of [writer, mapped, cached]) {
      for (const view of VIEWS) {
        const { status, stderr } = await container.run([...nobody, "cat", `/${view}`]);
        const isForbidden = view === "proc/slabinfo";
        expect({ view, status, stderr }).toEqual({
          view,
          status: isForbidden ? 1 : 0,
          stderr: isForbidden ? expect.stringContaining("Permission denied") : "",
        });
      }
    }
    // Root of a user namespace is nobody to the kernel's file, and so to ours.
    expect((await mapped.run(["cat", "/proc/slabinfo"])).stderr).toContain("Permission denied");
    expect((await writer.read("/proc/slabinfo")).split("\n")).toHaveLength(5);
    const slabtop = await writer.run(["slabtop", "-o"]);
    expect(slabtop.stderr).not.toMatch(/exception|division/i);
    expect(await output(["cat", daemon.path("proc/slabinfo")])).toMatch(/^slabinfo/);
  });
});
