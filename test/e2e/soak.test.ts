// Limits that change every moment in loaded containers, and readers for whom nothing goes back, is
// torn or beyond a limit. `npm run soak` runs the same for longer.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { readStatus } from "../../src/keeper-status.js";
import { Cgroup, MIB } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { Daemon, VIEWS, withStandby } from "../support/daemon.js";
import { FILES } from "../support/invariants.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { cpuList } from "../support/procfile.js";
import { program } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { isLong, sized } from "../support/size.js";
import { Limited, Watched } from "../support/soak.js";
import { swapOn } from "../support/swapfile.js";
import { testScope } from "../support/test-scope.js";
import { SLOWNESS, until } from "../support/wait.js";

withStandby();

const SECONDS = sized("VPROCFS_SOAK_SECONDS", 8, 600);
/** How often the limits of each container change, and how often each reader reads all files. */
const PER_SECOND = sized("VPROCFS_SOAK_RATE", 4, 4);
/** How many times the worker is replaced: every other time it is killed. */
const REPLACED = Math.max(2, Math.round(SECONDS / 60));
/** What the load rests twice in a round. */
const CHURN_PAUSE_MS = Math.round(240 / PER_SECOND);
const DISK = "/var/tmp";
/** A tick, and what a busy machine is late. */
const TICK_STALE_MS = 500 * SLOWNESS;

const wholes = Object.keys(FILES).filter(
  (file) => existsSync(`/${file}`) && (VIEWS.some((view) => view === file) || /\/node/.test(file)),
);

async function replace(daemon: Daemon, isKilled: boolean): Promise<void> {
  const { workerPid, generation } = await readStatus(daemon.mountpoint);
  process.kill(isKilled ? workerPid : daemon.pid, isKilled ? "SIGKILL" : "SIGHUP");
  await until("the next worker serves", async () => {
    const status = await readStatus(daemon.mountpoint);
    return status.state === "serving" && status.generation > generation;
  });
}

async function loaded(
  scope: Scope,
  directory: string,
): Promise<{ container: Container; parent: Cgroup }> {
  const parent = Cgroup.create(scope, testName("soak"));
  const cgroup = parent.child(scope, "own");
  const container = await Container.start(scope, { cgroup, memory: 128 * MIB, swap: 64 * MIB });
  container.start(scope, [
    program("churn"),
    "72",
    `${CHURN_PAUSE_MS}`,
    join(directory, testName("file")),
  ]);
  return { container, parent };
}

describeLive("a soak", [], () => {
  it(`of ${SECONDS} seconds finds nothing that goes back`, {
    timeout: SECONDS * 1000 + 120_000 * SLOWNESS,
  }, async () => {
    const scope = testScope();
    // A machine that has some on a device needs no more.
    if (!/^\/dev\//m.test(readFileSync("/proc/swaps", "utf8"))) {
      swapOn(scope, 256);
    }
    const directory = mkdtempSync(join(DISK, testName("soak")));
    scope.defer(() => rmSync(directory, { recursive: true, force: true }));
    const daemons = [
      { name: "exact", staleMs: 0, daemon: await Daemon.start(scope) },
      {
        name: "tick",
        staleMs: TICK_STALE_MS,
        daemon: await Daemon.start(scope, "--consistency", "tick"),
      },
    ] as const;
    const end = performance.now() + SECONDS * 1000;
    const isOver = (): boolean => performance.now() >= end;
    const cpus = cpuList(await daemons[0].daemon.read("sys/devices/system/cpu/online"));
    const work: Promise<void>[] = [];
    const limits: Limited[] = [];
    const watched: Watched[] = [];
    for (const number of [1, 2]) {
      const { container, parent } = await loaded(scope, directory);
      const limited = new Limited(parent, container.cgroup, cpus);
      limits.push(limited);
      for (const { name, daemon, staleMs } of daemons) {
        const id = await container.id(daemon);
        const tree = daemon.path("containers", id);
        const one = new Watched(name, number, tree, limited, staleMs, wholes);
        watched.push(one);
        work.push(one.readers(container.syscalls(scope), PER_SECOND, 1 << 17, isOver));
        if (name === "exact") {
          // Pieces are of one snapshot there.
          work.push(one.readers(container.syscalls(scope), PER_SECOND / 4, 1021, isOver));
        }
      }
    }
    const change = async (): Promise<void> => {
      for (let step = 0; !isOver(); step += 1) {
        for (const [index, limited] of limits.entries()) {
          limited.change(step + index);
        }
        await pause(1000 / PER_SECOND);
      }
    };
    const disturb = async (): Promise<void> => {
      for (let done = 0; done < REPLACED; done += 1) {
        await pause((SECONDS * 1000) / (REPLACED + 1));
        for (const { daemon, name } of daemons) {
          const { resend } = await readStatus(daemon.mountpoint);
          const isKilled = done % 2 === 0;
          // Kernels before 6.9 do not ask the next worker for what a killed one had taken.
          const affected =
            isKilled && !resend ? watched.filter((one) => one.contract === name) : [];
          const work = affected.reduce(
            (inner, one) => () => one.excused(inner),
            () => replace(daemon, isKilled),
          );
          await work();
        }
      }
    };
    await Promise.all([...work, change(), disturb()]);
    const tallies = watched.map(({ tally }) => tally);
    const sum = (key: "rounds" | "readings"): number =>
      tallies.reduce((all, tally) => all + tally[key], 0);
    if (isLong || process.env.VPROCFS_SOAK_SECONDS !== undefined) {
      const changes = limits.reduce((all, limited) => all + limited.changes, 0);
      const figures = { seconds: SECONDS, changes, replaced: REPLACED * daemons.length };
      console.log(JSON.stringify({ ...figures, rounds: sum("rounds"), readings: sum("readings") }));
    }
    expect(tallies.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect(sum("rounds")).toBeGreaterThan(SECONDS / SLOWNESS);
  });
});
