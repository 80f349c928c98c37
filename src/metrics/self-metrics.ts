import { release } from "node:os";
import type { WatcherState } from "../attach/watcher.js";
import type { Status } from "../keeper-status.js";
import type {
  ResourceUse,
  SessionCounters,
  SessionFeatures,
  SessionMeasures,
} from "../native/binding.js";
import type { Emit, Kind, MetricSource } from "./sheet.js";
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
  /** Undefined where containers are left alone. */
  readonly attaching: WatcherState | undefined;
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
    "task_passes_total",
    "counter",
    "Passes over tasks for load averages",
    ({ counters }) => counters.taskPasses,
  ],
  [
    "task_passes_seconds_total",
    "counter",
    "Time that these passes took",
    ({ counters }) => counters.taskPassUs / 1e6,
  ],
  [
    "queued_requests",
    "gauge",
    "Requests that wait for their turn",
    ({ counters }) => counters.waiting,
  ],
  [
    "pressure_triggers",
    "gauge",
    "Pressure triggers that are set",
    ({ counters }) => counters.triggers,
  ],
  [
    "late_calls_total",
    "counter",
    "System calls let through to the kernel because the memory of their callers blocks",
    ({ counters }) => counters.calls?.late,
  ],
  [
    "paced_calls_total",
    "counter",
    "System calls after which their container was over its calls per second",
    ({ counters }) => counters.calls?.paced,
  ],
  [
    "stuck_call_writers",
    "gauge",
    "Processes that wait for memory of a caller which blocks, and do not end",
    ({ counters }) => counters.calls?.stuck,
  ],
  [
    "call_listeners",
    "gauge",
    "Containers that hand system calls over",
    ({ counters }) => counters.calls?.listeners,
  ],
  [
    "pending_notices",
    "gauge",
    "Notices about files that wait for the kernel",
    ({ counters }) => counters.notices,
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
    "survey_left_out_containers",
    "gauge",
    "Containers beyond what is told of in one scrape",
    ({ survey }) => survey?.leftOut,
  ],
  [
    "late_surveys_total",
    "counter",
    "Scrapes without figures of containers, which were not there in time",
    ({ lateSurveys }) => lateSurveys,
  ],
  [
    "attach_waiting",
    "gauge",
    "Mount namespaces that wait for their tenant's turn to be looked at",
    ({ attaching }) => attaching?.waiting,
  ],
  ["attach_helpers", "gauge", "Attach helpers that run", ({ attaching }) => attaching?.running],
  [
    "attach_hung_tenants",
    "gauge",
    "Tenants of which an attach helper does not end, and for which no other is started",
    ({ attaching }) => attaching?.hung,
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
    "descriptors_lost_total",
    "counter",
    "Descriptors of containers that did not get from one worker to the next",
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

/** A histogram from counts by powers of two of µs. */
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

/** What all tenants share: which figure of each resource. */
const RESOURCES: readonly (readonly [string, Kind, string, keyof ResourceUse])[] = [
  ["resource_used", "gauge", "What of each shared resource is in use", "used"],
  [
    "resource_limit",
    "gauge",
    "Beyond this, all together, a tenant gets only what is kept back for it",
    "limit",
  ],
  ["resource_tenant_limit", "gauge", "What one tenant has at most", "tenantLimit"],
  [
    "resource_refused_total",
    "counter",
    "Times that a tenant asked for more than it may have",
    "refused",
  ],
  [
    "resource_short_total",
    "counter",
    "Times of these that it had less than one tenant may have, since others had the rest",
    "short",
  ],
];

/** Of the engine and of the watcher, by resource. */
function resourcesOf({ counters, attaching }: SelfSheet): [string, ResourceUse][] {
  const resources = Object.entries(counters.resources ?? {});
  if (attaching !== undefined) {
    const { followed: used, mostFollowed: limit, tenantMost: tenantLimit } = attaching;
    const { refused, shortages: short } = attaching;
    resources.push(["namespaces", { used, limit, tenantLimit, refused, short }]);
  }
  return resources;
}

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

/** The metrics of vprocfs itself; `current` is asked when a text is begun. */
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
    metric("kernel_feature", "gauge", "1 for what is in use on this kernel", emitFeatures),
    metric(
      "requests_total",
      "counter",
      "Requests by file and result; file is empty for those that are about no file",
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
    metric(
      "calls_total",
      "counter",
      "System calls of containers by what became of them",
      emitCalls,
    ),
    metric(
      duration,
      "histogram",
      "Time from taking a request to its answer",
      ({ measures }, emit) => emitHistogram(`vprocfs_${duration}`, measures, emit),
    ),
    metric(
      "worker_last_restart_info",
      "gauge",
      "Why the last worker ended that was not told to",
      ({ keeper }, emit) => {
        const reason = keeper?.reasons.at(0);
        if (reason !== undefined) {
          emit(1, { reason });
        }
      },
    ),
    ...RESOURCES.map(([name, kind, help, figure]) =>
      metric(name, kind, help, (sheet, emit) => {
        for (const [resource, use] of resourcesOf(sheet)) {
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
