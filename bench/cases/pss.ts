import { setTimeout as sleep } from "node:timers/promises";
import { type BenchCase, type Mark, SkipError } from "../case.js";
import { samples } from "../measure.js";
import { footprint } from "../support/daemon.js";
import { FILE_NAMES, pathOf } from "../support/files.js";

/** The first containers are not counted, because what is made only once is made with them. */
const FEW = 20;
/** A worker frees what only its start needed after a second, and V8 the rest up to 20 s later. */
const REST_MS = 25_000;
const MANY = { quick: 120, full: 520 } as const;

const marks = (["exact", "tick"] as const).flatMap((peer): Mark[] => [
  {
    title: `${peer}: PSS at rest, metrics on`,
    limit: 60,
    metric: "pss",
    measure: (medians) => medians.of(peer, "at rest", "pss"),
  },
  {
    title: `${peer}: PSS of a container more`,
    limit: 40,
    metric: "perContainer",
    measure: (medians) => medians.of(peer, "growth", "perContainer"),
  },
]);

export const pss: BenchCase = {
  name: "pss",
  title: "Memory of all that runs",
  about: `Keeper, worker, standby and writers together, pages that they share counted once: before anybody has read anything, with metrics on; then what a container adds that has read every file once, from ${FEW} on.`,
  peers: ["lxcfs", "exact", "tick"],
  trials: { quick: 1, full: 3 },
  measure: async (trial) => {
    const { pid } = await trial.startPeer({ metrics: true });
    if (pid === undefined) {
      throw new SkipError("there is no daemon");
    }
    await sleep(REST_MS);
    const rest = footprint(pid).pssKiB;
    const grown = async (count: number): Promise<number> => {
      for (let made = 0; made < count; made += 1) {
        const containers = [await trial.container(FILE_NAMES)];
        await trial.load({ paths: FILE_NAMES.map(pathOf), containers, count: 1, warmup: 0 });
      }
      return footprint(pid).pssKiB;
    };
    const few = await grown(FEW);
    const many = MANY[trial.scale];
    const perContainer = ((await grown(many - FEW)) - few) / (many - FEW);
    return [...samples("at rest", { pss: rest / 1024 }), ...samples("growth", { perContainer })];
  },
  metrics: ["pss", "perContainer"],
  marks,
};
