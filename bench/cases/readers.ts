import type { BenchCase } from "../case.js";
import { type Sample, samples } from "../measure.js";
import { pathOf } from "../support/files.js";
import { failedReads } from "../support/load.js";

const READERS = [1, 2, 8];

export const readers: BenchCase = {
  name: "readers",
  title: "Readers at the same time",
  about: "Threads of one container read meminfo as fast as they can.",
  peers: ["host", "tmpfs", "lxcfs", "exact", "tick", "fuse-native"],
  trials: { quick: 2, full: 5 },
  measure: async (trial) => {
    await trial.startPeer();
    const containers = [await trial.container(["meminfo"])];
    const seconds = trial.scale === "quick" ? 0.25 : 2;
    const all: Sample[] = [];
    for (const threads of READERS) {
      const paths = [pathOf("meminfo")];
      const result = await trial.load({ paths, containers, threads, seconds });
      const { p50, p99, p999, count } = result.service;
      all.push(
        ...samples(`${threads} readers`, {
          p50,
          p99,
          p999,
          rate: count / result.seconds,
          failed: failedReads(result),
        }),
      );
    }
    return all;
  },
  metrics: ["rate", "p50", "p99", "p999", "failed"],
  axis: "readers",
  marks: [],
};
