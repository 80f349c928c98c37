import { type BenchCase, type Mark, SkipError, type Trial } from "../case.js";
import { type Sample, samples } from "../measure.js";
import type { Container } from "../support/containers.js";
import { type Footprint, footprint } from "../support/daemon.js";
import { FILE_NAMES, pathOf } from "../support/files.js";

const FEW = 100;
const MANY = { quick: 200, full: 600 } as const;

const seriesOf = (count: number): string => `${count} containers`;

/** Adds containers up to `count`; each of them reads every file. */
async function grow(trial: Trial, containers: Container[], count: number): Promise<void> {
  const added: Container[] = [];
  while (containers.length + added.length < count) {
    added.push(await trial.container(FILE_NAMES));
  }
  containers.push(...added);
  await trial.load({ paths: FILE_NAMES.map(pathOf), containers: added, count: 3, warmup: 1 });
}

function show(count: number, { rssKiB, pssKiB, descriptors }: Footprint): Sample[] {
  return samples(seriesOf(count), { rss: rssKiB / 1024, pss: pssKiB / 1024, descriptors });
}

const marks = (["exact", "tick"] as const).flatMap((peer): Mark[] => [
  {
    title: `${peer}: RSS of the daemon with ${FEW} containers`,
    limit: 90,
    metric: "rss",
    measure: (medians) => medians.of(peer, seriesOf(FEW), "rss"),
  },
  {
    title: `${peer}: memory of the daemon per container`,
    limit: 64,
    metric: "perContainer",
    measure: (medians) => medians.of(peer, "growth", "perContainer"),
  },
]);

export const memory: BenchCase = {
  name: "memory",
  title: "Memory of the daemon",
  about: `RSS after a number of containers have read all files; memory per container is the growth from ${FEW} of them on.`,
  peers: ["lxcfs", "exact", "tick", "fuse-native"],
  trials: { quick: 1, full: 3 },
  measure: async (trial) => {
    const { pid } = await trial.startPeer();
    if (pid === undefined) {
      throw new SkipError("there is no daemon");
    }
    const many = MANY[trial.scale];
    const containers: Container[] = [];
    await grow(trial, containers, 1);
    const one = footprint(pid);
    await grow(trial, containers, FEW);
    const few = footprint(pid);
    await grow(trial, containers, many);
    const all = footprint(pid);
    const perContainer = (all.rssKiB - few.rssKiB) / (many - FEW);
    return [
      ...show(1, one),
      ...show(FEW, few),
      ...show(many, all),
      ...samples("growth", { perContainer }),
    ];
  },
  metrics: ["rss", "pss", "descriptors", "perContainer"],
  marks,
};
