// Workers die, and are replaced, under readers that check every byte. bench/storm/storm.sh runs the
// same with more of it.

import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, expect, it } from "vitest";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { Scope } from "../support/scope.js";
import { inLong, isLong, itLong, sized } from "../support/size.js";
import { fileScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import {
  footprint,
  Storm,
  type StormResult,
  servingAfter,
  standingBy,
  statusOf,
  workersOf,
} from "./never-down-support.js";

withStandby();

const MIB = 2 ** 20;
const KILLS = sized("VPROCFS_TEST_STORM_KILLS", 6, 1000);
const STOPS = sized("VPROCFS_TEST_STORM_STOPS", 10, 1000);
const RELOADS = sized("VPROCFS_TEST_STORM_RELOADS", 5, 100);
/**
 * Kills fall anywhere in the life of a worker, one in five during its start. Not all: who never lets
 * a worker serve for as long as readers are to wait at most gets the errors that he asked for.
 */
const KILL_WITHIN_MS = 600;
const KILLS_AT_START = 0.2;
/**
 * Two workers in a row that stop at the very moment they take over are what readers do not outwait
 * (never-down.md): after a takeover as long as this the next worker may begin.
 */
const STOPPED_MS = 2_500;
const BEGIN_MS = 1_000;
/** For figures of readers whom nothing disturbs. */
const QUIET_MS = inLong(500, 2_000);

/** Of a daemon that is reloaded all the time: longer than a machine that is busy takes to hand over. */
const PATIENCE_MS = 2_000;

/** Figures of a longer run are what it is for. */
function report(what: string, figures: unknown): void {
  if (isLong || process.env.VPROCFS_TEST_STORM_KILLS !== undefined) {
    console.log(`${what}: ${JSON.stringify(figures)}`);
  }
}

describeLive("under eight readers in two containers", ["g++"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let containers: readonly Container[];

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
    const binds = bindsOf(daemon);
    containers = [
      await Container.start(scope, { memory: 64 * MIB, binds }),
      await Container.start(scope, { memory: 96 * MIB, binds }),
    ];
  });

  type Tell = (when: "before" | "after") => void;

  /** One container reads its binds, the other the caller-identified tree. */
  async function underLoad(disturb: (tell: Tell) => Promise<void>): Promise<StormResult[]> {
    const loads = new Scope();
    try {
      const directories = ["", daemon.mountpoint];
      const starting = containers.map((container, i) =>
        Storm.start(loads, container, directories[i] ?? "", 4),
      );
      const storms = await Promise.all(starting);
      await disturb((when) => {
        for (const storm of storms) {
          storm.tell(when);
        }
      });
      return await Promise.all(storms.map((storm) => storm.end()));
    } finally {
      await loads.close();
    }
  }

  function expectWhole(results: readonly StormResult[]): void {
    for (const result of results) {
      expect(result.failures).toEqual({});
      expect(result.inFlight).toEqual({});
      expect(result.hung).toBe(0);
      expect(result.reads).toBeGreaterThan(100);
    }
  }

  it(`loses no read to ${KILLS} times kill -9`, {
    timeout: 60_000 + KILLS * 5_000,
  }, async () => {
    const begin = await statusOf(daemon);
    // The first restart touches pages that later ones only use again.
    process.kill(begin.workerPid, "SIGKILL");
    await servingAfter(daemon, begin.generation);
    // A worker that stands by has descriptors of the keeper, too.
    await standingBy(daemon);
    const before = footprint(daemon.pid);
    const results = await underLoad(async (tell) => {
      for (let done = 0, killed = 0, last = 0; done < KILLS; ) {
        if (Math.random() >= KILLS_AT_START) {
          await servingAfter(daemon, last);
        }
        await pause(Math.random() * KILL_WITHIN_MS);
        const { workerPid, generation } = await statusOf(daemon);
        if (workerPid > 0 && workerPid !== killed) {
          tell("before");
          process.kill(workerPid, "SIGKILL");
          tell("after");
          killed = workerPid;
          last = generation;
          done += 1;
        }
      }
      await servingAfter(daemon, (await statusOf(daemon)).generation - 1);
    });
    await standingBy(daemon);
    const after = footprint(daemon.pid);
    const end = await statusOf(daemon);
    report("kills", { results, before, after, resent: end.resent, restarts: end.restarts });
    expectWhole(results);
    expect(end.restarts - begin.restarts).toBe(KILLS + 1);
    // What it has of workers that end goes a moment after them.
    await until("no descriptor is left of them", () => {
      return footprint(daemon.pid).descriptors <= before.descriptors;
    });
    expect(after.rssKiB).toBeLessThanOrEqual(before.rssKiB + 64);
  });

  itLong(
    `loses no read to ${KILLS} deaths and ${STOPS} stops of worker and standby`,
    {
      timeout: 60_000 + KILLS * 5_000 + STOPS * 20_000,
    },
    async () => {
      const done = { SIGKILL: 0, SIGSTOP: 0 };
      const results = await underLoad(async () => {
        while (done.SIGKILL < KILLS || done.SIGSTOP < STOPS) {
          const asked = performance.now();
          const { workerPid, keeperPid } = await servingAfter(daemon, 0);
          if (performance.now() - asked > STOPPED_MS) {
            await pause(BEGIN_MS);
          }
          const others = workersOf(keeperPid).filter((pid) => pid !== workerPid);
          const victims = Math.random() < 0.5 ? [workerPid, ...others] : [...others, workerPid];
          for (const pid of victims) {
            await pause(Math.random() * KILL_WITHIN_MS);
            const signal = Math.random() < STOPS / (KILLS + STOPS) ? "SIGSTOP" : "SIGKILL";
            try {
              process.kill(pid, signal);
              done[signal] += 1;
            } catch {
              // It has ended by itself.
            }
          }
          await pause(Math.random() * KILL_WITHIN_MS);
        }
        await servingAfter(daemon, (await statusOf(daemon)).generation - 1);
      });
      report("stops", { ...done, results });
      expectWhole(results);
    },
  );

  it(`loses no read to ${RELOADS} reloads`, {
    timeout: 60_000 + RELOADS * 10_000,
  }, async () => {
    const quiet = await underLoad(() => pause(QUIET_MS));
    const begin = await statusOf(daemon);
    const results = await underLoad(async (tell) => {
      for (let i = 0; i < RELOADS; i += 1) {
        const { generation } = await statusOf(daemon);
        tell("before");
        process.kill(daemon.pid, "SIGHUP");
        await servingAfter(daemon, generation);
        tell("after");
      }
    });
    const end = await statusOf(daemon);
    report("reloads", { quiet, results });
    expectWhole(quiet);
    expectWhole(results);
    expect(end.generation - begin.generation).toBe(RELOADS);
    expect(end.restarts).toBe(begin.restarts);
  });

  it("loses no read to reloads that follow one another for longer than readers are to wait", async () => {
    // Readers that leave the CPUs to the next worker: it is told to go before it has proven itself.
    const impatient = await Daemon.start(scope, "--patience-ms", `${PATIENCE_MS}`);
    const told = impatient.logs.length;
    let isOver = false;
    const readers = [1, 2, 3, 4].map(async () => {
      while (!isOver) {
        await readFile(impatient.path("proc/meminfo"), "utf8");
        await pause(2);
      }
    });
    const reload = async (): Promise<void> => {
      const begin = performance.now();
      while (performance.now() - begin < 2 * PATIENCE_MS) {
        const { generation } = await statusOf(impatient);
        process.kill(impatient.pid, "SIGHUP");
        await servingAfter(impatient, generation);
      }
    };
    const reloading = reload().finally(() => {
      isOver = true;
    });
    await Promise.all([...readers, reloading]);
    expect(impatient.logs.slice(told)).not.toContain("no worker serves");
  });
});
