import type { BenchCase, Mark } from "../case.js";
import { type Sample, samples } from "../measure.js";
import { FILE_NAMES, type FileName, pathOf } from "../support/files.js";
import { failedReads } from "../support/load.js";

/** A mark on the ratio of p50. */
function ratioMark(
  file: FileName,
  peer: "exact" | "tick",
  to: "lxcfs" | "host",
  limit: number,
): Mark {
  const other = to === "lxcfs" ? "LXCFS's" : "the kernel's own";
  return {
    title: `${peer}: p50 of ${file} against ${other}`,
    limit,
    measure: (medians) => medians.ratio(peer, to, file, "p50"),
  };
}

export const latency: BenchCase = {
  name: "latency",
  title: "One reader",
  about:
    "One thread in a limited container opens, reads to the end and closes a file, over and over. With one read it does not look for the end.",
  peers: [
    "host",
    "tmpfs",
    "floor",
    "sources",
    "tick-sources",
    "lxcfs",
    "exact",
    "tick",
    "fuse-native",
  ],
  trials: { quick: 3, full: 7 },
  measure: async (trial) => {
    await trial.startPeer();
    const container = await trial.container(FILE_NAMES);
    const seconds = trial.scale === "quick" ? 0.15 : 1;
    const measure = async (series: string, file: FileName, single: boolean): Promise<Sample[]> => {
      const paths = [pathOf(file)];
      const result = await trial.load({ paths, containers: [container], seconds, single });
      const { p50, p90, p99, p999, mean, max } = result.service;
      const failed = failedReads(result);
      return samples(series, { p50, p90, p99, p999, mean, max, failed });
    };
    const all: Sample[] = [];
    for (const file of FILE_NAMES) {
      all.push(...(await measure(file, file, false)));
    }
    // As procps reads: one read(2) and no look for the end of file.
    all.push(...(await measure("meminfo, one read", "meminfo", true)));
    return all;
  },
  metrics: ["p50", "p90", "p99", "p999", "failed"],
  marks: [
    ratioMark("meminfo", "tick", "host", 0.5),
    ratioMark("stat", "tick", "host", 0.5),
    ratioMark("meminfo", "exact", "lxcfs", 0.25),
    ratioMark("stat", "exact", "lxcfs", 0.3),
    ratioMark("uptime", "exact", "lxcfs", 0.35),
    ratioMark("cpuinfo", "exact", "lxcfs", 0.13),
    ratioMark("online", "exact", "lxcfs", 0.18),
  ],
};
