import { join } from "node:path";
import { type BenchCase, SkipError } from "../case.js";
import { type Sample, samples } from "../measure.js";
import { FILES, type FileName } from "../support/files.js";
import { INIT, makeTree, renderer } from "../support/recorded.js";

const CPUS = { quick: [2, 32, 512], full: [2, 8, 32, 128, 512] } as const;
const MEASURED = ["stat", "cpuinfo", "online"] as const satisfies FileName[];
/** µs since boot at which the container is looked at. */
const NOW_US = 1_000_000_000n;

/** Times of `count` calls in ns, ascending. */
function timeCalls(count: number, call: () => void): number[] {
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const before = process.hrtime.bigint();
    call();
    times.push(Number(process.hrtime.bigint() - before));
  }
  return times.sort((a, b) => a - b);
}

export const cpus: BenchCase = {
  name: "cpus",
  title: "Machines with many CPUs",
  about: `Rendering ${MEASURED.join(", ")} of a container that may use all CPUs of a machine, from trees on a tmpfs that look like machines with 2 to 512 CPUs. Without a mount, and with every source opened and read anew each time: more than a read ever costs, but it shows how the cost grows.`,
  peers: ["exact"],
  trials: { quick: 1, full: 3 },
  measure: async (trial) => {
    const render = renderer(trial.cli);
    if (render === undefined) {
      throw new SkipError(
        "this vprocfs has no addon for unit tests (node packaging/setup.mjs test)",
      );
    }
    const count = trial.scale === "quick" ? 100 : 500;
    const all: Sample[] = [];
    for (const machine of CPUS[trial.scale]) {
      const tree = join(trial.directory, `${machine}`);
      makeTree(tree, machine);
      for (const file of MEASURED) {
        const times = timeCalls(count, () => render(tree, FILES[file], INIT, NOW_US));
        const at = (quantile: number): number => times[Math.floor(count * quantile)] ?? 0;
        all.push(...samples(`${file}, ${machine} CPUs`, { p50: at(0.5), p99: at(0.99) }));
      }
    }
    return all;
  },
  metrics: ["p50", "p99"],
  axis: "CPUs",
  marks: [],
};
