import type { ExclusionReason } from "../attach/selection.js";
import type { ContainerCounters } from "../native/session.js";
import type { Emit, Labels, MetricSource } from "./computed-metric.js";
import type { Surveyed } from "./survey.js";

interface ContainerMetric {
  readonly name: string;
  readonly help: string;
  readonly kind: "counter" | "gauge";
  /** Figures of a survey (native/survey/figures.def), with the labels that tell them apart. */
  readonly figures: readonly (readonly [figure: string, labels?: Labels])[];
}

const PREFIX = "vprocfs_container_";

/** All metrics of a container that come from a survey. */
export const CONTAINER_METRICS: readonly ContainerMetric[] = [
  {
    name: "start_time_seconds",
    help: "Start of the container's init, seconds since the epoch",
    kind: "gauge",
    figures: [["startTime"]],
  },
  {
    name: "memory_limit_bytes",
    help: "Tightest memory limit of its cgroup and all ancestors; absent without a limit",
    kind: "gauge",
    figures: [["memoryLimit"]],
  },
  {
    name: "memory_total_bytes",
    help: "Memory that the container sees (MemTotal)",
    kind: "gauge",
    figures: [["memoryTotal"]],
  },
  {
    name: "memory_available_bytes",
    help: "Memory that the container sees as available (MemAvailable)",
    kind: "gauge",
    figures: [["memoryAvailable"]],
  },
  {
    name: "memory_headroom_bytes",
    help: "Memory that the limits of its cgroup and all ancestors leave, including page cache that can be dropped, even if the node has less; absent without a limit",
    kind: "gauge",
    figures: [["memoryHeadroom"]],
  },
  {
    name: "memory_ceiling_bytes",
    help: "The limit or memory.high, of its cgroup or an ancestor, that leaves the least (memory_headroom_bytes)",
    kind: "gauge",
    figures: [["memoryCeiling"]],
  },
  {
    name: "memory_usage_bytes",
    help: "Memory charged to the container, including page cache",
    kind: "gauge",
    figures: [["memoryUsage"]],
  },
  {
    name: "memory_reclaimable_bytes",
    help: "Memory charged to the container that can be dropped: page cache and slab",
    kind: "gauge",
    figures: [["memoryReclaimable"]],
  },
  {
    name: "memory_cache_bytes",
    help: "Page cache charged to the container",
    kind: "gauge",
    figures: [["memoryCache"]],
  },
  {
    name: "memory_events_total",
    help: "Events of the memory controller (memory.events; max is memory.failcnt on cgroup v1)",
    kind: "counter",
    figures: [
      ["eventsLow", { event: "low" }],
      ["eventsHigh", { event: "high" }],
      ["eventsMax", { event: "max" }],
      ["eventsOom", { event: "oom" }],
      ["oomKills", { event: "oom_kill" }],
      ["oomGroupKills", { event: "oom_group_kill" }],
    ],
  },
  {
    name: "oom_kills_total",
    help: "Processes of the container killed by the OOM killer",
    kind: "counter",
    figures: [["oomKills"]],
  },
  {
    name: "last_oom_kill_timestamp_seconds",
    help: "Time of the last known OOM kill, seconds since the epoch",
    kind: "gauge",
    figures: [["lastOomTime"]],
  },
  {
    name: "swap_limit_bytes",
    help: "Tightest swap limit of its cgroup and all ancestors; absent without a limit",
    kind: "gauge",
    figures: [["swapLimit"]],
  },
  {
    name: "swap_total_bytes",
    help: "Swap that the container sees (SwapTotal)",
    kind: "gauge",
    figures: [["swapTotal"]],
  },
  {
    name: "swap_usage_bytes",
    help: "Swap that the container uses",
    kind: "gauge",
    figures: [["swapUsage"]],
  },
  {
    name: "cpus",
    help: "CPUs that the container sees",
    kind: "gauge",
    figures: [["cpus"]],
  },
  {
    name: "cpu_limit_cores",
    help: "Tightest CPU quota divided by its period; absent without a quota",
    kind: "gauge",
    figures: [["cpuLimit"]],
  },
  {
    name: "cpu_seconds_total",
    help: "CPU time of the container by mode; nice is part of user if the kernel does not report it",
    kind: "counter",
    figures: [
      ["cpuUser", { mode: "user" }],
      ["cpuNice", { mode: "nice" }],
      ["cpuSystem", { mode: "system" }],
    ],
  },
  {
    name: "cpu_throttled_seconds_total",
    help: "Time that the container was throttled by CPU quotas, summed over CPUs",
    kind: "counter",
    figures: [["throttled"]],
  },
  {
    name: "cpu_periods_total",
    help: "Periods of the container's CPU quota in which it ran",
    kind: "counter",
    figures: [["periods"]],
  },
  {
    name: "cpu_throttled_periods_total",
    help: "Periods in which the container used up its CPU quota",
    kind: "counter",
    figures: [["throttledPeriods"]],
  },
  {
    name: "pressure_waiting_seconds_total",
    help: "Time in which some task of the container waited for a resource (PSI some)",
    kind: "counter",
    figures: [
      ["cpuWaiting", { resource: "cpu" }],
      ["memoryWaiting", { resource: "memory" }],
      ["ioWaiting", { resource: "io" }],
    ],
  },
  {
    name: "pressure_stalled_seconds_total",
    help: "Time in which all tasks of the container waited for a resource (PSI full)",
    kind: "counter",
    figures: [
      ["cpuStalled", { resource: "cpu" }],
      ["memoryStalled", { resource: "memory" }],
      ["ioStalled", { resource: "io" }],
    ],
  },
  {
    name: "pids",
    help: "Tasks of the container",
    kind: "gauge",
    figures: [["pids"]],
  },
  {
    name: "pids_limit",
    help: "Tasks that the container may have; absent without a limit",
    kind: "gauge",
    figures: [["pidsLimit"]],
  },
  {
    name: "read_bytes_total",
    help: "Bytes that the container read from block devices",
    kind: "counter",
    figures: [["readBytes"]],
  },
  {
    name: "written_bytes_total",
    help: "Bytes that the container wrote to block devices",
    kind: "counter",
    figures: [["writtenBytes"]],
  },
  {
    name: "mounted_files",
    help: "Files in the container that come from a vprocfs mounted on the host; counted at most once a minute; absent if its mount table takes too long to read",
    kind: "gauge",
    figures: [["mountedFiles"]],
  },
  {
    name: "lxcfs_files",
    help: "Files in the container, at paths of vprocfs's files, that come from an LXCFS mounted on the host; absent if there are none",
    kind: "gauge",
    figures: [["lxcfsFiles"]],
  },
  {
    name: "dead_files",
    help: "Files in the container that come from a vprocfs or LXCFS no longer mounted on the host: reading them fails; absent if there are none",
    kind: "gauge",
    figures: [["deadFiles"]],
  },
];

interface ServingMetric {
  readonly name: string;
  readonly help: string;
  readonly kind: "counter" | "gauge";
  readonly value: (counters: ContainerCounters) => number | undefined;
}

/** Counters of the engine for each container. */
const SERVING_METRICS: readonly ServingMetric[] = [
  {
    name: "requests_total",
    help: "Requests that vprocfs served for the container's files",
    kind: "counter",
    value: (counters) => counters.requests,
  },
  {
    name: "refused_opens_total",
    help: "Opens refused because the container held too many files or bytes",
    kind: "counter",
    value: (counters) => counters.refused,
  },
  {
    name: "open_files",
    help: "Files of vprocfs that the container holds open",
    kind: "gauge",
    value: (counters) => counters.openFiles,
  },
  {
    name: "held_bytes",
    help: "Bytes of the snapshots that the container's open files hold",
    kind: "gauge",
    value: (counters) => counters.heldBytes,
  },
  ...["1", "5", "15"].map((minutes, index) => ({
    name: `load${minutes}`,
    help: `Load average over ${minutes} min as the container sees it, counted from the first scrape`,
    kind: "gauge" as const,
    value: (counters: ContainerCounters) => counters.load[index],
  })),
];

/** The state of all containers at one moment. */
export interface ContainerSheet {
  readonly containers: readonly Surveyed[];
  readonly counters: ReadonlyMap<string, ContainerCounters>;
  /** Ids of containers that are configured not to get the files; undefined: that cannot be read now. */
  readonly excluded: ReadonlySet<string> | undefined;
  /** One object per container, so that it is written out once. */
  readonly labels: ReadonlyMap<string, Labels>;
}

export function containerSheet(
  containers: readonly Surveyed[],
  counters: readonly ContainerCounters[],
  exclusionReason: ExclusionReason | undefined,
): ContainerSheet {
  const excluded =
    exclusionReason && containers.filter((one) => exclusionReason(one) !== undefined);
  return {
    containers,
    excluded: excluded && new Set(excluded.map(({ id }) => id)),
    counters: new Map(counters.map((one) => [one.id, one])),
    labels: new Map(
      containers.map(({ id, name, runtime }) => [id, { id, name, runtime }] as const),
    ),
  };
}

const NONE: Labels = {};

function emitSurveyed(metric: ContainerMetric, sheet: ContainerSheet, emit: Emit): void {
  for (const { id, figures } of sheet.containers) {
    for (const [figure, labels = NONE] of metric.figures) {
      const value = figures.get(figure);
      if (value !== undefined) {
        emit(value, labels, sheet.labels.get(id));
      }
    }
  }
}

function emitServing(metric: ServingMetric, sheet: ContainerSheet, emit: Emit): void {
  for (const { id } of sheet.containers) {
    const counters = sheet.counters.get(id);
    const value = counters === undefined ? undefined : metric.value(counters);
    if (value !== undefined) {
      emit(value, NONE, sheet.labels.get(id));
    }
  }
}

/** The metrics of all containers; `current` is called at the start of each page. */
export function containerMetrics(current: () => ContainerSheet): MetricSource[] {
  const info: MetricSource = {
    name: `${PREFIX}info`,
    help: "A container of this host, and the cgroup that names it",
    kind: "gauge",
    values: (emit) => {
      const { containers, labels } = current();
      for (const { id, cgroup } of containers) {
        emit(1, { cgroup }, labels.get(id));
      }
    },
  };
  const surveyed = CONTAINER_METRICS.map((metric) => ({
    name: PREFIX + metric.name,
    help: metric.help,
    kind: metric.kind,
    values: (emit: Emit) => emitSurveyed(metric, current(), emit),
  }));
  const serving = SERVING_METRICS.map((metric) => ({
    name: PREFIX + metric.name,
    help: metric.help,
    kind: metric.kind,
    values: (emit: Emit) => emitServing(metric, current(), emit),
  }));
  const wanted: MetricSource = {
    name: `${PREFIX}wanted`,
    help: "1 if the watcher mounts the files into the container; 0 if the watcher is off or configured to leave the container alone",
    kind: "gauge",
    values: (emit) => {
      const { containers, excluded, labels } = current();
      for (const { id } of excluded === undefined ? [] : containers) {
        emit(excluded?.has(id) ? 0 : 1, NONE, labels.get(id));
      }
    },
  };
  return [info, wanted, ...surveyed, ...serving];
}
