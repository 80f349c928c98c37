// Containers that their host moves to other cgroups of v1 while they run.

import { readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { errnoOf } from "../../src/errors.js";
import { Cgroup, isV2, MIB } from "../support/cgroups.js";
import { background, run } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon } from "../support/daemon.js";
import { deviceOf, diskOf } from "../support/disks.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import {
  checkGrowth,
  checkMeminfo,
  checkStat,
  cpuList,
  statIds,
  value,
} from "../support/procfile.js";
import { figureOf, serveMetrics } from "../support/prometheus.js";
import type { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { DEADLINE_MS, until } from "../support/wait.js";

type Moved = "blkio" | "memory" | "cpu" | "cpuacct";

const BURN = ["/bin/sh", "-c", "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done"];
const READ = ["dd", `if=${process.execPath}`, "of=/dev/null", "bs=1M", "iflag=direct", "count=8"];
const READ_KIB = 8 * 1024;
const ONLINE = "sys/devices/system/cpu/online";
const cpus = cpuList(readFileSync("/sys/devices/system/cpu/online", "utf8"));
const QUOTA = Math.max(0.9, cpus.length - 1.1);
const SHOWN = cpus.slice(0, Math.ceil(QUOTA));

/** Moves all processes of one cgroup to another; those that end meanwhile are left out. */
function moveAll(from: string, to: string): void {
  for (const pid of readFileSync(join(from, "cgroup.procs"), "utf8").split("\n").filter(Boolean)) {
    try {
      writeFileSync(join(to, "cgroup.procs"), pid);
    } catch (error) {
      if (errnoOf(error) !== "ESRCH") {
        throw error;
      }
    }
  }
}

function move(from: Cgroup, to: Cgroup, controllers: readonly Moved[]): void {
  for (const controller of controllers) {
    moveAll(from.directory(controller), to.directory(controller));
  }
}

/** The command line that runs `argv` in the cgroup of a controller. */
function inCgroup(cgroup: Cgroup, controller: Moved, argv: readonly string[]): string[] {
  const enter = 'echo $$ >"$0/cgroup.procs"; exec "$@"';
  return ["/bin/sh", "-c", enter, cgroup.directory(controller), ...argv];
}

function burnIn(cgroup: Cgroup, controller: Moved = "cpuacct"): Promise<unknown> {
  return run(inCgroup(cgroup, controller, BURN));
}

/** Ticks of CPU time that a container is shown. */
function shownTicks(text: string): number {
  const { user, system, nice } = checkStat(text).total;
  return user + system + nice;
}

/** A count of page faults in a file of lines "key value". */
function faultsOf(key: string, text: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, "m").exec(text)?.[1]);
}

/** The columns of a device after its name. */
function columnsOf(name: string, diskstats: string): number[] {
  const line = diskstats.split("\n").find((one) => one.trim().split(/ +/)[2] === name);
  return line?.trim().split(/ +/).slice(3).map(Number) ?? [];
}

describeLive(
  "a container that is moved",
  [],
  () => {
    const scope = fileScope();
    let daemon: Daemon;

    beforeAll(async () => {
      daemon = await Daemon.start(scope);
    });

    /** With all files in their places, where nobody asks whose they are. */
    function start(own: Scope, options: Parameters<typeof Container.start>[1] = {}) {
      const binds = [
        ...bindsOf(daemon).filter(([, target]) => target.startsWith("/proc/")),
        [daemon.path("self", ONLINE), `/${ONLINE}`] as const,
      ];
      return Container.start(own, { memory: 96 * MIB, ...options, binds });
    }

    it.each([true, false])(
      "in one hierarchy has the quota there, and all its CPU time (cgroup namespace: %s)",
      async (cgroupNamespace) => {
        const own = testScope();
        const container = await start(own, { cgroupNamespace });
        const held = container.syscalls(own);
        await container.run(BURN);
        const before = checkStat(await held.file("/proc/stat"));
        expect(cpuList(await held.file(`/${ONLINE}`))).toEqual(cpus);
        const to = Cgroup.create(own, testName("to"));
        to.limit({ quota: QUOTA });
        // What others have used in the new cgroup is not the container's: more than it can have used itself
        // since vprocfs last looked where it is, which is a second ago, or more on a busy machine.
        const most = 3 * container.cgroup.cpuSeconds + 1.25 * cpus.length;
        while (to.cpuSeconds < most) {
          await Promise.all(cpus.map(() => burnIn(to)));
          await held.file("/proc/stat");
        }
        const ofOthers = to.cpuSeconds;
        move(container.cgroup, to, ["cpu", "cpuacct"]);
        await until("it has the new quota", async () => {
          return cpuList(await held.file(`/${ONLINE}`)).length === SHOWN.length;
        });
        const moved = await until("its files are of the new cgroup", async () => {
          const file = checkStat(await held.file("/proc/stat"));
          checkGrowth(before, file);
          return file.total.idle > before.total.idle + 150 && file;
        });
        const begun = to.cpuSeconds;
        const enter = container.command(BURN);
        for (const controller of ["cpu", "cpuacct"] as const) {
          const at = enter.indexOf(container.cgroup.directory(controller));
          enter[at] = to.directory(controller);
        }
        expect((await run(enter)).status).toBe(0);
        const used = (to.cpuSeconds - begun) * 100;
        expect(used).toBeGreaterThan(5);
        const text = await held.file("/proc/stat");
        checkGrowth(moved, checkStat(text));
        const gained = shownTicks(text) - moved.total.user - moved.total.system;
        expect(Math.abs(gained - used)).toBeLessThan(3 + 3 * cpus.length);
        const all = 100 * (container.cgroup.cpuSeconds + to.cpuSeconds - ofOthers);
        expect(shownTicks(text)).toBeLessThan(all + 3 + 3 * cpus.length);
      },
    );

    it("in one hierarchy after the other keeps its files, though the first reader comes between", async () => {
      const own = testScope();
      const container = await start(own, { cgroupNamespace: false });
      const held = container.syscalls(own);
      const to = Cgroup.create(own, testName("to"));
      to.limit({ memory: 64 * MIB, quota: QUOTA });
      const late = ["cpu", "cpuacct"] as const;
      const isLate = new Set(late.map((controller) => to.directory(controller)));
      for (const [at, directory] of to.directories.entries()) {
        if (!isLate.has(directory)) {
          moveAll(container.cgroup.directories[at] ?? "", directory);
        }
      }
      const files = ["proc/stat", "proc/uptime", "proc/meminfo"].map((path) => daemon.path(path));
      for (const file of files) {
        await held.file(file);
      }
      const total = async (): Promise<number> =>
        value(checkMeminfo(await held.file(daemon.path("proc/meminfo"))), "MemTotal");
      await until("it is the container of the new cgroup", async () => {
        return (await total()) === 64 * 1024;
      });
      move(container.cgroup, to, late);
      for (const controller of late) {
        rmdirSync(container.cgroup.directory(controller));
      }
      // Each of these readings has to succeed.
      await until("it has the new quota", async () => {
        for (const file of files) {
          expect(await held.file(file)).not.toBe("");
        }
        return cpuList(await held.file(daemon.path(ONLINE))).length === SHOWN.length;
      });
      const before = checkStat(await held.file(daemon.path("proc/stat")));
      await until("time goes on", async () => {
        const now = checkStat(await held.file(daemon.path("proc/stat")));
        checkGrowth(before, now);
        return now.total.idle > before.total.idle + 20;
      });
    });

    it("keeps its own cgroup when its init moves below it", async () => {
      const own = testScope();
      const container = await start(own, { quota: QUOTA, cgroupNamespace: false });
      const held = container.syscalls(own);
      const shown = await held.file(`/${ONLINE}`);
      await container.run(BURN);
      const inner = container.cgroup.child(own, "inner");
      const before = checkStat(await held.file("/proc/stat"));
      for (const controller of ["cpu", "cpuacct"] as const) {
        inner.write(controller, "cgroup.procs", container.init);
      }
      const moved = await until("it would have been noticed", async () => {
        const file = checkStat(await held.file("/proc/stat"));
        return file.total.idle > before.total.idle + 150 && file;
      });
      await container.run(BURN);
      const after = checkStat(await held.file("/proc/stat"));
      checkGrowth(moved, after);
      expect(after.total.user).toBeGreaterThan(moved.total.user + 5);
      expect(await held.file(`/${ONLINE}`)).toBe(shown);
      expect(statIds(after)).toEqual(cpuList(shown));
    });

    it.each([
      ["inner", ["cpu", "cpuacct"]],
      ["..inner", []],
    ] as const)(
      "stays itself when its init moves to %s below it, moved in %j",
      async (inner, controllers) => {
        const own = testScope();
        const late = await Daemon.start(own);
        const container = await Container.start(own);
        const id = await container.id(daemon);
        move(container.cgroup, Cgroup.create(own, testName("to")), controllers);
        container.cgroup.child(own, inner).write("memory", "cgroup.procs", container.init);
        expect(await container.id(late)).toBe(id);
      },
    );

    it.each(["nobody", "others"])(
      "goes on with its page faults where a cgroup has counted those of %s",
      async (whose) => {
        const own = testScope();
        const container = await start(own, { cgroupNamespace: false });
        const held = container.syscalls(own);
        const shown = async (): Promise<number> =>
          faultsOf("pgfault", await held.file("/proc/vmstat"));
        await container.run(BURN);
        const before = await shown();
        expect(before).toBeGreaterThan(100);
        const to = Cgroup.create(own, testName("to"));
        to.limit({ memory: 64 * MIB });
        const counted = (): number => faultsOf("total_pgfault", to.read("memory", "memory.stat"));
        while (whose === "others" && counted() < 3 * before) {
          await run(inCgroup(to, "memory", ["true"]));
        }
        const ofOthers = counted();
        const last = await shown();
        move(container.cgroup, to, ["memory"]);
        await until("it has the new limit", async () => {
          const meminfo = checkMeminfo(await held.file("/proc/meminfo"));
          return value(meminfo, "MemTotal") === 64 * 1024;
        });
        const moved = await shown();
        expect(moved).toBeGreaterThanOrEqual(last);
        await run(inCgroup(to, "memory", BURN));
        const after = await shown();
        expect(after).toBeGreaterThan(moved + 50);
        expect(after - last).toBeLessThanOrEqual(counted() - ofOthers);
      },
    );

    it.each(["nobody", "others"])(
      "goes on with its I/O where a cgroup has counted that of %s, and counts it once",
      async (whose) => {
        const own = testScope();
        const container = await start(own, { cgroupNamespace: false });
        const to = Cgroup.create(own, testName("to"));
        const { number, name } = diskOf(deviceOf(process.execPath));
        const isCounted = (cgroup: Cgroup): void =>
          // v1 counts on devices that have a limit.
          cgroup.write("blkio", "blkio.throttle.read_bps_device", `${number} ${1024 * MIB}`);
        isCounted(container.cgroup);
        const held = container.syscalls(own);
        const shown = async (): Promise<readonly number[]> => {
          const columns = columnsOf(name, await held.file("/proc/diskstats"));
          const [reads = 0, , sectors = 0] = columns;
          const paged = faultsOf("pgpgin", await held.file("/proc/vmstat"));
          return [reads, sectors / 2, paged];
        };
        const gained = (from: readonly number[], now: readonly number[]): number[] =>
          now.map((figure, at) => figure - (from[at] ?? 0));
        await container.run(READ);
        const before = await shown();
        expect(Math.min(...before.slice(1))).toBeGreaterThanOrEqual(READ_KIB);
        if (whose === "others") {
          isCounted(to);
          await run(inCgroup(to, "blkio", [...READ, "count=64"]));
        }
        const from = container.cgroup;
        const places = [to, from, to];
        let last = before;
        for (const [at, place] of places.entries()) {
          // Moved out of one hierarchy only; the next round looks once a second.
          move(places[at - 1] ?? from, place, ["blkio", "cpu"]);
          place.limit({ quota: at % 2 === 0 ? QUOTA : cpus.length });
          await until("it has the new quota", async () => {
            const online = cpuList(await held.file(`/${ONLINE}`)).length;
            return online === (at % 2 === 0 ? SHOWN.length : cpus.length);
          });
          const moved = await shown();
          expect(gained(last, moved)).toEqual([0, 0, 0]);
          isCounted(place);
          await run(inCgroup(place, "blkio", READ));
          last = await shown();
          const [reads = 0, ...kib] = gained(moved, last);
          expect(reads).toBeGreaterThan(0);
          expect(Math.min(...kib)).toBeGreaterThanOrEqual(READ_KIB);
          expect(Math.max(...kib)).toBeLessThan(2 * READ_KIB);
        }
      },
    );

    it("stays itself while its init moves on and on below it", async () => {
      const own = testScope();
      const container = await Container.start(own);
      const id = await container.id(daemon);
      const inner = container.cgroup.child(own, "x");
      const which = id.startsWith("m") ? "memory" : "unified";
      const to = [inner, inner.child(own, "x")].map((cgroup) => cgroup.directory(which));
      const flip = 'while :; do for to; do echo "$0" >"$to/cgroup.procs"; done; done';
      background(own, ["/bin/sh", "-c", flip, `${container.init}`, ...to]);
      // Of another cgroup namespace each time: asked for again.
      const ask = 'for i in $(seq "$2"); do unshare -C readlink "$1"; done | sort -u';
      const found = await container.shell(ask, daemon.path("self"), inLong("200", "3000"));
      expect(found.trim().split("\n")).toEqual([`containers/${id}`]);
    });

    it("is measured there", async () => {
      const own = testScope();
      const { daemon: measured, scrape } = await serveMetrics(own);
      const container = await Container.start(own, { quota: 0.5, cgroupNamespace: false });
      const id = await container.id(measured);
      await container.run(BURN);
      await container.run(READ);
      const figure = async (metric: string, more = ""): Promise<number | undefined> =>
        figureOf(await scrape(), metric, id, more);
      const used = (await figure("cpu_seconds_total", 'mode="user"')) ?? Number.NaN;
      expect(used).toBeGreaterThan(0);
      const counted = async (): Promise<(number | undefined)[]> => {
        const counts = ["cpu_periods_total", "cpu_throttled_periods_total", "read_bytes_total"];
        return Promise.all(counts.map((metric) => figure(metric)));
      };
      const before = await counted();
      expect(before[0]).toBeGreaterThan(0);
      const to = Cgroup.create(own, testName("to"));
      to.limit({ quota: 0.75 });
      // Of others.
      await burnIn(to, "cpu");
      await run(inCgroup(to, "blkio", [...READ, "count=16"]));
      move(container.cgroup, to, ["blkio", "cpu", "cpuacct"]);
      await until(
        "operators are told of the quota",
        async () => (await figure("cpu_limit_cores")) === 0.75,
        2 * DEADLINE_MS,
      );
      expect(await figure("cpu_seconds_total", 'mode="user"')).toBeGreaterThanOrEqual(used);
      const after = await counted();
      const gained = after.map((count, at) => (count ?? 0) - (before[at] ?? 0));
      // Only its init runs in it.
      expect(Math.min(...gained)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...gained)).toBeLessThan(5);
    });
  },
  isV2 ? ["no hierarchies of v1"] : [],
);
