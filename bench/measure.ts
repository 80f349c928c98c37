/** The metrics and samples that cases, results and reports share. */

import { z } from "zod";

/** How a figure is written and read. */
interface MetricNotes {
  readonly label: string;
  readonly unit: "ns" | "us" | "ms" | "perSecond" | "count" | "percent" | "MiB" | "KiB";
  readonly better: "lower" | "higher";
}

/** All metrics. */
export const METRICS = {
  p50: { label: "p50", unit: "ns", better: "lower" },
  p90: { label: "p90", unit: "ns", better: "lower" },
  p99: { label: "p99", unit: "ns", better: "lower" },
  p999: { label: "p99.9", unit: "ns", better: "lower" },
  max: { label: "max", unit: "ns", better: "lower" },
  mean: { label: "mean", unit: "ns", better: "lower" },
  rate: { label: "reads/s", unit: "perSecond", better: "higher" },
  daemonCpu: { label: "daemon CPU/read", unit: "us", better: "lower" },
  readerCpu: { label: "reader CPU/read", unit: "us", better: "lower" },
  syscalls: { label: "daemon syscalls/read", unit: "count", better: "lower" },
  cpuShare: { label: "daemon CPU", unit: "percent", better: "lower" },
  records: { label: "host's records/s", unit: "perSecond", better: "higher" },
  untold: { label: "not told", unit: "percent", better: "lower" },
  unproven: { label: "faults not proven", unit: "count", better: "lower" },
  lost: { label: "read too late", unit: "count", better: "lower" },
  overwritten: { label: "told, then overwritten", unit: "percent", better: "lower" },
  wakeups: { label: "wake-ups/s", unit: "count", better: "lower" },
  rss: { label: "RSS", unit: "MiB", better: "lower" },
  pss: { label: "PSS", unit: "MiB", better: "lower" },
  perContainer: { label: "memory/container", unit: "KiB", better: "lower" },
  descriptors: { label: "descriptors", unit: "count", better: "lower" },
  descriptorGrowth: { label: "descriptors left", unit: "count", better: "lower" },
  containersPerSecond: { label: "containers/s", unit: "perSecond", better: "higher" },
  failed: { label: "failed reads", unit: "count", better: "lower" },
  start: { label: "launch to first read", unit: "ms", better: "lower" },
  workerStart: { label: "worker's launch to first read", unit: "ms", better: "lower" },
} as const satisfies Readonly<Record<string, MetricNotes>>;

export type Metric = keyof typeof METRICS;

const metricNames = Object.keys(METRICS) as [Metric, ...Metric[]];

/** One figure of one trial. `series` says what was measured: "meminfo", "8 readers", "500 containers". */
export const sampleSchema = z.object({
  series: z.string(),
  metric: z.enum(metricNames),
  value: z.number(),
});
export type Sample = z.infer<typeof sampleSchema>;

/** The samples of one series. */
export function samples(
  series: string,
  figures: Partial<Readonly<Record<Metric, number>>>,
): Sample[] {
  return metricNames.flatMap((metric) => {
    const value = figures[metric];
    return value === undefined ? [] : [{ series, metric, value }];
  });
}

const number = (value: number, digits: number): string =>
  value.toLocaleString("en-US", { maximumFractionDigits: digits });

/** About three significant digits: 8.42, 42.1, 421. */
const short = (value: number): string =>
  number(value, Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0);

function formatTime(ns: number): string {
  const steps = [
    [1e9, "s"],
    [1e6, "ms"],
    [1e3, "µs"],
  ] as const;
  const step = steps.find(([size]) => Math.abs(ns) >= size);
  return step === undefined ? `${short(ns)} ns` : `${short(ns / step[0])} ${step[1]}`;
}

/** A figure with its unit, for people. */
export function format(metric: Metric, value: number): string {
  switch (METRICS[metric].unit) {
    case "ns":
      return formatTime(value);
    case "us":
      return formatTime(value * 1e3);
    case "ms":
      return formatTime(value * 1e6);
    case "percent":
      return `${short(value)} %`;
    case "MiB":
      return `${short(value)} MiB`;
    case "KiB":
      return `${short(value)} KiB`;
    case "perSecond":
    case "count":
      return short(value);
  }
}
