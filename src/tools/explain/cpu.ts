import { dirname, join } from "node:path";
import { statField } from "../../processes.js";
import { chainOf, limitOf, readFigure } from "../cgroup-files.js";
import { type Field, type Inputs, leastBy, own, type Part, source } from "./parts.js";

const STAT = "proc/stat";

const cpuOf = ({ container }: Inputs) => container.cgroups.cpu;

/** The CPUs that a quota amounts to; undefined: there is no quota. */
function ratioOf(quotaUs: number | undefined, periodUs: number | undefined): number | undefined {
  return quotaUs === undefined || periodUs === undefined ? undefined : quotaUs / periodUs;
}

/** The smallest quota / period along the chain; it decides if it is below `ceiling` CPUs. */
function quota(inputs: Inputs, ceiling = Number.POSITIVE_INFINITY): Part {
  const place = cpuOf(inputs);
  if (place === undefined) {
    return { sources: [source("-", "", "no controller", "CPU quota")] };
  }
  const found = chainOf(place).flatMap((directory) => {
    if (place.v2) {
      const path = join(directory, "cpu.max");
      const text = readFigure(path);
      const [quotaUs, period] = (text ?? "").split(" ").map(limitOf);
      return text === undefined ? [] : [{ directory, path, text, ratio: ratioOf(quotaUs, period) }];
    }
    const path = join(directory, "cpu.cfs_quota_us");
    const text = readFigure(path);
    const period = limitOf(readFigure(join(directory, "cpu.cfs_period_us")));
    const ratio = ratioOf(limitOf(text), period);
    return text === undefined ? [] : [{ directory, path, text: `${text} of ${period}`, ratio }];
  });
  const least = leastBy(found, ({ ratio = Number.POSITIVE_INFINITY }) => ratio);
  return {
    sources: found.map(({ path, text, ratio }, level) =>
      source(
        path,
        "",
        text,
        `${level === 0 ? "quota and period, µs" : "of an ancestor"}${ratio === undefined ? "" : `: ${Number(ratio.toFixed(3))} CPUs`}`,
      ),
    ),
    decidedBy: isBelow(least?.ratio, ceiling) ? least?.directory : undefined,
  };
}

/** Whether a quota shows fewer CPUs than `ceiling`: part of a CPU is shown as a whole one. */
function isBelow(cpus: number | undefined, ceiling: number): boolean {
  return cpus !== undefined && Math.ceil(cpus) < ceiling;
}

/** How many CPUs there are in a list such as "0-3,6". */
function countOf(list: string | undefined): number {
  return (list ?? "").split(",").reduce((sum, range) => {
    const [first = "", last = first] = range.split("-");
    return /^\d+$/.test(first) ? sum + Number(last) - Number(first) + 1 : sum;
  }, 0);
}

/** The CPUs shown: those of the effective cpuset, but at most as many as the quota amounts to. */
function cpus(inputs: Inputs): readonly Part[] {
  const set = cpuset(inputs);
  const [own, host] = [set.sources[0], set.sources.at(-1)];
  const limit = quota(inputs, countOf(own?.value));
  const isSmaller = countOf(own?.value) < countOf(host?.value);
  const decidedBy = limit.decidedBy ?? (isSmaller ? dirname(own?.path ?? "") : undefined);
  return [{ ...set, decidedBy }, limit];
}

/** Whether a cgroup is a valid partition of cpuset, whose effective set lacks the CPUs of partitions below it. */
function isPartition(directory = ""): boolean {
  return ["root", "isolated"].includes(readFigure(join(directory, "cpuset.cpus.partition")) ?? "");
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
  const effective = place.v2 ? "cpuset.cpus.effective" : "cpuset.effective_cpus";
  const chain = chainOf(place);
  const own = isPartition(chain[0]) ? ["cpuset.cpus.exclusive.effective", "cpuset.cpus"] : [];
  const paths = [
    ...own.map((name) => join(chain[0] ?? "", name)),
    ...chain.map((directory) => join(directory, effective)),
  ];
  for (const path of paths) {
    const text = readFigure(path);
    if (text !== undefined && text !== "") {
      const means = path.endsWith(effective) ? "effective cpuset" : "cpuset of the partition";
      return { sources: [source(path, "", text, means), host] };
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
    place?.v2 === true ? "throttled, µs" : "throttled, ns",
  );
}

/** A column of the "cpu" line of /proc/stat, in ticks. */
function statColumn(column: number) {
  return (text: string): string | undefined => {
    const ticks = /^cpu +(.*)$/m.exec(text)?.[1]?.split(" ")[column];
    return ticks === undefined ? undefined : `${ticks} ticks (${Number(ticks) / 100} s)`;
  };
}

/** CPUs, their time, and what runs on them. */
export const CPU_FIELDS: readonly Field[] = [
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
    formula: "CPU time in user mode of niced tasks, if the kernel reports it (v2 of newer kernels)",
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
    formula: "the time for which each CPU was shown, summed, - user - nice - system - steal",
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
      "time for which CPU quotas throttled the container, as far as its CPUs had that much time to lose",
    parts: (inputs) => [throttled(inputs), quota(inputs)],
    result: statColumn(7),
  },
  {
    names: ["uptime"],
    file: "proc/uptime",
    formula:
      "time since the container's init began; then the idle time of the cpu line of stat (CPUs that were shown before are part of it)",
    parts: ({ container }) => {
      const path = `/proc/${container.init}/stat`;
      const start = statField(container.init, 22);
      const now = readFigure("/proc/uptime");
      return [
        { sources: [source(path, "starttime", start, "start of init, ticks since boot")] },
        { sources: [source("/proc/uptime", "", now, "of the host, s")] },
      ];
    },
    result: (text) => text.trim(),
  },
  {
    names: ["loadavg", "load"],
    file: "proc/loadavg",
    formula:
      "averages over 1, 5 and 15 minutes of the container's running and blocked tasks, sampled every 5 s",
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
            "the cgroup whose tasks are counted, including all cgroups below it",
          ),
        ],
      },
    ],
    result: (text) => text.trim(),
  },
];
