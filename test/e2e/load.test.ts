// Real tasks, counted in both ways, and the loads that containers are shown of them.

import { statSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Cgroup, isV2, MIB } from "../support/cgroups.js";
import { bindsOf, Container } from "../support/container.js";
import { counters } from "../support/counters.js";
import { crowd } from "../support/crowd.js";
import { Daemon } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import type { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import {
  type CountedCgroup,
  type LoadSample,
  loadAverages,
  type TaskCount,
  TaskCounter,
} from "../support/testing.js";
import { until } from "../support/wait.js";
import { replaceWorker } from "./never-down-support.js";

const PERIOD_US = 5_010_000n;
const NO_HURRY_US = 60_000_000;

/** The cgroup2 directory and, on hybrid hosts, the one of v1's memory controller. */
function counted(cgroup: Cgroup, path: string): CountedCgroup[] {
  const id = (directory: string): bigint => BigInt(statSync(directory).ino);
  const pidNamespace = BigInt(statSync("/proc/self/ns/pid").ino);
  const unified = { v1: null, id: id(cgroup.directory("unified")), path, pidNamespace };
  const memory = { v1: "memory" as const, id: id(cgroup.directory("memory")), path, pidNamespace };
  return isV2 ? [unified] : [unified, memory];
}

/** A cgroup `depth` levels below another one, whose path is known. */
function nest(scope: Scope, depth: number): { top: Cgroup; path: string; leaf: Cgroup } {
  const name = testName("load");
  const top = Cgroup.create(scope, name);
  let leaf = top;
  for (let level = 0; level < depth; level += 1) {
    leaf = leaf.child(scope, `n${level}`);
  }
  return { top, path: `/${name}`, leaf };
}

for (const kind of ["bpf", "scan"] as const) {
  describeLive(`tasks counted by ${kind}`, [], () => {
    it("are all those of a cgroup and below it, by their states", async () => {
      const scope = testScope();
      const { top, path, leaf } = nest(scope, 5);
      const other = nest(scope, 1);
      await crowd(scope, leaf, { sleeping: 40, running: 2, blocked: 3 });
      await crowd(scope, other.leaf, { sleeping: 7, running: 1 });
      const cgroups = [...counted(top, path), ...counted(other.top, other.path)];
      const counter = new TaskCounter(kind, NO_HURRY_US);
      const counts = await until("those that wait do so", () => {
        const found = counter.count(cgroups);
        // Those that have just begun run until they sleep.
        const runs = found.map(({ running }) => running).join();
        const settled = cgroups.map((_, i) => (i < cgroups.length / 2 ? 2 : 1)).join();
        return found[0]?.blocked === 3 && runs === settled && found;
      });
      const half = cgroups.length / 2;
      // The main thread, and the children of vfork(2), sleep too.
      for (const count of counts.slice(0, half)) {
        expect(count).toMatchObject({ running: 2, blocked: 3, total: 1 + 40 + 2 + 2 * 3 });
      }
      for (const count of counts.slice(half)) {
        expect(count).toMatchObject({ running: 1, blocked: 0, total: 1 + 7 + 1 });
      }
    });

    it("follow processes from one cgroup to another, and cgroups that go", async () => {
      const scope = testScope();
      const [from, to] = [nest(scope, 1), nest(scope, 2)];
      const end = await crowd(scope, from.leaf, { sleeping: 5, running: 1 });
      const cgroups = [...counted(from.top, from.path), ...counted(to.top, to.path)];
      const counter = new TaskCounter(kind, NO_HURRY_US);
      const totals = (): number[] => counter.count(cgroups).map((count: TaskCount) => count.total);
      const half = cgroups.length / 2;
      const all = (...[a, b]: number[]) => cgroups.map((_, i) => (i < half ? a : b));
      expect(totals()).toEqual(all(7, 0));
      const pids = (await readFile(join(from.leaf.directory("memory"), "cgroup.procs"), "utf8"))
        .trim()
        .split("\n");
      for (const directory of to.leaf.directories) {
        for (const pid of pids) {
          await writeFile(join(directory, "cgroup.procs"), pid);
        }
      }
      expect(totals()).toEqual(all(0, 7));
      await end();
      expect(counter.count([])).toEqual([]);
      await until("nobody is left", () => `${totals()}` === `${all(0, 0)}`);
      // A path that is another cgroup's by now, or nobody's.
      const foreign = cgroups.map((cgroup) => ({ ...cgroup, id: 2n ** 45n, path: "/nowhere" }));
      expect(counter.count(foreign).map(({ total }) => total)).toEqual(all(0, 0));
    });

    it("give one busy loop five levels down a load of 1.00 in a quarter of an hour", async () => {
      const scope = testScope();
      const { top, path, leaf } = nest(scope, 5);
      await crowd(scope, leaf, { running: 1 });
      const cgroups = counted(top, path);
      const counter = new TaskCounter(kind, NO_HURRY_US);
      await until("only the loop runs", () => counter.count(cgroups)[0]?.running === 1);
      const samples: LoadSample[] = [];
      const periods = (15n * 60_000_000n) / PERIOD_US;
      // Real passes, and a clock that each of them moves by a period.
      for (let period = 0n; period <= periods; period += 1n) {
        const [count] = counter.count(cgroups);
        const active = BigInt((count?.running ?? 0) + (count?.blocked ?? 0));
        samples.push({ nowUs: period * PERIOD_US, active });
      }
      const tasks = { running: 1n, total: 2n, lastPid: 1n };
      const averages = (uptimeUs: bigint): number[] =>
        loadAverages(uptimeUs, samples, tasks).split(" ", 3).map(Number);
      // One that has just begun, as a machine that has just booted, and one that has run for long.
      const [one = 0, five = 0, fifteen = 0] = averages(0n);
      expect(Math.abs(one - 1)).toBeLessThanOrEqual(0.05);
      expect(Math.abs(five - 1)).toBeLessThanOrEqual(0.055);
      expect(fifteen).toBeGreaterThan(0.6);
      for (const average of averages(3_600_000_000n)) {
        expect(Math.abs(average - 1)).toBeLessThanOrEqual(0.05);
      }
    });
  });
}

describe.runIf(process.getuid?.() === 0)("a scan that is short of time", () => {
  it("counts all tasks, keeps its eye on those that run, and estimates the others", async () => {
    const scope = testScope();
    const { top, path, leaf } = nest(scope, 2);
    await crowd(scope, leaf, { sleeping: 3000, running: 1 });
    const cgroups = counted(top, path).slice(0, 1);
    const full = new TaskCounter("scan", NO_HURRY_US);
    await until("the others sleep", () => full.count(cgroups)[0]?.running === 1);
    expect(full.count(cgroups)).toMatchObject([{ running: 1, total: 3002 }]);
    const short = new TaskCounter("scan", 1);
    let sum = 0;
    let rounds = 0;
    // It comes past every task in turn, and then never loses the one that runs.
    await until("it has found it", () => {
      const [count] = short.count(cgroups);
      expect(count?.total).toBe(3002);
      sum += count?.running ?? 0;
      rounds += 1;
      return count?.running === 1 && sum > 0;
    });
    for (let round = 0; round < 20; round += 1) {
      expect(short.count(cgroups)[0]?.running).toBeGreaterThanOrEqual(1);
    }
    expect(rounds).toBeLessThan(3002);
  });
});

const ANY = /^\d+\.\d\d \d+\.\d\d \d+\.\d\d [1-9]\d*\/[1-9]\d* [1-9]\d*\n$/;

for (const bpf of ["auto", "off"] as const) {
  describeLive(`loadavg and stat, with --bpf ${bpf}`, [], () => {
    it("show the container's tasks, and cost nothing before", async () => {
      const scope = testScope();
      const daemon = await Daemon.start(
        scope,
        ...["--no-keeper", "--log-format", "json", "--bpf", bpf],
      );
      const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
      const deep = container.cgroup.child(scope, "a").child(scope, "b").child(scope, "c");
      await crowd(scope, deep, { sleeping: 20, running: 1, blocked: 2 });
      await container.read("/proc/meminfo");
      await container.read("/proc/uptime");
      expect(await counters(daemon)).toMatchObject({ taskPasses: 0, taskCounter: "" });
      // One process, so that no PID is given between the two: sh reads with its own hands.
      const text = await container.shell(
        "read -r line </proc/loadavg; read -r last </proc/sys/kernel/ns_last_pid; echo $line $last",
      );
      const [, , , tasks = "", shown, last] = text.trim().split(" ");
      expect(Number(tasks.split("/")[0])).toBeGreaterThanOrEqual(1);
      expect(Number(tasks.split("/")[1])).toBeGreaterThanOrEqual(1 + 20 + 1 + 4);
      if (bpf === "auto") {
        expect(shown).toBe(last);
      }
      const { taskPasses, taskCounter } = await counters(daemon);
      expect(taskPasses).toBeGreaterThan(0);
      expect(taskCounter).toBe(bpf === "auto" ? "bpf" : "scan");
      // Those of an earlier pass may have been on their way to where they wait.
      await until("two wait", async () => {
        const stat = await container.read("/proc/stat");
        expect(Number(/^procs_running (\d+)$/m.exec(stat)?.[1])).toBeGreaterThanOrEqual(1);
        return /^procs_blocked (\d+)$/m.exec(stat)?.[1] === "2";
      });
      await until("the load rises", async () => {
        const load = await container.read("/proc/loadavg");
        expect(load).toMatch(ANY);
        return Number(load.split(" ")[0]) > 0.2;
      });
    });

    it("are counted again for who reads what runs, as make does before each job", async () => {
      const scope = testScope();
      const daemon = await Daemon.start(
        scope,
        ...["--no-keeper", "--log-format", "json", "--bpf", bpf],
      );
      const container = await Container.start(scope, { memory: 64 * MIB });
      const path = join("containers", await container.id(daemon), "proc/loadavg");
      // On a machine with few CPUs they would keep us and the daemon from running.
      const jobs = container.cgroup.child(scope, "jobs");
      jobs.limit({ weight: 1 });
      const [before] = (await daemon.read(path)).split(" ");
      await crowd(scope, jobs, { running: 8 });
      const seen = await until("they run", async () => {
        const text = await daemon.read(path);
        return Number(/ (\d+)\//.exec(text)?.[1]) >= 8 && text;
      });
      // Not one of the passes that the averages are made of, which come every five seconds.
      expect(seen.split(" ")[0]).toBe(before);
      const { taskPasses } = await counters(daemon);
      const begun = performance.now();
      for (let i = 0; i < 1000; i += 1) {
        await daemon.read(path);
      }
      const after = await counters(daemon);
      // However many ask: one pass in ten milliseconds, one to begin with, one for the averages.
      const most = 2 + (performance.now() - begun) / 10;
      expect(after.taskPasses - taskPasses).toBeLessThanOrEqual(most);
    });

    it("show nobody else's, nor the host's", async () => {
      const scope = testScope();
      const daemon = await Daemon.start(scope, "--bpf", bpf);
      const [busy, idle] = [
        await Container.start(scope, { name: "busy", memory: 64 * MIB }),
        await Container.start(scope, { name: "idle", memory: 64 * MIB }),
      ];
      await crowd(scope, busy.cgroup, { sleeping: 200, running: 3 });
      const load = async (container: Container): Promise<string> =>
        daemon.read("containers", await container.id(daemon), "proc/loadavg");
      await until("the busy one is seen", async () => / [3-5]\/20\d /.test(await load(busy)));
      expect(await load(idle)).toMatch(/^0\.00 0\.00 0\.00 1\/[1-5] \d+\n$/);
      expect(await daemon.read("proc/loadavg")).toMatch(ANY);
    });
  });
}

describeLive("loads over takeovers", [], () => {
  it("go on where they were when the worker is killed and when it is replaced", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--standby", "on");
    const container = await Container.start(scope, { memory: 64 * MIB });
    const id = await container.id(daemon);
    const end = await crowd(scope, container.cgroup, { running: 4 });
    const loads = async (): Promise<[number, string]> => {
      const [one = "", , , tasks = ""] = (
        await daemon.read("containers", id, "proc/loadavg")
      ).split(" ");
      return [Number(one), tasks];
    };
    await until("there is a load", async () => (await loads())[0] > 0.5);
    await end();
    // Nothing of it could be found anew.
    const before = await until("nothing runs any more", async () => {
      const [load, tasks] = await loads();
      return tasks.startsWith("1/") && load;
    });
    expect(before).toBeGreaterThan(0.3);
    for (const how of inLong<readonly ("kill" | "reload")[]>(
      ["reload", "kill"],
      ["kill", "reload", "kill"],
    )) {
      await replaceWorker(daemon, how);
      const [after] = await loads();
      // A period may be over meanwhile, and more on a slow machine.
      expect(after).toBeLessThanOrEqual(before);
      expect(after).toBeGreaterThan(before * 0.5);
    }
  });
});

describeLive("loadavg", ["setpriv"], () => {
  it("is read by everybody, also where processes are hidden", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
    await crowd(scope, container.cgroup, { sleeping: 10 });
    const text = await container.shell(
      "mount -o remount,hidepid=2 /proc && " +
        "exec setpriv --reuid 65534 --regid 65534 --clear-groups cat /proc/loadavg",
    );
    expect(text).toMatch(ANY);
    expect(Number(/\/(\d+)/.exec(text)?.[1])).toBeGreaterThan(10);
  });
});
