import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import type { MetricSource } from "./computed-metric.js";

/** How often the lag is measured while there are scrapes. Each measurement wakes the process up. */
const EVERY_MS = 1_000;
/** Without a scrape for so long, measuring stops. */
const UNTIL_MS = 5 * 60_000;

type Statistic = readonly [name: string, help: string, of: (from: IntervalHistogram) => number];

const STATISTICS: readonly Statistic[] = [
  ["min", "The minimum recorded event loop delay.", (from) => from.min],
  ["max", "The maximum recorded event loop delay.", (from) => from.max],
  ["mean", "The mean of the recorded event loop delays.", (from) => from.mean],
  ["stddev", "The standard deviation of the recorded event loop delays.", (from) => from.stddev],
  ["p50", "The 50th percentile of the recorded event loop delays.", (from) => from.percentile(50)],
  ["p90", "The 90th percentile of the recorded event loop delays.", (from) => from.percentile(90)],
  ["p99", "The 99th percentile of the recorded event loop delays.", (from) => from.percentile(99)],
];

/**
 * The lag of Node's event loop since the last scrape, in seconds, under the names that prom-client has for it. It is
 * measured every `everyMs` from the first scrape on, while there are scrapes; without a measurement all are 0. Node
 * counts the time from one measurement to the next, so the pause between them is subtracted.
 */
export function eventLoopLag(everyMs = EVERY_MS): MetricSource[] {
  const histogram = monitorEventLoopDelay({ resolution: everyMs });
  const ends = setTimeout(() => histogram.disable(), UNTIL_MS).unref();
  const lag = (name: string, ns: number) =>
    name === "stddev" ? ns / 1e9 : Math.max(0, ns / 1e9 - everyMs / 1_000);
  return STATISTICS.map(([name, help, of], index) => ({
    name: `nodejs_eventloop_lag_${name}_seconds`,
    help,
    kind: "gauge",
    values: (emit) => {
      emit(histogram.count === 0 ? 0 : lag(name, of(histogram)), {});
      if (index === STATISTICS.length - 1) {
        histogram.reset();
        histogram.enable();
        ends.refresh();
      }
    },
  }));
}
