import type { BenchCase, Mark } from "../case.js";
import { type Sample, samples } from "../measure.js";
import { pathOf } from "../support/files.js";
import { failedReads } from "../support/load.js";
import { countSyscalls, straceUnavailable, totalCalls } from "../support/strace.js";

const DEPTHS = { quick: [1, 12], full: [1, 2, 4, 8, 12] } as const;
const TRACED_READS = 500;

const seriesOf = (depth: number): string => `${depth} deep`;

const marks: Mark[] = [
  {
    title: "exact: system calls of the daemon per open+read+close of meminfo, 12 cgroups deep",
    limit: 15,
    metric: "syscalls",
    measure: (medians) => medians.of("exact", seriesOf(12), "syscalls"),
  },
];

export const depth: BenchCase = {
  name: "depth",
  title: "Deep cgroups",
  about: "One reader of meminfo in a container whose cgroup lies deep in the hierarchy.",
  peers: ["host", "lxcfs", "exact", "tick"],
  trials: { quick: 2, full: 5 },
  measure: async (trial) => {
    const { pid } = await trial.startPeer();
    const seconds = trial.scale === "quick" ? 0.2 : 1;
    const traced = pid !== undefined && straceUnavailable() === undefined;
    const all: Sample[] = [];
    for (const level of DEPTHS[trial.scale]) {
      const container = await trial.container(["meminfo"], { depth: level });
      const options = { paths: [pathOf("meminfo")], containers: [container] };
      const result = await trial.load({ ...options, seconds });
      const { p50, p99 } = result.service;
      const failed = failedReads(result);
      all.push(...samples(seriesOf(level), { p50, p99, failed }));
      if (traced) {
        const counts = await countSyscalls(pid, trial.directory, () =>
          trial.load({ ...options, warmup: 0, count: TRACED_READS }),
        );
        const syscalls = totalCalls(counts) / TRACED_READS;
        all.push(...samples(seriesOf(level), { syscalls }));
      }
    }
    return all;
  },
  metrics: ["p50", "p99", "syscalls", "failed"],
  axis: "cgroups above the container's processes",
  marks,
};
