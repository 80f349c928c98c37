import { release } from "node:os";
import type { WatcherState } from "../attach/watcher.js";
import type { Status } from "../keeper-status.js";
import type {
  ResourceUse,
  SessionCounters,
  SessionFeatures,
  SessionMeasures,
} from "../native/session.js";
import type { Emit, Kind, MetricSource } from "./computed-metric.js";
import { resourcesOf } from "./resources.js";
import type { Containers } from "./survey.js";

/** The state of vprocfs itself at one moment. */
export interface SelfSheet {
  readonly engine: string;
  readonly version: string;
  readonly counters: SessionCounters;
  readonly measures: SessionMeasures;
  readonly features: SessionFeatures;
  /** The keeper's status; undefined without a keeper, or if it does not answer. */
  readonly keeper: Status | undefined;
  /** Undefined if it took too long. */
  readonly survey: Containers | undefined;
  readonly lateSurveys: number;
  /** Undefined if the watcher is off. */
  readonly attaching: WatcherState | undefined;
}

type Value = number | undefined;

/** Name, kind, help and value of the metrics with one value. */
const SINGLE: readonly (readonly [string, Kind, string, (sheet: SelfSheet) => Value])[] = [
  ["renders_total", "counter", "Files rendered", ({ counters }) => counters.renders],
  [
    "render_cache_hits_total",
    "counter",
    "Reads served with a file rendered for another reader within the same tick",
    ({ counters }) => counters.shared,
  ],
  [
    "failed_requests_total",
    "counter",
    "Requests answered with an error, including lookups of missing names",
    ({ counters }) => counters.errors,
  ],
  [
    "source_errors_total",
    "counter",
    "Requests that failed because a file of the host or of a cgroup could not be read",
    ({ counters }) => counters.sourceErrors,
  ],
  [
    "refused_opens_total",
    "counter",
    "Opens refused because a container held too many files or bytes",
    ({ counters }) => counters.refusedOpens,
  ],
  [
    "deferred_requests_total",
    "counter",
    "Requests that waited for another request of the same container",
    ({ counters }) => counters.deferred,
  ],
  [
    "paced_requests_total",
    "counter",
    "Requests that waited because their container was over its budget of renders or CPU time",
    ({ counters }) => counters.paced,
  ],
  [
    "resent_requests_total",
    "counter",
    "Requests that the kernel resent after a worker died",
    ({ counters }) => counters.resent,
  ],
  [
    "task_passes_total",
    "counter",
    "Passes that count tasks for load averages",
    ({ counters }) => counters.taskPasses,
  ],
  [
    "task_passes_seconds_total",
    "counter",
    "Time spent in these passes",
    ({ counters }) => counters.taskPassUs / 1e6,
  ],
  [
    "queued_requests",
    "gauge",
    "Requests waiting for their turn",
    ({ counters }) => counters.waiting,
  ],
  [
    "pressure_triggers",
    "gauge",
    "Pressure triggers that are set",
    ({ counters }) => counters.triggers,
  ],
  [
    "kernel_log_readers",
    "gauge",
    "Readers of containers' kernel logs that wait for a record",
    ({ counters }) => counters.logReaders,
  ],
  [
    "late_calls_total",
    "counter",
    "System calls passed to the kernel because the memory of their callers blocks",
    ({ counters }) => counters.calls?.late,
  ],
  [
    "waiting_calls_total",
    "counter",
    "System calls that waited because they could not be answered at once",
    ({ counters }) => counters.calls?.waited,
  ],
  [
    "failed_calls_total",
    "counter",
    "System calls that got EAGAIN because they could not be answered within patience-ms",
    ({ counters }) => counters.calls?.failed,
  ],
  [
    "paced_calls_total",
    "counter",
    "System calls that made their container exceed calls-per-second",
    ({ counters }) => counters.calls?.paced,
  ],
  [
    "stuck_call_writers",
    "gauge",
    "Writer processes that are stuck on the memory of a caller",
    ({ counters }) => counters.calls?.stuck,
  ],
  [
    "call_listeners",
    "gauge",
    "Containers whose runtime hands system calls over to vprocfs",
    ({ counters }) => counters.calls?.listeners,
  ],
  [
    "kernel_log_unproven_total",
    "counter",
    "Events in the host's kernel log that look like a container's but could not be attributed to one",
    ({ counters }) => counters.kernelLog?.unproven,
  ],
  [
    "kernel_log_overruns_total",
    "counter",
    "Times that the host's kernel log was overwritten before it was read",
    ({ counters }) => counters.kernelLog?.lost,
  ],
  [
    "kernel_log_refused_total",
    "counter",
    "Events left out because containers' kernel logs had reached their limits",
    ({ counters }) => counters.kernelLog?.refused,
  ],
  [
    "container_logs",
    "gauge",
    "Containers whose kernel log has records",
    ({ counters }) => counters.kernelLog?.logs,
  ],
  [
    "container_logs_bytes",
    "gauge",
    "Memory that containers' kernel logs take",
    ({ counters }) => counters.kernelLog?.bytes,
  ],
  [
    "pending_notices",
    "gauge",
    "Notifications about files that wait to be sent to the kernel",
    ({ counters }) => counters.notices,
  ],
  ["open_files", "gauge", "Open files", ({ counters }) => counters.openFiles],
  [
    "known_containers",
    "gauge",
    "Running containers that have sent a request",
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
    "Containers with figures that could not be read",
    ({ survey }) => survey?.failed,
  ],
  [
    "survey_left_out_containers",
    "gauge",
    "Containers left out because there are more of them than one scrape reports",
    ({ survey }) => survey?.leftOut,
  ],
  [
    "late_surveys_total",
    "counter",
    "Scrapes without figures of containers because reading them took too long",
    ({ lateSurveys }) => lateSurveys,
  ],
  [
    "attach_waiting",
    "gauge",
    "Mount namespaces waiting to be checked in their tenant's turn",
    ({ attaching }) => attaching?.waiting,
  ],
  ["attach_helpers", "gauge", "Running attach helpers", ({ attaching }) => attaching?.running],
  [
    "attach_hung_tenants",
    "gauge",
    "Tenants with an attach helper that hangs; no other helper is started for them",
    ({ attaching }) => attaching?.hung,
  ],
  [
    "worker_generation",
    "gauge",
    "Number of workers since the keeper started, including this one",
    ({ keeper }) => keeper?.generation,
  ],
  [
    "worker_restarts_total",
    "counter",
    "Workers that ended unexpectedly",
    ({ keeper }) => keeper?.restarts,
  ],
  [
    "worker_failures_in_a_row",
    "gauge",
    "Consecutive failures of workers",
    ({ keeper }) => keeper?.failuresInARow,
  ],
  [
    "damaged_states_total",
    "counter",
    "Times that the state of an earlier worker could not be restored",
    ({ keeper }) => keeper?.statesIgnored,
  ],
  [
    "descriptors_lost_total",
    "counter",
    "Descriptors of containers that were lost between two workers",
    ({ keeper }) => keeper?.descriptorsLost,
  ],
  [
    "undying_workers",
    "gauge",
    "Workers that were killed and have not ended",
    ({ keeper }) => keeper?.undying,
  ],
  [
    "standby_ready",
    "gauge",
    "1 if a second worker is ready to take over",
    ({ keeper }) => keeper && (keeper.standby === "ready" ? 1 : 0),
  ],
  [
    "keeper_uptime_seconds",
    "gauge",
    "Time since the keeper mounted",
    ({ keeper }) => keeper && keeper.uptimeMs / 1000,
  ],
];

/**
 * Index of the first bucket that is shown, and the number of those shown. Each covers twice the time of the
 * one before.
 */
const FIRST_BUCKET = 1;
const SHOWN_BUCKETS = 23;

/** Writes a histogram from counts whose bounds are powers of two of µs. */
function emitHistogram(name: string, measures: SessionMeasures, emit: Emit): void {
  for (const { operation, buckets, seconds } of measures.times) {
    let count = 0;
    for (const [index, inBucket] of buckets.entries()) {
      count += inBucket;
      if (index >= FIRST_BUCKET && index < FIRST_BUCKET + SHOWN_BUCKETS) {
        emit(count, { operation, le: String(2 ** index / 1e6) }, undefined, `${name}_bucket`);
      }
    }
    emit(count, { operation, le: "+Inf" }, undefined, `${name}_bucket`);
    emit(seconds, { operation }, undefined, `${name}_sum`);
    emit(count, { operation }, undefined, `${name}_count`);
  }
}

function emitCalls({ counters: { calls } }: SelfSheet, emit: Emit): void {
  if (calls !== undefined) {
    emit(calls.answered, { result: "answered" });
    emit(calls.passed, { result: "passed" });
    emit(calls.gone, { result: "gone" });
  }
}

/** The metrics of each resource that all tenants share. */
const RESOURCES: readonly (readonly [string, Kind, string, keyof ResourceUse])[] = [
  ["resource_used", "gauge", "Use of each shared resource", "used"],
  [
    "resource_limit",
    "gauge",
    "Total use beyond which each tenant gets only its reserved part",
    "limit",
  ],
  ["resource_tenant_limit", "gauge", "Limit of one tenant", "tenantLimit"],
  ["resource_refused_total", "counter", "Requests for a resource that were refused", "refused"],
  [
    "resource_short_total",
    "counter",
    "Refused requests of tenants that were below their limit, because others used the rest",
    "short",
  ],
];

function emitFeatures({ features, survey }: SelfSheet, emit: Emit): void {
  const has = (feature: string, there: boolean | undefined): void => {
    if (there !== undefined) {
      emit(there ? 1 : 0, { feature });
    }
  };
  const isCounting = features.taskCounter !== "";
  has("fuse_resend", features.resend);
  has("page_cache", features.tick);
  has("bpf_task_counter", isCounting ? features.taskCounter === "bpf" : undefined);
  has("kernel_log", survey?.readsLog);
}

/** The metrics of vprocfs itself; `current` is called at the start of each page. */
export function selfMetrics(current: () => SelfSheet): MetricSource[] {
  const metric = (
    name: string,
    kind: Kind,
    help: string,
    values: (sheet: SelfSheet, emit: Emit) => void,
  ): MetricSource => ({
    name: `vprocfs_${name}`,
    kind,
    help,
    values: (emit) => values(current(), emit),
  });
  const duration = "request_duration_seconds";
  return [
    metric(
      "build_info",
      "gauge",
      "Version of vprocfs and what it runs on",
      ({ version, engine }, emit) =>
        emit(1, { version, node: process.version, engine, arch: process.arch }),
    ),
    metric("kernel_info", "gauge", "Linux and its FUSE protocol", ({ features }, emit) => {
      const fuse = `${features.protocolMajor}.${features.protocolMinor}`;
      emit(1, { release: release(), fuse_protocol: fuse });
    }),
    metric("kernel_feature", "gauge", "1 for features in use on this kernel", emitFeatures),
    metric(
      "requests_total",
      "counter",
      "Requests by file and result; file is empty for requests that concern no file",
      ({ measures }, emit) => {
        for (const { file, result, count } of measures.requests) {
          emit(count, { file, result });
        }
      },
    ),
    metric("operations_total", "counter", "Requests by FUSE operation", ({ counters }, emit) => {
      for (const [operation, count] of Object.entries(counters.requests)) {
        emit(count, { operation: operation.toLowerCase() });
      }
    }),
    metric("calls_total", "counter", "System calls of containers by result", emitCalls),
    metric(
      "container_log_records_total",
      "counter",
      "Records added to the kernel logs of containers",
      ({ counters: { kernelLog } }, emit) => {
        for (const [kind, count] of Object.entries(kernelLog?.records ?? {})) {
          emit(count, { kind });
        }
      },
    ),
    metric(
      duration,
      "histogram",
      "Time from receiving a request to answering it",
      ({ measures }, emit) => emitHistogram(`vprocfs_${duration}`, measures, emit),
    ),
    metric(
      "worker_last_restart_info",
      "gauge",
      "Why the last worker ended unexpectedly",
      ({ keeper }, emit) => {
        const reason = keeper?.reasons.at(0);
        if (reason !== undefined) {
          emit(1, { reason });
        }
      },
    ),
    ...RESOURCES.map(([name, kind, help, figure]) =>
      metric(name, kind, help, (sheet, emit) => {
        for (const [resource, use] of resourcesOf(sheet.counters, sheet.attaching)) {
          emit(use[figure], { resource });
        }
      }),
    ),
    ...SINGLE.map(([name, kind, help, ask]) =>
      metric(name, kind, help, (sheet, emit) => {
        const value = ask(sheet);
        if (value !== undefined) {
          emit(value, {});
        }
      }),
    ),
  ];
}
