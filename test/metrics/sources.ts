// What an exporter is fed with in tests, without a kernel.

import type { Status } from "../../src/keeper-status.js";
import { CONTAINER_METRICS } from "../../src/metrics/container-metrics.js";
import type { ScrapeSources } from "../../src/metrics/scrape.js";
import type { Containers, Surveyed } from "../../src/metrics/survey.js";
import type { ContainerCounters } from "../../src/native/session.js";

const FIGURES = CONTAINER_METRICS.flatMap(({ figures }) => figures.map(([figure]) => figure));

/** A container with a value for every figure. */
export function surveyed(id: string, name = `name-${id}`): Surveyed {
  const figures = new Map(FIGURES.map((figure, index) => [figure, index + 1] as const));
  const place = { runtime: "lxc", cgroup: `/lxc/${name}`, init: 7, lastVictim: "" };
  return { id, tenant: id, name, ...place, figures };
}

export function containersOf(containers: readonly Surveyed[]): Containers {
  return { containers, tookSeconds: 0.01, failed: 0, leftOut: 0, readsLog: true, endedKills: 0 };
}

const STATUS: Status = {
  state: "serving",
  keeperPid: 1,
  workerPid: 2,
  generation: 3,
  uptimeMs: 4000,
  workerUptimeMs: 5,
  restarts: 2,
  failuresInARow: 0,
  reasons: ["killed by signal 9"],
  resent: 0,
  requests: 7,
  protocol: "7.45",
  resend: true,
  statesIgnored: 0,
  standby: "ready",
  descriptors: 0,
  stored: 4,
  descriptorsLost: 0,
  covered: false,
  undying: 0,
  watchdogMs: 5000,
  patienceMs: 10_000,
};

/** Sources of a serving engine; `take` gives the surveys. */
export function sourcesOf(
  take: () => Promise<Containers>,
  counters: readonly ContainerCounters[] = [],
): ScrapeSources {
  return {
    version: "0.1.0",
    surveys: { take },
    exclusionReason:
      () =>
      ({ name }) =>
        name.startsWith("excluded") ? "attach-exclude matches it" : undefined,
    keeper: () => Promise.resolve(STATUS),
    engine: {
      name: "native",
      counters: () => ({
        requests: { OPEN: 3, READ: 5 },
        renders: 3,
        shared: 1,
        errors: 0,
        sourceErrors: 0,
        refusedOpens: 0,
        deferred: 0,
        paced: 0,
        resent: 0,
        taskPasses: 4,
        taskPassUs: 5000,
        triggers: 0,
        waiting: 0,
        openFiles: 2,
        containers: 1,
        threads: 2,
      }),
      measures: () => ({
        requests: [
          { file: "proc/meminfo", result: "ok", count: 8 },
          { file: "", result: "gone", count: 1 },
        ],
        times: [
          { operation: "open", buckets: [1, 2, 4, ...Array(29).fill(0)], seconds: 0.00002 },
          { operation: "read", buckets: [...Array(31).fill(0), 5], seconds: 99_999 },
        ],
      }),
      containers: async () => [...counters],
      features: () => ({
        protocolMajor: 7,
        protocolMinor: 45,
        resend: true,
        maxReadahead: 0,
        tick: false,
        taskCounter: "bpf",
        taskCounterFallback: "",
        stateIgnored: "",
      }),
    },
  };
}
