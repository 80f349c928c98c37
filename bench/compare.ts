import type { BenchCase } from "./case.js";
import { METRICS, type Metric } from "./measure.js";
import { CaseFigures, type Figure, type Results } from "./results.js";
import type { PeerName } from "./support/peers/peer.js";

/** A figure that differs between two runs by more than the spread of either. */
export interface Change {
  readonly case: string;
  readonly peer: PeerName;
  readonly series: string;
  readonly metric: Metric;
  readonly before: Figure;
  readonly after: Figure;
  /** after / before */
  readonly ratio: number;
  readonly worse: boolean;
}

/** Smaller changes are not reported, however small the spread. */
const THRESHOLD = 0.05;

function isBeyondSpread(before: Figure, after: Figure): boolean {
  const apart = after.low > before.high || after.high < before.low;
  const size = Math.abs(after.median - before.median);
  return apart && size > THRESHOLD * Math.abs(before.median);
}

/** The changes of figures that both runs have, the worst first. */
export function compare(before: Results, after: Results, cases: readonly BenchCase[]): Change[] {
  const changes: Change[] = [];
  for (const scenario of cases) {
    const [old, now] = [before, after].map((run) => new CaseFigures(run, scenario.name));
    if (old === undefined || now === undefined) {
      continue;
    }
    for (const peer of now.peers()) {
      for (const series of now.series()) {
        for (const metric of scenario.metrics) {
          const [was, is] = [old, now].map((figures) => figures.figure(peer, series, metric));
          if (was === undefined || is === undefined || !isBeyondSpread(was, is)) {
            continue;
          }
          const ratio = is.median / was.median;
          const worse = METRICS[metric].better === "lower" ? ratio > 1 : ratio < 1;
          changes.push({
            case: scenario.name,
            peer,
            series,
            metric,
            before: was,
            after: is,
            ratio,
            worse,
          });
        }
      }
    }
  }
  const badness = ({ ratio, worse }: Change): number => {
    const size = Math.abs(Math.log(ratio));
    return worse ? size : -size;
  };
  return changes.sort((a, b) => badness(b) - badness(a));
}

/** Facts that make two runs hard to compare. */
export function machineDifferences(before: Results, after: Results): string[] {
  const [was, is] = [before, after].map(({ machine, scale, favoured }) =>
    Object.entries({ ...machine, scale, favoured }),
  );
  const now = new Map<string, unknown>(is);
  return (was ?? [])
    .filter(([name, value]) => now.get(name) !== value)
    .map(([name, value]) => `${name}: ${value} then, ${now.get(name)} now`);
}
