// What tools say of a container's size and load, beside what its cgroup says: the rows of the truth
// table. Reads no file of ours, but runs the tools and asks the kernel.

import type { Outcome } from "../command.js";
import { judged, type Row, type Size } from "./claims.js";
import { Watch } from "./moments.js";
import { PROBES } from "./probes.js";
import { putPrograms } from "./programs.js";

/** A container that programs can be run in. */
interface Place {
  readonly init: number;
  run(argv: readonly string[]): Promise<Outcome>;
}

/** Runs all tools that the container has, one after the other, and judges what they print. */
export async function truthTable(place: Place, size: Size): Promise<Row[]> {
  putPrograms(place.init);
  const rows: Row[] = [];
  const watch = new Watch(place.init);
  try {
    for (const { tool, argv, claims } of PROBES) {
      const [outcome, truth] = await watch.during(() => place.run(argv));
      const text = `${outcome.stdout}${outcome.stderr}`;
      // 126, 127, 255: not there, unless it is a file of ours that it misses. timeout(1) ends htop with 124.
      const isMissing =
        /not found|No such file|Failed to exec/i.test(text) && !/\/(proc|sys)\//.test(text);
      if (isMissing && (outcome.status !== 0 || tool === "htop")) {
        rows.push({ tool, figure: "", shown: "", truth: "not installed", verdict: "not checked" });
      } else {
        rows.push(...claims(text, { truth, size }).map((claim) => judged(tool, claim)));
      }
    }
  } finally {
    watch.stop();
  }
  return rows;
}
