import type { WatcherState } from "../attach/watcher.js";
import type { Status } from "../keeper-status.js";
import type { SessionCounters, SessionFeatures, SessionMeasures } from "../native/session.js";
import type { Kind } from "./computed-metric.js";
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
  /** Whether it could not be read which containers the watcher leaves alone. */
  readonly wantedUnknown: boolean;
  /** Undefined if the watcher is off. */
  readonly attaching: WatcherState | undefined;
}

type Value = number | undefined;

/** Name, kind, help and value of the metrics of vprocfs itself that have one value. */
export const SINGLE_VALUES: readonly (readonly [
  string,
  Kind,
  string,
  (sheet: SelfSheet) => Value,
])[] = [
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
    "ended_container_oom_kills_total",
    "counter",
    "OOM kills of containers that ended before a scrape could show the kill",
    // Only the logs of containers tell whose a kill was.
    ({ counters, survey }) => (counters.kernelLog ? survey?.endedKills : undefined),
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
    "Running containers with state in memory: those that have sent a request, and those of a scrape",
    ({ counters }) => counters.containers,
  ],
  ["threads", "gauge", "Threads that answer requests", ({ counters }) => counters.threads],
  [
    "containers",
    "gauge",
    "Containers that a scrape reports, without survey_left_out_containers",
    ({ survey }) => survey?.containers.length,
  ],
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
    "wanted_unknown",
    "gauge",
    "1 if vprocfs_container_wanted is missing, because the list of detached containers cannot be read",
    ({ wantedUnknown }) => (wantedUnknown ? 1 : 0),
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
    "mounted",
    "gauge",
    "1 if the mount point shows our files: they are mounted, and nothing is mounted over them",
    ({ keeper }) =>
      keeper?.mounted === undefined ? undefined : keeper.mounted && !keeper.covered ? 1 : 0,
  ],
  [
    "keeper_uptime_seconds",
    "gauge",
    "Time since the keeper mounted",
    ({ keeper }) => keeper && keeper.uptimeMs / 1000,
  ],
];
