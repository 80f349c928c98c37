// Reloads as the old worker drains: its successor ends, or one tenant has many requests that wait.

import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { askFigures } from "../../src/figures.js";
import { MIB } from "../support/cgroups.js";
import { background } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, vprocfs, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { waitsInKernel } from "../support/proc.js";
import { program } from "../support/programs.js";
import { project } from "../support/project.js";
import { attackFrom } from "../support/pulse.js";
import { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { standingBy, statusOf, workersOf } from "./never-down-support.js";

withStandby();

const keeper = join(project, "build/Release/vprocfs-keeper");

/** A keeper whose workers may take as long as a test to drain. */
const PATIENT = `
node=$0 cli=$1 at=$3
shift 3
socket=/run/vprocfs/$(printf %s "\${at#/}" | sed s,/,%2F,g).sock
exec '${keeper}' --mountpoint "$at" --type fuse --source vprocfs --socket "$socket" --drain-ms 60000 -- \\
  "$node" "$cli" worker "$at" "$@"`;

/** Holds a worker when it is about to answer; returns what tells of that. */
async function stall(own: Scope, workerPid: number): Promise<() => string> {
  const child = background(own, [program("stall"), `${workerPid}`, "answers"]);
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await until("it has all threads", () => text.includes("ready\n"));
  return () => text;
}

/** A daemon whose worker is held when it is about to answer a reader; says how it is let go. */
async function holding(scope: Scope) {
  const daemon = await Daemon.startUnder(scope, ["sh", "-c", PATIENT]);
  const { workerPid } = await standingBy(daemon);
  const own = new Scope();
  scope.defer(() => own.close());
  const said = await stall(own, workerPid);
  const reader = background(scope, ["cat", daemon.path("proc/uptime")]);
  await until("an answer is held", () => said().includes("held 1\n"));
  expect(waitsInKernel(reader.pid)).toBe(true);
  return { daemon, workerPid, letGo: () => own.close() };
}

/** Waits until a reload has its new worker ready, which it returns, and the old one drains. */
async function draining(daemon: Daemon, before: readonly number[]): Promise<number> {
  const { keeperPid } = await until("the old worker drains", async () => {
    const status = await statusOf(daemon);
    return status.state === "draining" && status;
  });
  const next = workersOf(keeperPid).find((pid) => !before.includes(pid));
  if (next === undefined) {
    throw new Error("there is no new worker");
  }
  return next;
}

function oomScoreOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));
}

describeLive("a reload whose new worker ends while the old one drains", [], () => {
  it.each(["before another one is ready", "after"])(
    "starts another one, which serves, though the old one ends %s",
    async (when) => {
      const { daemon, workerPid, letGo } = await holding(testScope());
      const { keeperPid } = await statusOf(daemon);
      const old = workersOf(keeperPid);
      const reload = vprocfs("reload", "--mountpoint", daemon.mountpoint);
      const first = await draining(daemon, old);
      expect(oomScoreOf(first)).toBe(0);
      process.kill(first, "SIGKILL");
      const second = await until("another one starts", () =>
        workersOf(keeperPid).find((pid) => pid !== first && !old.includes(pid)),
      );
      if (when === "after") {
        // Nothing tells that it is ready.
        await pause(4 * daemon.startedInMs);
        expect(oomScoreOf(second)).toBe(0);
      }
      await letGo();
      expect((await reload).stdout.toString()).toBe("reloaded\n");
      expect(daemon.logs).toContain("the new worker failed (signal 9): trying once more");
      expect(daemon.logs).not.toContain("keeping the old one");
      const after = await statusOf(daemon);
      expect(after).toMatchObject({ generation: 2, restarts: 0, reasons: [] });
      expect([workerPid, first]).not.toContain(after.workerPid);
      expect(await readFile(daemon.path("proc/uptime"), "utf8")).toMatch(/^\d/);
    },
  );

  it("fails when that happens twice, and yet no old worker serves on", async () => {
    const { daemon, workerPid, letGo } = await holding(testScope());
    const { keeperPid } = await statusOf(daemon);
    const old = workersOf(keeperPid);
    const reload = vprocfs("reload", "--mountpoint", daemon.mountpoint);
    const gone: number[] = [];
    for (const _ of ["first", "second"]) {
      const pid = await until("a new worker is there", () =>
        workersOf(keeperPid).find((one) => !gone.includes(one) && !old.includes(one)),
      );
      if (gone.length === 0) await draining(daemon, old);
      process.kill(pid, "SIGKILL");
      gone.push(pid);
    }
    expect((await reload).stderr.toString()).toContain("signal 9");
    expect(daemon.logs).toContain("another one starts when the old one has ended");
    await letGo();
    const after = await until("another worker serves", async () => {
      const status = await statusOf(daemon);
      return status.state === "serving" && status.workerPid !== workerPid && status;
    });
    expect(after).toMatchObject({ generation: 2, restarts: 0, reasons: [] });
    await until("the old one is gone", () => !existsSync(`/proc/${workerPid}`));
  });
});

/** Of one tenant. */
const THREADS = 40;

describeLive("a reload while one tenant has many requests that wait", ["busybox"], () => {
  it("leaves them to the new worker, and none fails", async () => {
    const scope = testScope();
    const daemon = await Daemon.startUnder(scope, ["sh", "-c", PATIENT]);
    const container = await Container.start(scope, { memory: 64 * MIB });
    const { workerPid, keeperPid } = await standingBy(daemon);
    const waiting = async (): Promise<number> =>
      (await askFigures(daemon.mountpoint))?.resources?.waiting?.used ?? 0;
    const file = daemon.path("containers", await container.id(daemon), "proc/stat");
    await attackFrom(scope, container, [program("flood"), "open", `${THREADS}`, file]);
    const own = new Scope();
    scope.defer(() => own.close());
    // One of those whose turn it is, too: nothing else keeps so many waiting.
    await until("all wait for one", async () => {
      await stall(own, workerPid);
      await pause(200);
      if ((await waiting()) >= THREADS / 2) return true;
      await own.close();
      return false;
    });
    const { requests } = await statusOf(daemon);
    const old = workersOf(keeperPid);
    const read = container.read(file);
    const reload = vprocfs("reload", "--mountpoint", daemon.mountpoint);
    await draining(daemon, old);
    await own.close();
    expect((await reload).stdout.toString()).toBe("reloaded\n");
    expect(await read).toMatch(/^cpu /);
    const resent = await until("the new worker serves them", async () => {
      const status = await statusOf(daemon);
      return status.requests > requests + THREADS && status.resent;
    });
    expect(resent).toBeGreaterThanOrEqual(THREADS / 2);
  });
});
