import { release } from "node:os";
import type { Status } from "../keeper-status.js";
import type { SessionCounters, SessionFeatures, SessionMeasures } from "../native/binding.js";
import type { Kind, MetricSource, Sample } from "./sheet.js";
import type { Containers } from "./survey.js";

/** What is known of vprocfs itself at one moment. */
export interface SelfSheet {
  readonly engine: string;
  readonly version: string;
  readonly counters: SessionCounters;
  readonly measures: SessionMeasures;
  readonly features: SessionFeatures;
  /** What the keeper tells; undefined without one, or when it does not answer. */
  readonly keeper: Status | undefined;
  /** Undefined when it was not ready in time. */
  readonly survey: Containers | undefined;
  readonly lateSurveys: number;
}

type Value = number | undefined;

/** Name, kind, help and value of the metrics with one value. */
const SINGLE: readonly (readonly [string, Kind, string, (sheet: SelfSheet) => Value])[] = [
  ["renders_total", "counter", "Files made for a reader", ({ counters }) => counters.renders],
  [
    "render_cache_hits_total",
    "counter",
    "Readers served with what was made for another one within a tick",
    ({ counters }) => counters.shared,
  ],
  [
    "failed_requests_total",
    "counter",
    "Requests answered with an error of any kind, missing names included",
    ({ counters }) => counters.errors,
  ],
  [
    "source_errors_total",
    "counter",
    "Requests that failed since a source of figures could not be read",
    ({ counters }) => counters.sourceErrors,
  ],
  [
    "refused_opens_total",
    "counter",
    "Opens refused since a container held too many files or bytes",
    ({ counters }) => counters.refusedOpens,
  ],
  [
    "deferred_requests_total",
    "counter",
    "Requests that waited for another one of the same container",
    ({ counters }) => counters.deferred,
  ],
  [
    "paced_requests_total",
    "counter",
    "Requests that waited since their container was over its renders per second",
    ({ counters }) => counters.paced,
  ],
  [
    "resent_requests_total",
    "counter",
    "Requests that the kernel handed again after a worker died",
    ({ counters }) => counters.resent,
  ],
  [
    "queued_requests",
    "gauge",
    "Requests that wait for their turn",
    ({ counters }) => counters.waiting,
  ],
  ["open_files", "gauge", "Files that are open", ({ counters }) => counters.openFiles],
  [
    "known_containers",
    "gauge",
    "Containers that asked for something and live",
    ({ counters }) => counters.containers,
  ],
  ["threads", "gauge", "Threads that answer requests", ({ counters }) => counters.threads],
  ["containers", "gauge", "Containers of this host", ({ survey }) => survey?.containers.length],
  [
    "survey_duration_seconds",
    "gauge",
    "Time that reading the figures of all containers took",
    ({ survey }) => survey?.tookSeconds,
  ],
  [
    "survey_failed_containers",
    "gauge",
    "Containers of which something could not be read",
    ({ survey }) => survey?.failed,
  ],
  [
    "late_surveys_total",
    "counter",
    "Scrapes without figures of containers, which were not there in time",
    ({ lateSurveys }) => lateSurveys,
  ],
  [
    "worker_generation",
    "gauge",
    "Which worker since the keeper started this one is",
    ({ keeper }) => keeper?.generation,
  ],
  [
    "worker_restarts_total",
    "counter",
    "Workers that ended without being told to",
    ({ keeper }) => keeper?.restarts,
  ],
  [
    "worker_failures_in_a_row",
    "gauge",
    "Workers that failed one after the other",
    ({ keeper }) => keeper?.failuresInARow,
  ],
  [
    "damaged_states_total",
    "counter",
    "Times that what an earlier worker left could not be taken over",
    ({ keeper }) => keeper?.statesIgnored,
  ],
  [
    "standby_ready",
    "gauge",
    "1 when a second worker is ready to take over",
    ({ keeper }) => keeper && (keeper.standby === "ready" ? 1 : 0),
  ],
  [
    "keeper_uptime_seconds",
    "gauge",
    "Time since the keeper mounted",
    ({ keeper }) => keeper && keeper.uptimeMs / 1000,
  ],
];

/** µs of the first bucket that is shown, and how many follow, each twice as long. */
const FIRST_BUCKET = 1;
const SHOWN_BUCKETS = 23;

/** The samples of a histogram from counts by powers of two of µs. */
export function histogramSamples(name: string, measures: SessionMeasures): Sample[] {
  const samples: Sample[] = [];
  for (const { operation, buckets, seconds } of measures.times) {
    let count = 0;
    for (const [index, inBucket] of buckets.entries()) {
      count += inBucket;
      if (index >= FIRST_BUCKET && index < FIRST_BUCKET + SHOWN_BUCKETS) {
        const labels = { operation, le: String(2 ** index / 1e6) };
        samples.push({ metricName: `${name}_bucket`, value: count, labels });
      }
    }
    const infinite = { operation, le: "+Inf" };
    samples.push({ metricName: `${name}_bucket`, value: count, labels: infinite });
    samples.push({ metricName: `${name}_sum`, value: seconds, labels: { operation } });
    samples.push({ metricName: `${name}_count`, value: count, labels: { operation } });
  }
  return samples;
}

function infoSamples(sheet: SelfSheet): Sample[] {
  const { engine, version } = sheet;
  return [{ value: 1, labels: { version, node: process.version, engine, arch: process.arch } }];
}

function kernelSamples({ features }: SelfSheet): Sample[] {
  const fuse = `${features.protocolMajor}.${features.protocolMinor}`;
  return [{ value: 1, labels: { release: release(), fuse_protocol: fuse } }];
}

function featureSamples({ features, survey }: SelfSheet): Sample[] {
  const has = (feature: string, there: boolean | undefined): Sample[] =>
    there === undefined ? [] : [{ value: there ? 1 : 0, labels: { feature } }];
  return [
    ...has("fuse_resend", features.resend),
    ...has("page_cache", features.tick),
    ...has("kernel_log", survey?.readsLog),
  ];
}

/** The metrics of vprocfs itself; `current` is asked when a text is begun. */
export function selfMetrics(current: () => SelfSheet): MetricSource[] {
  const metric = (
    name: string,
    kind: Kind,
    help: string,
    samples: (sheet: SelfSheet) => Sample[],
  ): MetricSource => ({ name: `vprocfs_${name}`, kind, help, samples: () => samples(current()) });
  const duration = "request_duration_seconds";
  return [
    metric("build_info", "gauge", "Version of vprocfs and what it runs on", infoSamples),
    metric("kernel_info", "gauge", "Linux and its FUSE protocol", kernelSamples),
    metric("kernel_feature", "gauge", "1 for what is in use on this kernel", featureSamples),
    metric(
      "requests_total",
      "counter",
      "Requests by file and result; file is empty for those that are about no file",
      ({ measures }) =>
        measures.requests.map(({ file, result, count }) => ({
          value: count,
          labels: { file, result },
        })),
    ),
    metric("operations_total", "counter", "Requests by FUSE operation", ({ counters }) =>
      Object.entries(counters.requests).map(([operation, value]) => ({
        value,
        labels: { operation: operation.toLowerCase() },
      })),
    ),
    metric(duration, "histogram", "Time from taking a request to its answer", ({ measures }) =>
      histogramSamples(`vprocfs_${duration}`, measures),
    ),
    metric(
      "worker_last_restart_info",
      "gauge",
      "Why the last worker ended that was not told to",
      ({ keeper }) => {
        const reason = keeper?.reasons.at(0);
        return reason === undefined ? [] : [{ value: 1, labels: { reason } }];
      },
    ),
    ...SINGLE.map(([name, kind, help, ask]) =>
      metric(name, kind, help, (sheet) => {
        const value = ask(sheet);
        return value === undefined ? [] : [{ value, labels: {} }];
      }),
    ),
  ];
}
