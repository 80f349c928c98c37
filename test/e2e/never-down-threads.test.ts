// A node that has no thread to give: what runs goes on with those that it has, and takes more when it can.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { socketOf } from "../../src/keeper.js";
import { removeCgroup } from "../support/cgroups.js";
import { background, finished, outputOf } from "../support/command.js";
import { Daemon, withStandby } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { waitsInKernel } from "../support/proc.js";
import { program } from "../support/programs.js";
import { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter, standbyOf, standingBy, statusOf } from "./never-down-support.js";

withStandby();

const PIDS = "/sys/fs/cgroup/pids";
const MORE_THAN_THREADS = 24;

/** From now on a process gets so many threads more, and no others, until something else is allowed. */
function fill(scope: Scope, pid: number, spare = 0): (processes: string) => void {
  const full = join(PIDS, testName("full"));
  mkdirSync(full);
  scope.defer(() => removeCgroup(full));
  const before = /:pids:(.*)/.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
  scope.defer(() => {
    if (existsSync(`/proc/${pid}`)) {
      writeFileSync(join(PIDS, before, "cgroup.procs"), String(pid));
    }
  });
  writeFileSync(join(full, "cgroup.procs"), String(pid));
  const taken = Number(readFileSync(join(full, "pids.current"), "utf8"));
  const allow = (processes: string) => writeFileSync(join(full, "pids.max"), processes);
  allow(String(taken + spare));
  return allow;
}

/** Stops threads of a process when they are about to answer; says how many it holds. */
async function stall(scope: Scope, pid: number): Promise<() => number> {
  const child = background(scope, [program("stall"), `${pid}`, "answers"]);
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await until("it has all threads", () => text.includes("ready\n"));
  return () => Number(/held (\d+)\n$/.exec(text)?.[1] ?? 0);
}

/** A worker all of whose threads are held while readers wait, and which gets no others. */
async function allBlocked(scope: Scope) {
  const daemon = await Daemon.start(scope, "--watchdog-ms", "60000");
  const { workerPid, generation } = await standingBy(daemon);
  const allow = fill(scope, workerPid);
  // Readers end when the threads are let go.
  const readers = new Scope();
  scope.defer(() => readers.close());
  const own = new Scope();
  scope.defer(() => own.close());
  const held = await stall(own, workerPid);
  let answered = 0;
  const argv = ["cat", daemon.path("proc/uptime")];
  const children = Array.from({ length: MORE_THAN_THREADS }, () => background(readers, argv));
  const reads = children.map(async (child) => {
    outputOf(argv, await finished(child));
    answered += 1;
  });
  await until("all readers wait", () => children.every(({ pid }) => waitsInKernel(pid)));
  let most = 0;
  let looks = 0;
  await until("all threads are held", () => {
    looks = held() === most ? looks + 1 : 0;
    most = held();
    return most > 0 && looks > 25;
  });
  expect(answered).toBe(0);
  return {
    /** Those that no thread holds. */
    waiting: reads.length - most,
    answered: () => answered,
    allow: () => allow("max"),
    /** From now on the worker is alone. */
    endKeeper: async () => {
      const standby = await standbyOf(daemon);
      process.kill(daemon.pid, "SIGKILL");
      scope.defer(async () => {
        process.kill(workerPid, "SIGKILL");
        await until("the worker has ended", () => !existsSync(`/proc/${workerPid}`));
        rmSync(socketOf(daemon.mountpoint));
      });
      await until("the standby has ended", () => !existsSync(`/proc/${standby}`));
      await until("the worker knows", () => daemon.logs.includes("the keeper is gone"));
    },
    /** Lets all threads go, after which all are answered. */
    letGo: async () => {
      expect(held()).toBe(most);
      await own.close();
      await Promise.all(reads);
    },
    expectSame: async () => {
      expect(await statusOf(daemon)).toMatchObject({ workerPid, generation, restarts: 0 });
    },
  };
}

describe.runIf(existsSync(PIDS))("a node that is out of PIDs", () => {
  it("is served, and left, by the threads that there are", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const { workerPid } = await standingBy(daemon);
    fill(scope, workerPid);
    // More at once than there are threads.
    const files = ["stat", "meminfo", "cpuinfo", "uptime", "diskstats", "vmstat"];
    const reads = Array.from({ length: 20 }, () =>
      files.map((file) => readFile(daemon.path("proc", file), "utf8")),
    );
    for (const text of await Promise.all(reads.flat())) {
      expect(text).not.toBe("");
    }
    expect(await statusOf(daemon)).toMatchObject({ workerPid, restarts: 0, state: "serving" });
    expect(await daemon.stop()).toBe(0);
    expect(daemon.logs).not.toContain("stopping failed");
  });

  it("is served by a thread more as soon as it has one, though all that there are block", async () => {
    const scope = testScope();
    const blocked = await allBlocked(scope);
    // Nothing new is asked from now on: beats of the worker try for a thread, and who looks out, if the
    // node had a thread for that.
    blocked.allow();
    await until("the others are answered", () => blocked.answered() >= blocked.waiting);
    expect(blocked.answered()).toBe(blocked.waiting);
    await blocked.letGo();
    await blocked.expectSame();
  });

  it("is served by a thread more though the keeper is gone", async () => {
    const blocked = await allBlocked(testScope());
    await blocked.endKeeper();
    blocked.allow();
    await until("the others are answered", () => blocked.answered() >= blocked.waiting);
    await blocked.letGo();
  });

  it.each([0, 6, 12])("is served by the next worker when one finds %i threads", async (spare) => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const { workerPid, generation } = await standingBy(daemon);
    const standby = await standbyOf(daemon);
    fill(scope, standby, spare);
    process.kill(workerPid, "SIGKILL");
    const files = ["stat", "meminfo", "cpuinfo", "uptime"];
    const reads = files.map((file) => readFile(daemon.path("proc", file), "utf8"));
    for (const text of await Promise.all(reads)) {
      expect(text).not.toBe("");
    }
    const after = await servingAfter(daemon, generation + 1);
    expect([workerPid, standby]).not.toContain(after.workerPid);
    expect(after.reasons[0]).toBe("cannot start a thread: Resource temporarily unavailable");
    expect(after.restarts).toBe(2);
  });
});
