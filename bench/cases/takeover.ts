import { setTimeout as sleep } from "node:timers/promises";
import { readStatus, type Status } from "../../src/keeper-status.js";
import { type BenchCase, type Mark, SkipError } from "../case.js";
import { type Sample, samples } from "../measure.js";
import { type FileName, pathOf } from "../support/files.js";
import { failedReads } from "../support/load.js";

const READ: readonly FileName[] = ["meminfo", "stat"];
const THREADS = 4;
/** Rounds over the files per second and thread. */
const RATE = 250;
const EVENTS = { quick: 10, full: 100 } as const;

const QUIET = "quiet";
const DISTURBANCES = {
  reloads: { signal: "SIGHUP", of: "keeper" },
  kills: { signal: "SIGKILL", of: "worker" },
} as const;
const DISTURBED = Object.keys(DISTURBANCES) as readonly (keyof typeof DISTURBANCES)[];

const LOOK_MS = 20;
const DEADLINE_MS = 30_000;

/** Waits until a worker later than `generation` serves, and another one stands by. */
async function settled(mountpoint: string, generation: number): Promise<Status> {
  const until = Date.now() + DEADLINE_MS;
  while (Date.now() < until) {
    const status = await readStatus(mountpoint);
    const serves = status.state === "serving" && status.generation > generation;
    if (serves && (status.standby === "ready" || status.standby === "off")) {
      return status;
    }
    await sleep(LOOK_MS);
  }
  throw new Error(`no worker and standby after generation ${generation}`);
}

/** What the driver does while it waits for workers, and nothing else: it costs readers CPU time too. */
async function look(mountpoint: string, seconds: number): Promise<void> {
  const until = Date.now() + seconds * 1000;
  while (Date.now() < until) {
    await readStatus(mountpoint);
    await sleep(LOOK_MS);
  }
}

const marks = DISTURBED.map(
  (phase): Mark => ({
    title: `exact: longest read during ${phase} against that of a quiet run`,
    limit: 2,
    measure: (medians) => {
      const longest = medians.of("exact", phase, "max");
      const quiet = medians.of("exact", QUIET, "max");
      return longest === undefined || quiet === undefined ? undefined : longest / quiet;
    },
  }),
);

export const takeover: BenchCase = {
  name: "takeover",
  title: "Reloads and deaths under load",
  about:
    `${THREADS} threads of a container read ${READ.join(" and ")} ${RATE} times a second each, while the worker is ` +
    "reloaded and killed, each time as soon as another one stands by; then as long while nothing happens.",
  peers: ["exact", "tick"],
  trials: { quick: 1, full: 3 },
  measure: async (trial) => {
    const { mountpoint } = await trial.startPeer();
    if (mountpoint === undefined) {
      throw new SkipError("there is no keeper");
    }
    const containers = [await trial.container(READ)];
    const measure = async (
      series: string,
      disturb: () => Promise<void>,
    ): Promise<{ readonly all: Sample[]; readonly seconds: number }> => {
      const paths = READ.map(pathOf);
      const load = trial.startLoad({
        paths,
        containers,
        threads: THREADS,
        rate: RATE,
        seconds: 3600, // it is stopped when everything has happened
      });
      await load.started;
      await disturb();
      load.stop();
      const result = await load.result;
      const { p50, p99, p999, max } = result.service;
      const figures = { p50, p99, p999, max, failed: failedReads(result) };
      return { all: samples(series, figures), seconds: result.seconds };
    };
    const all: Sample[] = [];
    let longest = 0;
    for (const phase of DISTURBED) {
      const { signal, of } = DISTURBANCES[phase];
      let now = await settled(mountpoint, 0);
      const measured = await measure(phase, async () => {
        for (let i = 0; i < EVENTS[trial.scale]; i += 1) {
          process.kill(of === "keeper" ? now.keeperPid : now.workerPid, signal);
          now = await settled(mountpoint, now.generation);
        }
      });
      all.push(...measured.all);
      longest = Math.max(longest, measured.seconds);
    }
    all.push(...(await measure(QUIET, () => look(mountpoint, longest))).all);
    return all;
  },
  metrics: ["max", "p999", "p99", "p50", "failed"],
  marks,
};
