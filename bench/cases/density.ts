import type { BenchCase, Mark } from "../case.js";
import { samples } from "../measure.js";
import { startCrowd } from "../support/crowd.js";
import { daemonCpuNs, footprint } from "../support/daemon.js";
import { type FileName, pathOf } from "../support/files.js";
import { failedReads } from "../support/load.js";

const READ: readonly FileName[] = ["meminfo", "stat", "cpuinfo", "uptime"];

const RATIOS = { exact: 0.25, tick: 0.18 };

const marks = (["exact", "tick"] as const).flatMap((peer) =>
  ["500 containers", "1000 containers"].map(
    (crowd): Mark => ({
      title: `${peer}: CPU time for ${crowd} against LXCFS's`,
      limit: RATIOS[peer],
      measure: (medians) => medians.ratio(peer, "lxcfs", crowd, "cpuShare"),
    }),
  ),
);

export const density: BenchCase = {
  name: "density",
  title: "Many containers",
  about: `Every container reads ${READ.join(", ")} once a second. CPU in percent of one core.`,
  peers: ["floor", "sources", "tick-sources", "lxcfs", "exact", "tick", "fuse-native"],
  trials: { quick: 1, full: 3 },
  variants: (scale) => (scale === "quick" ? ["100"] : ["100", "500", "1000"]),
  measure: async (trial, variant) => {
    const { pid, containers } = await startCrowd(trial, Number(variant), READ);
    const load = trial.startLoad({
      paths: READ.map(pathOf),
      containers,
      rate: 1,
      seconds: trial.scale === "quick" ? 3 : 10,
      warmup: 1,
    });
    await load.started;
    const before = { cpuNs: await daemonCpuNs(trial.stage, pid), at: process.hrtime.bigint() };
    const result = await load.result;
    const cpuNs = (await daemonCpuNs(trial.stage, pid)) - before.cpuNs;
    const elapsedNs = Number(process.hrtime.bigint() - before.at);
    const { rssKiB, pssKiB, descriptors } = footprint(pid);
    return samples(`${variant} containers`, {
      cpuShare: (100 * cpuNs) / elapsedNs,
      daemonCpu: cpuNs / 1e3 / result.service.count,
      rss: rssKiB / 1024,
      pss: pssKiB / 1024,
      descriptors,
      p50: result.service.p50,
      p99: result.service.p99,
      failed: failedReads(result),
    });
  },
  metrics: ["cpuShare", "daemonCpu", "rss", "pss", "p50", "p99", "descriptors", "failed"],
  axis: "containers",
  marks,
};
