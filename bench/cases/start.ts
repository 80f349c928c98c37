import { type BenchCase, type Mark, SkipError } from "../case.js";
import { samples } from "../measure.js";
import { footprint } from "../support/daemon.js";

const marks = (["exact", "tick"] as const).map(
  (peer): Mark => ({
    title: `${peer}: first read after the launch of the worker`,
    limit: 300,
    metric: "workerStart",
    measure: (medians) => medians.of(peer, "start", "workerStart"),
  }),
);

export const start: BenchCase = {
  name: "start",
  title: "Start",
  about:
    "From the launch of the daemon's process until its meminfo can be read on the host; tick and fuse-native serve containers only: until their tree is there.",
  peers: ["lxcfs", "exact", "tick", "fuse-native"],
  trials: { quick: 3, full: 10 },
  measure: async (trial) => {
    const { pid, start: times } = await trial.startPeer();
    if (pid === undefined || times === undefined) {
      throw new SkipError("there is no daemon");
    }
    return samples("start", {
      start: times.ms,
      workerStart: times.workerMs,
      rss: footprint(pid).rssKiB / 1024,
    });
  },
  metrics: ["start", "workerStart", "rss"],
  marks,
};
