import type { BenchCase, Mark } from "../case.js";
import { type Sample, samples } from "../measure.js";
import { type FileName, pathOf } from "../support/files.js";
import { failedReads } from "../support/load.js";

const MEASURED = ["meminfo", "stat", "cpuinfo"] as const satisfies FileName[];

/** Adding a file to an epoll set should cost a system call but no request. */
const addMark = (file: (typeof MEASURED)[number]): Mark => ({
  title: `exact: p50 of ${file} with epoll against without`,
  limit: 1.1,
  measure: (medians) => {
    const [polled, plain] = [`${file}, epoll`, file].map((one) => medians.of("exact", one, "p50"));
    return polled === undefined || plain === undefined ? undefined : polled / plain;
  },
});

const lxcfsMark = (file: (typeof MEASURED)[number]): Mark => ({
  title: `exact: p50 of ${file} with epoll against LXCFS's`,
  limit: 0.5,
  measure: (medians) => medians.ratio("exact", "lxcfs", `${file}, epoll`, "p50"),
});

export const goReader: BenchCase = {
  name: "go-reader",
  title: "A reader written in Go",
  about:
    "What Go's os.Open does (cAdvisor, node_exporter, kubelet): open, epoll_ctl, read to the end, close; and the same without epoll_ctl. FUSE sends its daemon a request for each file that is added to an epoll set, until the daemon declines them.",
  peers: ["host", "lxcfs", "exact", "tick"],
  trials: { quick: 3, full: 7 },
  measure: async (trial) => {
    await trial.startPeer();
    const containers = [await trial.container(MEASURED)];
    const seconds = trial.scale === "quick" ? 0.2 : 1;
    const all: Sample[] = [];
    for (const file of MEASURED) {
      for (const poller of [false, true]) {
        const result = await trial.load({ paths: [pathOf(file)], containers, seconds, poller });
        const { p50, p90, p99, mean } = result.service;
        const series = poller ? `${file}, epoll` : file;
        all.push(...samples(series, { p50, p90, p99, mean, failed: failedReads(result) }));
      }
    }
    return all;
  },
  metrics: ["p50", "p90", "p99", "failed"],
  marks: [...MEASURED.map(addMark), ...MEASURED.map(lxcfsMark)],
};
