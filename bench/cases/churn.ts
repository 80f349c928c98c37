import { type BenchCase, type Mark, SkipError, type Trial } from "../case.js";
import { samples } from "../measure.js";
import { footprint } from "../support/daemon.js";
import { type FileName, pathOf } from "../support/files.js";
import { failedReads } from "../support/load.js";

const READ: readonly FileName[] = ["meminfo", "stat", "cpuinfo", "uptime"];
const COUNT = { quick: 100, full: 10_000 } as const;
/** Containers before the measurement, so that pools and caches have reached their size. */
const WARMUP = 20;
const SETTLE_MS = 1500;

const seriesOf = (count: number): string => `${count} containers`;

interface Passed {
  p50: number[];
  failed: number;
}

/** Makes, reads and removes containers, one after the other. */
async function pass(trial: Trial, count: number): Promise<Passed> {
  const passed: Passed = { p50: [], failed: 0 };
  for (let i = 0; i < count; i += 1) {
    const container = await trial.container(READ);
    const options = { paths: READ.map(pathOf), containers: [container], warmup: 0, count: 1 };
    const result = await trial.load(options);
    await trial.removeContainer(container);
    passed.p50.push(result.service.p50);
    passed.failed += failedReads(result);
  }
  return passed;
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));

const marks = (["exact", "tick"] as const).map(
  (peer): Mark => ({
    title: `${peer}: descriptors left over after ${COUNT.full.toLocaleString("en-US")} containers`,
    limit: 0,
    metric: "descriptorGrowth",
    measure: (medians) => medians.of(peer, seriesOf(COUNT.full), "descriptorGrowth"),
  }),
);

export const churn: BenchCase = {
  name: "churn",
  title: "Containers that come and go",
  about: `One after the other, containers are made, read ${READ.join(", ")} for the first time, and are removed. Most of the time is the kernel's, for namespaces and cgroups.`,
  peers: ["lxcfs", "exact", "tick", "fuse-native"],
  trials: { quick: 1, full: 1 },
  measure: async (trial) => {
    const { pid } = await trial.startPeer();
    if (pid === undefined) {
      throw new SkipError("there is no daemon");
    }
    const count = COUNT[trial.scale];
    await pass(trial, WARMUP);
    await settle();
    const before = footprint(pid);
    const began = process.hrtime.bigint();
    const { p50, failed } = await pass(trial, count);
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    await settle();
    const after = footprint(pid);
    return samples(seriesOf(count), {
      containersPerSecond: count / seconds,
      p50: p50.sort((a, b) => a - b)[Math.floor(p50.length / 2)] ?? 0,
      perContainer: (after.rssKiB - before.rssKiB) / count,
      descriptorGrowth: after.descriptors - before.descriptors,
      failed,
    });
  },
  metrics: ["p50", "containersPerSecond", "perContainer", "descriptorGrowth", "failed"],
  marks,
};
