import { release } from "node:os";
import type { ResourceUse, SessionMeasures } from "../native/session.js";
import type { Emit, Kind, MetricSource } from "./computed-metric.js";
import { resourcesOf } from "./resources.js";
import { type SelfSheet, SINGLE_VALUES } from "./self-sheet.js";

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
    ...SINGLE_VALUES.map(([name, kind, help, ask]) =>
      metric(name, kind, help, (sheet, emit) => {
        const value = ask(sheet);
        if (value !== undefined) {
          emit(value, {});
        }
      }),
    ),
  ];
}
