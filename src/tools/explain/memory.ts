import { join } from "node:path";
import type { CgroupPlace } from "../../native/binding.js";
import { chainOf, limitOf, readFigure, valueIn } from "../cgroup-files.js";
import {
  type Field,
  hostBytes,
  hostMeminfo,
  type Inputs,
  leastBy,
  limits,
  meminfoValue,
  own,
  type Part,
  type SourceValue,
  source,
  zfsCache,
} from "./parts.js";

const MEMINFO = "proc/meminfo";

const memoryOf = ({ container }: Inputs) => container.cgroups.memory;

function memoryLimit(inputs: Inputs, ceiling: number): Part {
  const means = "memory limit, bytes";
  return limits(memoryOf(inputs), "memory.max", "memory.limit_in_bytes", means, ceiling);
}

/** The limit that MemTotal is; none decides where the memory nodes of the container have less. */
function totalLimit(inputs: Inputs): Part {
  const shownKb = Number.parseInt(meminfoValue(inputs.read(MEMINFO), "MemTotal") ?? "", 10);
  const ceiling = Number.isNaN(shownKb) ? Number.POSITIVE_INFINITY : (shownKb + 1) * 1024;
  return memoryLimit(inputs, Math.min(hostBytes("MemTotal"), ceiling));
}

const NODES = "/sys/devices/system/node";

/** The memory nodes that the cpuset allows: to the container the host is as large as these. None if it is all of it. */
function memoryNodes({ container }: Inputs): Part {
  const place = container.cgroups.cpuset;
  const all = readFigure(join(NODES, "has_memory"));
  const name = place?.v2 === true ? "cpuset.mems.effective" : "cpuset.effective_mems";
  const paths = place === undefined ? [] : chainOf(place).map((directory) => join(directory, name));
  const path = paths.find((one) => (readFigure(one) ?? "") !== "");
  const allowed = path === undefined ? all : readFigure(path);
  const means = "memory nodes that the cpuset allows";
  return {
    sources: all === undefined || allowed === all ? [] : [source(path ?? "", "", allowed, means)],
  };
}

function stat(inputs: Inputs, v2: string, v1: string, means: string): Part {
  return own(memoryOf(inputs), ["memory.stat", v2], ["memory.stat", v1], `${means}, bytes`);
}

/**
 * v1's limits of memory and swap together, and those of memory. What the least of both leaves for swap decides, or what
 * the container's own leave; not where all that the host has fits in.
 */
function swapLimitV1(inputs: Inputs, place: CgroupPlace): readonly Part[] {
  const [memory, swap] = [hostBytes("MemTotal"), hostBytes("SwapTotal")];
  const files = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] as const;
  const levels = chainOf(place).map((directory) => {
    const [most = Number.POSITIVE_INFINITY, both = Number.POSITIVE_INFINITY] = files.map((file) =>
      limitOf(readFigure(join(directory, file))),
    );
    return { directory, most, both };
  });
  const least = leastBy(levels, ({ both }) => both);
  const most = Math.min(...levels.map((level) => level.most));
  const lower = [...(least === undefined ? [] : [{ ...least, most }]), ...levels.slice(0, 1)]
    .filter(({ both }) => both < memory + swap)
    .map((level) => ({
      ...level,
      left:
        level.both - (level.most === Number.POSITIVE_INFINITY ? 0 : Math.min(level.most, memory)),
    }))
    .filter(({ left }) => left < swap);
  const means = "limit of memory and swap together, bytes";
  return [
    {
      sources: limits(place, "", files[1], means).sources,
      decidedBy: leastBy(lower, ({ left }) => Math.max(left, 0))?.directory,
    },
    { sources: memoryLimit(inputs, memory).sources },
  ];
}

function swapLimit(inputs: Inputs): readonly Part[] {
  const place = memoryOf(inputs);
  return place?.v2 === false
    ? swapLimitV1(inputs, place)
    : [limits(place, "memory.swap.max", "", "swap limit, bytes", hostBytes("SwapTotal"))];
}

/** How much swap there is, and how much of it is in use. */
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

/**
 * swapParts(), for SwapFree. Who decides SwapTotal decides it only where it leaves less than the host has free, and where
 * no other limit may leave less still.
 */
function swapLeft(inputs: Inputs): readonly Part[] {
  const parts = swapParts(inputs);
  const totalKb = Number.parseInt(meminfoValue(inputs.read(MEMINFO), "SwapTotal") ?? "", 10);
  const left = 1024 * totalKb - Number(parts.at(-1)?.sources[0]?.value);
  const others = [swapAbove(inputs), swapHigh(inputs)].flatMap(({ sources }) => sources);
  return others.length === 0 && left < hostBytes("SwapFree")
    ? parts
    : parts.map(({ sources }) => ({ sources }));
}

/** Keys (v2, v1) of the memory of a cgroup that the kernel can reclaim. */
const RECLAIMABLE = [
  ["active_file", "total_active_file", "file pages in use"],
  ["inactive_file", "total_inactive_file", "file pages out of use"],
  ["slab_reclaimable", "slab_reclaimable", "slab that can be dropped"],
] as const;

/** What v1's limit of memory and swap together leaves in a cgroup, and the files that tell; `back` can be reclaimed. */
function roomOfBoth(
  directory: string,
  of: string,
  back: number,
): { sources: SourceValue[]; left: number } {
  const limit = join(directory, "memory.memsw.limit_in_bytes");
  const most = limitOf(readFigure(limit));
  if (most === undefined) {
    return { sources: [], left: Number.POSITIVE_INFINITY };
  }
  const usage = join(directory, "memory.memsw.usage_in_bytes");
  const used = readFigure(usage);
  const sources = [
    source(limit, "", readFigure(limit), `limit of memory and swap together${of}, bytes`),
    source(usage, "", used, `memory and swap charged${of}, bytes`),
  ];
  return { sources, left: Math.max(most + back - Number(used ?? 0), 0) };
}

/**
 * How much memory is left in each cgroup along the chain whose limit is below the host's memory: the least decides.
 * `reclaimable`: what the kernel can reclaim counts as left, and memory.high counts as a limit.
 */
function room(inputs: Inputs, reclaimable: boolean): Part {
  const place = memoryOf(inputs);
  if (place === undefined) {
    return { sources: [source("-", "", "no controller", "memory limit, bytes")] };
  }
  const host = hostBytes("MemTotal");
  const files = place.v2 ? ["memory.max"] : ["memory.limit_in_bytes"];
  const limiting = place.v2 && reclaimable ? [...files, "memory.high"] : files;
  const levels = chainOf(place).flatMap((directory, level) => {
    const of = level === 0 ? "" : " of an ancestor";
    const all = limiting.map((file) => [join(directory, file), `limit${of}, bytes`] as const);
    const found = all.filter(([path]) => (limitOf(readFigure(path)) ?? host) < host);
    const stat = join(directory, "memory.stat");
    const text = reclaimable ? readFigure(stat) : undefined;
    const parts = RECLAIMABLE.map(([v2, v1, means]) => {
      const key = place.v2 ? v2 : v1;
      return { key, value: valueIn(text, key), means: `${means}${of}, bytes` };
    });
    const back = parts.reduce((sum, { value }) => sum + (value ?? 0), 0);
    const both = place.v2 ? undefined : roomOfBoth(directory, of, back);
    if (found.length === 0 && level > 0 && !both?.sources.length) {
      return [];
    }
    const usagePath = join(directory, place.v2 ? "memory.current" : "memory.usage_in_bytes");
    const used = readFigure(usagePath);
    const sources: SourceValue[] = [
      ...found.map(([path, means]) => source(path, "", readFigure(path), means)),
      source(usagePath, "", used, `charged${of}, bytes`),
      ...(both?.sources ?? []),
      ...(reclaimable ? parts.map(({ key, value, means }) => source(stat, key, value, means)) : []),
    ];
    const limit = Math.min(...found.map(([path]) => limitOf(readFigure(path)) ?? host), host);
    const left = found.length === 0 ? host : Math.max(limit + back - Number(used ?? 0), 0);
    return [{ directory, sources, left: Math.min(left, both?.left ?? host) }];
  });
  const hostLeft = hostBytes("MemAvailable") + inputs.arc;
  const lower = levels.filter(({ left }) => left < hostLeft);
  return {
    sources: levels.flatMap(({ sources }) => sources),
    decidedBy: leastBy(lower, ({ left }) => left)?.directory,
  };
}

/** The swap in use in each ancestor that limits swap. */
function swapAbove(inputs: Inputs): Part {
  const place = memoryOf(inputs);
  if (place === undefined) {
    return { sources: [] };
  }
  const [used, ...limiting] = place.v2
    ? (["memory.swap.current", "memory.swap.max", "memory.swap.high"] as const)
    : (["memory.memsw.usage_in_bytes", "memory.memsw.limit_in_bytes"] as const);
  const isSet = (path: string): boolean => limitOf(readFigure(path)) !== undefined;
  const above = chainOf(place)
    .slice(1)
    .filter((directory) => limiting.some((limit) => isSet(join(directory, limit))));
  return {
    sources: above.map((directory) => {
      const path = join(directory, used);
      return source(path, "", readFigure(path), "use of an ancestor's limit, bytes");
    }),
  };
}

/** Beyond memory.swap.high allocations stand still: what is left up to it can be had. */
function swapHigh(inputs: Inputs): Part {
  const place = memoryOf(inputs);
  if (place?.v2 !== true) {
    return { sources: [] };
  }
  const { sources } = limits(place, "memory.swap.high", "", "memory.swap.high, bytes");
  return { sources: sources.filter(({ value }) => limitOf(value) !== undefined) };
}

function meminfo(label: string) {
  return (text: string) => meminfoValue(text, label);
}

/** The fields of /proc/meminfo. */
export const MEMORY_FIELDS: readonly Field[] = [
  {
    names: ["MemTotal"],
    file: MEMINFO,
    formula:
      "min(the host's MemTotal, or that of the memory nodes that the cpuset allows; the smallest memory limit along the chain of cgroups)",
    parts: (inputs) => [
      hostMeminfo("MemTotal", "what the host has"),
      memoryNodes(inputs),
      totalLimit(inputs),
    ],
    result: meminfo("MemTotal"),
  },
  {
    names: ["MemFree"],
    file: MEMINFO,
    formula:
      "the least of limit - charged of the cgroup and of every one above that has a limit (v1: also that of memory and swap together), and what the host has free and others and ZFS have cached, at most its MemAvailable and what ZFS's cache would give back",
    parts: (inputs) => [
      hostMeminfo("MemFree", "what the host has free"),
      hostMeminfo("MemAvailable", "what the host could provide"),
      memoryNodes(inputs),
      zfsCache(inputs),
      room(inputs, false),
    ],
    result: meminfo("MemFree"),
  },
  {
    names: ["MemAvailable"],
    file: MEMINFO,
    formula:
      "the least of limit - charged + active_file + inactive_file + slab_reclaimable of the cgroup and of every one above that has a limit (memory.high counts as one; v1: also that of memory and swap together), and the host's MemAvailable with what ZFS's cache would give back",
    parts: (inputs) => [
      hostMeminfo("MemAvailable", "what the host could provide"),
      memoryNodes(inputs),
      zfsCache(inputs),
      room(inputs, true),
    ],
    result: meminfo("MemAvailable"),
  },
  {
    names: ["Cached"],
    file: MEMINFO,
    formula:
      "file pages charged to the container, shared memory included; without a limit at most the host's Cached",
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
      "the smallest swap limit along the chain (v1: the smallest limit of memory and swap - the smallest memory limit, at most the difference of its own), at least what is swapped out, at most the host's SwapTotal; 0 on v1 with swappiness 0 and nothing swapped out",
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
    formula:
      "the least of SwapTotal - what the container has swapped out, limit - use of every cgroup above that has a limit (v1: of memory and swap, and what the container has in memory), memory.swap.high - use of it and of every one above (v2), and the host's SwapFree",
    parts: (inputs) => [
      ...swapLeft(inputs),
      swapAbove(inputs),
      swapHigh(inputs),
      hostMeminfo("SwapFree", "what the host has free"),
    ],
    result: meminfo("SwapFree"),
  },
];
