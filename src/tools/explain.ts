import { dirname, join } from "node:path";
import type { CgroupPlace, ContainerInfo } from "../native/binding.js";
import { chainOf, limitOf, readFigure, valueIn } from "./cgroup-files.js";

/** A file that goes into a figure, with what it says now. */
export interface SourceValue {
  readonly path: string;
  /** The line or key that counts; "" for the whole file. */
  readonly key: string;
  readonly value: string;
  /** What it means here. */
  readonly means: string;
}

export interface Explanation {
  readonly field: string;
  /** The file of the container that shows it. */
  readonly file: string;
  readonly formula: string;
  readonly sources: readonly SourceValue[];
  /** The directory whose limit decided; undefined when no limit did. */
  readonly decidedBy: string | undefined;
  /** What the container reads. */
  readonly result: string;
}

/** Where a container's files are read from. */
export interface Inputs {
  readonly container: ContainerInfo;
  /** The bytes of a file of the container, such as proc/meminfo. */
  readonly read: (path: string) => string;
}

interface Part {
  readonly sources: readonly SourceValue[];
  readonly decidedBy?: string | undefined;
}

interface Field {
  readonly names: readonly string[];
  readonly file: string;
  readonly formula: string;
  readonly parts: (inputs: Inputs) => readonly Part[];
  readonly result: (text: string) => string | undefined;
}

const HOST_MEMINFO = "/proc/meminfo";

function source(path: string, key: string, value: unknown, means: string): SourceValue {
  return { path, key, value: value === undefined ? "not there" : String(value), means };
}

function hostMeminfo(label: string, means: string): Part {
  const text = readFigure(HOST_MEMINFO);
  const line = text?.split("\n").find((one) => one.startsWith(`${label}:`));
  return { sources: [source(HOST_MEMINFO, label, line?.slice(label.length + 1).trim(), means)] };
}

/** Bytes of a line of the host's meminfo; unlimited where it is not there. */
function hostBytes(label: string): number {
  const line = readFigure(HOST_MEMINFO)
    ?.split("\n")
    .find((one) => one.startsWith(`${label}:`));
  const found = /: +(\d+) kB$/.exec(line ?? "")?.[1];
  return found === undefined ? Number.POSITIVE_INFINITY : Number(found) * 1024;
}

/** A limit along the chain: the smallest one decides, unless what the host has is less. */
function limits(
  place: CgroupPlace | undefined,
  v2: string,
  v1: string,
  means: string,
  most = Number.POSITIVE_INFINITY,
): Part {
  if (place === undefined) {
    return { sources: [source("-", "", "no controller", means)] };
  }
  const file = place.v2 ? v2 : v1;
  const found = chainOf(place).map((directory) => {
    const path = join(directory, file);
    return { directory, path, text: readFigure(path), limit: limitOf(readFigure(path)) };
  });
  const smallest = found
    .filter(({ limit }) => limit !== undefined && limit < most)
    .reduce<(typeof found)[number] | undefined>(
      (least, one) => (least === undefined || (one.limit ?? 0) < (least.limit ?? 0) ? one : least),
      undefined,
    );
  return {
    sources: found
      .filter(({ text }) => text !== undefined)
      .map(({ path, text }, level) =>
        source(path, "", text, level === 0 ? means : "of an ancestor"),
      ),
    decidedBy: smallest?.directory,
  };
}

/** One file of the container's own cgroup. */
function own(
  place: CgroupPlace | undefined,
  v2: readonly [file: string, key: string],
  v1: readonly [file: string, key: string],
  means: string,
): Part {
  if (place === undefined) {
    return { sources: [source("-", "", "no controller", means)] };
  }
  const [file, key] = place.v2 ? v2 : v1;
  const path = join(chainOf(place)[0] ?? "", file);
  const text = readFigure(path);
  return { sources: [source(path, key, key === "" ? text : valueIn(text, key), means)] };
}

const memoryOf = ({ container }: Inputs) => container.cgroups.memory;
const cpuOf = ({ container }: Inputs) => container.cgroups.cpu;

function memoryLimit(inputs: Inputs): Part {
  const most = hostBytes("MemTotal");
  return limits(
    memoryOf(inputs),
    "memory.max",
    "memory.limit_in_bytes",
    "memory limit, bytes",
    most,
  );
}

function usage(inputs: Inputs): Part {
  return own(
    memoryOf(inputs),
    ["memory.current", ""],
    ["memory.usage_in_bytes", ""],
    "charged, bytes",
  );
}

function stat(inputs: Inputs, v2: string, v1: string, means: string): Part {
  return own(memoryOf(inputs), ["memory.stat", v2], ["memory.stat", v1], `${means}, bytes`);
}

function swapLimit(inputs: Inputs): readonly Part[] {
  const place = memoryOf(inputs);
  const limit = limits(
    place,
    "memory.swap.max",
    "memory.memsw.limit_in_bytes",
    place?.v2 === true ? "swap limit, bytes" : "limit of memory and swap together, bytes",
    place?.v2 === true ? hostBytes("SwapTotal") : undefined,
  );
  return place?.v2 === true ? [limit] : [limit, memoryLimit(inputs)];
}

/** What swap there is, and what of it is used. */
function swapParts(inputs: Inputs): readonly Part[] {
  return [
    hostMeminfo("SwapTotal", "what the host has"),
    ...swapLimit(inputs),
    own(
      memoryOf(inputs),
      ["memory.swap.current", ""],
      ["memory.stat", "total_swap"],
      "swapped out, bytes",
    ),
  ];
}

/** The smallest quota / period along the chain, which decides where it is below `most` CPUs. */
function quota(inputs: Inputs, most = Number.POSITIVE_INFINITY): Part {
  const place = cpuOf(inputs);
  if (place === undefined) {
    return { sources: [source("-", "", "no controller", "CPU quota")] };
  }
  const found = chainOf(place).flatMap((directory) => {
    if (place.v2) {
      const path = join(directory, "cpu.max");
      const text = readFigure(path);
      const [most, period] = (text ?? "").split(" ").map(limitOf);
      const ratio = most === undefined || period === undefined ? undefined : most / period;
      return text === undefined ? [] : [{ directory, path, text, ratio }];
    }
    const path = join(directory, "cpu.cfs_quota_us");
    const text = readFigure(path);
    const period = limitOf(readFigure(join(directory, "cpu.cfs_period_us")));
    const most = limitOf(text);
    const ratio = most === undefined || period === undefined ? undefined : most / period;
    return text === undefined ? [] : [{ directory, path, text: `${text} of ${period}`, ratio }];
  });
  const least = Math.min(...found.map(({ ratio }) => ratio ?? Number.POSITIVE_INFINITY));
  return {
    sources: found.map(({ path, text, ratio }, level) =>
      source(
        path,
        "",
        text,
        `${level === 0 ? "quota and period, µs" : "of an ancestor"}${ratio === undefined ? "" : `: ${Number(ratio.toFixed(3))} CPUs`}`,
      ),
    ),
    decidedBy:
      Math.ceil(least) < most ? found.find(({ ratio }) => ratio === least)?.directory : undefined,
  };
}

/** How many there are in a list such as "0-3,6". */
function countOf(list: string | undefined): number {
  return (list ?? "").split(",").reduce((sum, range) => {
    const [first = "", last = first] = range.split("-");
    return /^\d+$/.test(first) ? sum + Number(last) - Number(first) + 1 : sum;
  }, 0);
}

/** Which CPUs there are: of the effective cpuset as many as the quota has room for. */
function cpus(inputs: Inputs): readonly Part[] {
  const set = cpuset(inputs);
  const [own, host] = [set.sources[0], set.sources.at(-1)];
  const limit = quota(inputs, countOf(own?.value));
  const isSmaller = countOf(own?.value) < countOf(host?.value);
  const decidedBy = limit.decidedBy ?? (isSmaller ? dirname(own?.path ?? "") : undefined);
  return [{ ...set, decidedBy }, limit];
}

function cpuset({ container }: Inputs): Part {
  const place = container.cgroups.cpuset;
  const host = source(
    "/sys/devices/system/cpu/online",
    "",
    readFigure("/sys/devices/system/cpu/online"),
    "CPUs of the host",
  );
  if (place === undefined) {
    return { sources: [host] };
  }
  for (const directory of chainOf(place)) {
    const path = join(directory, place.v2 ? "cpuset.cpus.effective" : "cpuset.effective_cpus");
    const text = readFigure(path);
    if (text !== undefined && text !== "") {
      return { sources: [source(path, "", text, "effective cpuset"), host] };
    }
  }
  return { sources: [host] };
}

function cpuTime(inputs: Inputs, v2: string, v1: string, what: string): Part {
  const place = inputs.container.cgroups.cpuacct;
  const unit = place?.v2 === true ? "µs" : "ticks of 10 ms";
  return own(place, ["cpu.stat", v2], ["cpuacct.stat", v1], `${what}, ${unit}`);
}

function throttled(inputs: Inputs): Part {
  const place = cpuOf(inputs);
  const directory = place === undefined ? "" : (chainOf(place)[0] ?? "");
  const hasLocal = readFigure(join(directory, "cpu.stat.local")) !== undefined;
  const file = hasLocal ? "cpu.stat.local" : "cpu.stat";
  return own(
    place,
    [file, "throttled_usec"],
    [file, "throttled_time"],
    place?.v2 === true ? "held back, µs" : "held back, ns",
  );
}

/** "MemTotal" of meminfo. */
function meminfo(label: string) {
  return (text: string): string | undefined =>
    text
      .split("\n")
      .find((line) => line.startsWith(`${label}:`))
      ?.slice(label.length + 1)
      .trim();
}

/** A column of the "cpu" line of /proc/stat, in ticks. */
function statColumn(column: number) {
  return (text: string): string | undefined => {
    const ticks = /^cpu +(.*)$/m.exec(text)?.[1]?.split(" ")[column];
    return ticks === undefined ? undefined : `${ticks} ticks (${Number(ticks) / 100} s)`;
  };
}

const MEMINFO = "proc/meminfo";
const STAT = "proc/stat";

/** All fields that can be explained. */
const FIELDS: readonly Field[] = [
  {
    names: ["MemTotal"],
    file: MEMINFO,
    formula: "min(the host's MemTotal, the smallest memory limit along the chain of cgroups)",
    parts: (inputs) => [hostMeminfo("MemTotal", "what the host has"), memoryLimit(inputs)],
    result: meminfo("MemTotal"),
  },
  {
    names: ["MemFree"],
    file: MEMINFO,
    formula: "MemTotal - charged memory, at least 0; without a limit at most the host's MemFree",
    parts: (inputs) => [
      hostMeminfo("MemFree", "what the host has free"),
      memoryLimit(inputs),
      usage(inputs),
    ],
    result: meminfo("MemFree"),
  },
  {
    names: ["MemAvailable"],
    file: MEMINFO,
    formula:
      "MemFree + file pages that can be dropped (active_file + inactive_file) + reclaimable slab, at most MemTotal",
    parts: (inputs) => [
      hostMeminfo("MemTotal", "what the host has"),
      memoryLimit(inputs),
      usage(inputs),
      stat(inputs, "active_file", "total_active_file", "file pages in use"),
      stat(inputs, "inactive_file", "total_inactive_file", "file pages out of use"),
      stat(inputs, "slab_reclaimable", "slab_reclaimable", "slab that can be dropped"),
    ],
    result: meminfo("MemAvailable"),
  },
  {
    names: ["Cached"],
    file: MEMINFO,
    formula: "file pages charged to the container, shared memory included",
    parts: (inputs) => [stat(inputs, "file", "total_cache", "file pages")],
    result: meminfo("Cached"),
  },
  {
    names: ["Shmem"],
    file: MEMINFO,
    formula: "shared memory and tmpfs charged to the container",
    parts: (inputs) => [stat(inputs, "shmem", "total_shmem", "shared memory")],
    result: meminfo("Shmem"),
  },
  {
    names: ["AnonPages"],
    file: MEMINFO,
    formula: "anonymous memory charged to the container",
    parts: (inputs) => [stat(inputs, "anon", "total_rss", "anonymous memory")],
    result: meminfo("AnonPages"),
  },
  {
    names: ["SwapTotal"],
    file: MEMINFO,
    formula:
      "the smallest swap limit along the chain (v1: limit of memory and swap - memory limit), at least what is swapped out, at most the host's SwapTotal; 0 on v1 with swappiness 0 and nothing swapped out",
    parts: (inputs) => [
      ...swapParts(inputs),
      ...(memoryOf(inputs)?.v2 === false
        ? [own(memoryOf(inputs), ["", ""], ["memory.swappiness", ""], "swappiness")]
        : []),
    ],
    result: meminfo("SwapTotal"),
  },
  {
    names: ["SwapFree"],
    file: MEMINFO,
    formula: "SwapTotal - what the container has swapped out, at least 0",
    parts: swapParts,
    result: meminfo("SwapFree"),
  },
  {
    names: ["cpus", "online", "nproc"],
    file: "sys/devices/system/cpu/online",
    formula:
      "the first n CPUs of the effective cpuset, n = min(CPUs in it, smallest quota ÷ period along the chain rounded up), at least 1",
    parts: cpus,
    result: (text) => text.trim(),
  },
  {
    names: ["user"],
    file: STAT,
    formula: "CPU time in user mode without nice; never less than what was shown before",
    parts: (inputs) => [cpuTime(inputs, "user_usec", "user", "user time")],
    result: statColumn(0),
  },
  {
    names: ["nice"],
    file: STAT,
    formula: "CPU time in user mode of niced tasks, where the kernel tells (v2, Linux 6.13)",
    parts: (inputs) => [cpuTime(inputs, "nice_usec", "nice", "niced user time")],
    result: statColumn(1),
  },
  {
    names: ["system"],
    file: STAT,
    formula: "CPU time in the kernel; never less than what was shown before",
    parts: (inputs) => [cpuTime(inputs, "system_usec", "system", "system time")],
    result: statColumn(2),
  },
  {
    names: ["idle"],
    file: STAT,
    formula: "CPUs × time since the container began - user - nice - system - steal",
    parts: (inputs) => [
      cpuTime(inputs, "user_usec", "user", "user time"),
      cpuTime(inputs, "system_usec", "system", "system time"),
      throttled(inputs),
      ...cpus(inputs),
    ],
    result: statColumn(3),
  },
  {
    names: ["steal"],
    file: STAT,
    formula:
      "time in which CPU quotas held the container back, as far as its CPUs had that much time to lose",
    parts: (inputs) => [throttled(inputs), quota(inputs)],
    result: statColumn(7),
  },
  {
    names: ["uptime"],
    file: "proc/uptime",
    formula: "time since the container's init began; then idle time summed over its CPUs",
    parts: ({ container }) => {
      const path = `/proc/${container.init}/stat`;
      const words = readFigure(path)?.replace(/^.*\)/s, "").trim().split(" ");
      const now = readFigure("/proc/uptime");
      return [
        { sources: [source(path, "starttime", words?.[19], "start of init, ticks since boot")] },
        { sources: [source("/proc/uptime", "", now, "of the host, s")] },
      ];
    },
    result: (text) => text.trim(),
  },
  {
    names: ["loadavg", "load"],
    file: "proc/loadavg",
    formula:
      "averages over 1, 5 and 15 minutes of the container's running and blocked tasks, sampled each 5 s",
    parts: ({ container }) => [
      {
        sources: [
          source(
            join(
              container.cgroups.pids?.mount ?? container.cgroups.memory?.mount ?? "",
              container.cgroup,
            ),
            "cgroup.procs",
            "",
            "the cgroup whose tasks are counted, with all below it",
          ),
        ],
      },
    ],
    result: (text) => text.trim(),
  },
];

/** Every name that explain() knows. */
export const FIELD_NAMES = FIELDS.flatMap(({ names }) => names);

/** How a field comes about; undefined for one that is not known. Names match in any case. */
export function explain(inputs: Inputs, name: string): Explanation | undefined {
  const wanted = name.toLowerCase();
  const field = FIELDS.find(({ names }) => names.some((one) => one.toLowerCase() === wanted));
  if (field === undefined) {
    return undefined;
  }
  const parts = field.parts(inputs);
  return {
    field: field.names[0] ?? name,
    file: field.file,
    formula: field.formula,
    sources: parts.flatMap(({ sources }) => sources),
    decidedBy: parts.find(({ decidedBy }) => decidedBy !== undefined)?.decidedBy,
    result: field.result(inputs.read(field.file)) ?? "not shown by this kernel",
  };
}
