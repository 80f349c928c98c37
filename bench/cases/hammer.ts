import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchCase, Mark, Medians, Trial } from "../case.js";
import { type Sample, samples } from "../measure.js";
import type { Container } from "../support/containers.js";
import { pathOf } from "../support/files.js";
import { failedReads } from "../support/load.js";
import type { PeerName } from "../support/peers/peer.js";

const QUIET = "quiet";
const HAMMERED = "hammered";
const CONTROL = "control";
const HAMMER_THREADS = 8;
const VICTIM_RATE = 500;

/** Paced reads of meminfo in one container, while `hammer` is hammered in another if it is given. */
async function victim(
  trial: Trial,
  victims: Container,
  hammer: { readonly container: Container; readonly path: string } | undefined,
  series: string,
): Promise<Sample[]> {
  const seconds = trial.scale === "quick" ? 1 : 6;
  const hammering =
    hammer === undefined
      ? undefined
      : trial.startLoad({
          paths: [hammer.path],
          containers: [hammer.container],
          threads: HAMMER_THREADS,
          seconds: 600, // it is stopped when the victim is done
        });
  await hammering?.started;
  const result = await trial.load({
    paths: [pathOf("meminfo")],
    containers: [victims],
    rate: VICTIM_RATE,
    seconds,
  });
  hammering?.stop();
  const hammered = await hammering?.result;
  const { p50, p99, p999, max } = result.service;
  const rate = hammered === undefined ? {} : { rate: hammered.service.count / hammered.seconds };
  return samples(series, { p50, p99, p999, max, failed: failedReads(result), ...rate });
}

/** How much worse the victim fares than in another phase of the same trials. */
function against(medians: Medians, peer: PeerName, phase: string): number | undefined {
  const hammered = medians.of(peer, HAMMERED, "p99");
  const other = medians.of(peer, phase, "p99");
  return hammered === undefined || other === undefined ? undefined : hammered / other;
}

const marks = (["tick", "exact"] as const).flatMap((peer): Mark[] => [
  {
    title: `${peer}: victim's p99 under the hammer against its quiet p99`,
    limit: peer === "tick" ? 2 : 3,
    measure: (medians) => against(medians, peer, QUIET),
  },
]);

export const hammer: BenchCase = {
  name: "hammer",
  title: "A neighbour that hammers",
  about:
    `${HAMMER_THREADS} threads of one container read meminfo as fast as they can; another container reads it ` +
    `${VICTIM_RATE} times a second. In the control run the hammer reads a tmpfs file: what the threads ` +
    "alone take from the victim by competing for the CPUs. reads/s are the hammer's.",
  peers: ["host", "lxcfs", "exact", "tick", "fuse-native"],
  trials: { quick: 2, full: 5 },
  measure: async (trial) => {
    await trial.startPeer();
    const file = join(trial.directory, "control");
    writeFileSync(file, `${"x".repeat(1500)}\n`);
    const container = await trial.container(["meminfo"]);
    const victims = await trial.container(["meminfo"]);
    return [
      ...(await victim(trial, victims, undefined, QUIET)),
      ...(await victim(trial, victims, { container, path: pathOf("meminfo") }, HAMMERED)),
      ...(await victim(trial, victims, { container, path: file }, CONTROL)),
    ];
  },
  metrics: ["p99", "p50", "p999", "max", "rate", "failed"],
  marks,
};
