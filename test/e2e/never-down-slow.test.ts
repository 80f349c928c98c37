// Machines on which a worker takes longer to start than it is given.

import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { background } from "../support/command.js";
import { temporaryDirectory } from "../support/daemon.js";
import { Managed } from "../support/managed.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";
import { Scope } from "../support/scope.js";
import { itLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const keeper = join(project, "build/Release/vprocfs-keeper");
const LATE = "did not start in time";

/** A service whose workers have `startMs` to start, and are started by a command of sh; readers have `patienceMs`. */
function startedBy(
  scope: Scope,
  startMs: number,
  command: string,
  program = keeper,
  standby: "on" | "off" = "off",
  patienceMs = 10_000,
): Promise<Managed> {
  const script = `
    node=$0 cli=$1 at=$3
    shift 3
    socket=/run/vprocfs/$(printf %s "\${at#/}" | sed s,/,%2F,g).sock
    exec '${program}' --mountpoint "$at" --type fuse --source vprocfs --socket "$socket" --standby ${standby} \\
      --start-ms ${startMs} --patience-ms ${patienceMs} -- sh -c '${command}; exec "$0" "$@"' "$node" "$cli" worker "$at" "$@"`;
  return Managed.start(scope, [], { launcher: ["sh", "-c", script] });
}

describeLive("a start that takes longer than it may", ["python3"], () => {
  itLong("is given more time each time, for which the service manager is asked", async () => {
    const managed = await startedBy(testScope(), 1000, "sleep 4.5");
    const { reasons, restarts } = await managed.serving();
    expect(restarts).toBeGreaterThanOrEqual(2);
    expect(new Set(reasons)).toEqual(new Set([LATE]));
    expect(managed.events.some((line) => line.startsWith("extend_timeout_usec "))).toBe(true);
  });

  it("goes on when others had its CPU meanwhile", async () => {
    const scope = testScope();
    const onOne = "taskset -c -p 0 $$ >/dev/null";
    const begun = join(temporaryDirectory(scope, "start"), "begun");
    const alone = new Scope();
    scope.defer(() => alone.close());
    await startedBy(alone, 60_000, `cat /proc/uptime >${begun}; ${onOne}`);
    const aloneMs = 1000 * (secondsOf("/proc/uptime") - secondsOf(begun));
    await alone.close();
    const others = testScope();
    for (let i = 0; i < 6; i += 1) {
      background(others, ["taskset", "-c", "0", "sh", "-c", "while :; do :; done"]);
    }
    // Its own CPU time is a fraction of that, and with the others on its CPU it takes longer.
    const managed = await startedBy(scope, Math.max(1000, Math.ceil(3 * aloneMs)), onOne);
    await others.close();
    expect(await managed.serving()).toMatchObject({ restarts: 0 });
    expect(managed.logs).not.toContain(LATE);
  });
});

/** The first figure of a file. */
function secondsOf(path: string): number {
  return Number.parseFloat(readFileSync(path, "utf8"));
}

describeLive("a worker beside one that takes long to start", ["python3"], () => {
  it.each(["worker", "standby"])("is tried ever more rarely, beside a %s", async (which) => {
    const scope = testScope();
    const directory = temporaryDirectory(scope, "gate");
    const [served, first, go, times] = ["served", "first", "go", "times"].map((name) =>
      join(directory, name),
    ) as [string, string, string, string];
    const waits = `until [ -e ${go} ]; do sleep 0.05; done`;
    const fails = `cat /proc/uptime >>${times}; exit 1`;
    const isNew = (path: string): string => `mkdir ${path} 2>/dev/null`;
    const others = `if ${isNew(first)}; then ${waits}; elif [ ! -e ${go} ]; then ${fails}; fi`;
    const standby = which === "standby";
    const slow = `${isNew(served)} || ${others}`;
    const managed = await startedBy(scope, 60_000, slow, keeper, standby ? "on" : "off");
    const { workerPid } = await managed.serving();
    if (standby) {
      await until("it starts", () => existsSync(first));
    }
    process.kill(workerPid, "SIGKILL");
    const failures = (): number[] =>
      existsSync(times) ? (readFileSync(times, "utf8").match(/^\S+/gm)?.map(Number) ?? []) : [];
    const [one = 0, two = 0, three = 0] = await until("three have failed", () => {
      const all = failures();
      return all.length >= 3 && all;
    });
    writeFileSync(go, "");
    // Seconds with two digits.
    expect(two - one).toBeGreaterThanOrEqual(0.99);
    expect(three - two).toBeGreaterThanOrEqual(1.99);
    await until("the first one serves", async () => (await managed.serving()).generation === 2);
    expect(managed.logs).not.toContain("the standby ended");
  });
});

/** How nice the main thread of a process is. */
function niceOf(pid: number): number {
  // The command before it, in parentheses, is of no program that has some in its name.
  return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[16]);
}

function oomScoreOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));
}

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return children.trim().split(" ").map(Number);
}

describeLive("a standby", ["python3"], () => {
  it("starts behind others, until it is ready or readers wait for it", async () => {
    const scope = testScope();
    const directory = temporaryDirectory(scope, "gate");
    const first = join(directory, "first");
    const go = join(directory, "go");
    const gate = `[ ! -e ${first} ] || until [ -e ${go} ]; do sleep 0.05; done; touch ${first}`;
    const managed = await startedBy(scope, 60_000, gate, keeper, "on");
    const { keeperPid, workerPid } = await managed.serving();
    const usual = niceOf(keeperPid);
    const standbyPid = await until("a standby", () =>
      childrenOf(keeperPid).find((pid) => pid !== workerPid),
    );
    await until("it is nice", () => niceOf(standbyPid) === usual + 10);
    process.kill(workerPid, "SIGKILL");
    await until("it is no longer", () => niceOf(standbyPid) === usual);
    rmSync(first);
    writeFileSync(go, "");
    await until("it serves", async () => {
      const { workerPid: now, standby } = await managed.serving();
      return now === standbyPid && standby === "ready";
    });
    expect(childrenOf(keeperPid).map(niceOf)).toEqual([usual, usual]);
  });

  it("goes first when memory is short, though readers waited for it while it started", async () => {
    const scope = testScope();
    const directory = temporaryDirectory(scope, "gate");
    const [served, slow, go] = ["served", "slow", "go"].map((name) => join(directory, name));
    const waits = `until [ -e ${go} ]; do sleep 0.05; done`;
    const second = `mkdir ${served} 2>/dev/null || ! mkdir ${slow} 2>/dev/null || ${waits}`;
    const managed = await startedBy(scope, 60_000, second, keeper, "on");
    const { keeperPid, workerPid, generation } = await managed.serving();
    const standby = await until("a standby", () =>
      childrenOf(keeperPid).find((pid) => pid !== workerPid),
    );
    await until("it starts", () => existsSync(`${slow}`));
    process.kill(workerPid, "SIGKILL");
    await until("readers wait for it", () => oomScoreOf(standby) === 0);
    const other = await until("another one serves", async () => {
      const status = await managed.serving();
      return status.generation > generation && status.workerPid;
    });
    expect(other).not.toBe(standby);
    writeFileSync(`${go}`, "");
    await until("it stands by", async () => (await managed.serving()).standby === "ready");
    expect([other, standby].map(oomScoreOf)).toEqual([0, 1000]);
  });

  it("is waited for as long as another worker when the worker ends while it starts", async () => {
    // Otherwise readers wait for a third of what one takes to start.
    const managed = await startedBy(testScope(), 60_000, "sleep 3", keeper, "on", 1000);
    const { keeperPid, workerPid } = await until("a worker stands by", async () => {
      const status = await managed.serving();
      return status.standby === "ready" && status;
    });
    const standbyPid = childrenOf(keeperPid).find((pid) => pid !== workerPid) ?? 0;
    process.kill(standbyPid, "SIGKILL");
    await until("another one starts", () =>
      childrenOf(keeperPid).some((pid) => ![workerPid, standbyPid, 0].includes(pid)),
    );
    const before = managed.logs.length;
    process.kill(workerPid, "SIGKILL");
    const text = await readFile(join(managed.mountpoint, "proc/meminfo"), "utf8");
    expect(text).toMatch(/^MemTotal:/);
    expect(managed.logs.slice(before)).not.toContain("no worker serves");
  });
});

describeLive("a keeper that is tried while the machine stands still", ["python3"], () => {
  it("has as long as before", async () => {
    const scope = testScope();
    const directory = temporaryDirectory(scope, "keeper");
    const [program, other, begun, goOn] = ["keeper", "other", "begun", "go-on"].map((name) =>
      join(directory, name),
    ) as [string, string, string, string];
    copyFileSync(keeper, program);
    const managed = await startedBy(scope, 3000, "true", program);
    const { keeperPid } = await managed.serving();
    const waits = `touch '${begun}'; while [ ! -e '${goOn}' ]; do sleep 0.05; done`;
    writeFileSync(other, `#!/bin/sh\n${waits}; exec '${keeper}' "$@"\n`, { mode: 0o755 });
    renameSync(other, program);
    process.kill(keeperPid, "SIGUSR2");
    await until("it is tried", () => existsSync(begun));
    process.kill(keeperPid, "SIGSTOP");
    await pause(4000);
    process.kill(keeperPid, "SIGCONT");
    // It looks at once.
    await pause(500);
    expect(managed.logs).not.toContain("does not start");
    writeFileSync(goOn, "");
    await until("it has executed itself", () => managed.logs.includes("continuing with worker"));
  });
});
