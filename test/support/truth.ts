// What tools say of a container's size and load, beside what its cgroup says: the rows of the truth
// table. Reads no file of ours, but runs the tools and asks the kernel.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { hierarchyOf, isV2 } from "./cgroups.js";
import { haveProgram, type Outcome, outputSync } from "./command.js";
import { program } from "./programs.js";
import { project } from "./project.js";

export type Verdict = "true" | "WRONG" | "not by files" | "not checked";

export interface Row {
  readonly tool: string;
  readonly figure: string;
  readonly shown: string;
  readonly truth: string;
  readonly verdict: Verdict;
}

/** A container that programs can be run in. */
export interface Place {
  readonly init: number;
  run(argv: readonly string[]): Promise<Outcome>;
}

export interface Size {
  readonly memoryMiB: number;
  readonly swapMiB: number;
  readonly cpus: readonly number[];
  /** CPUs that the kernel lets it run on, by the cpuset alone. */
  readonly affinity: number;
  /** sysinfo(2) and sched_getaffinity(2) are answered for it: nothing of theirs is the kernel's. */
  readonly isAnswered?: boolean;
}

/** What the container is at a moment, as its cgroup and the host's kernel know it. */
interface Moment {
  readonly usedMiB: number;
  readonly cpuSeconds: number;
  readonly tasks: number;
  /** Of the machine. */
  readonly seconds: number;
}

const MIB = 2 ** 20;
const LOOK_MS = 5;
/** How old the last count of tasks may be. */
const COUNTED_SECONDS = 6;
/** The kernel charges memory in batches per CPU, and between two looks it may rise and fall. */
const CHARGE_MIB = 1;

function hostSeconds(): number {
  return Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
}

function startOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]) / 100;
}

/** Asks the cgroup of a container's init. */
function momentOf(init: number): Moment {
  const memory = hierarchyOf(init, "memory");
  const usage = readFileSync(
    join(memory, isV2 ? "memory.current" : "memory.usage_in_bytes"),
    "utf8",
  );
  const cpu = isV2
    ? Number(
        /^usage_usec (\d+)$/m.exec(
          readFileSync(join(hierarchyOf(init, "cpu"), "cpu.stat"), "utf8"),
        )?.[1],
      ) / 1e6
    : Number(readFileSync(join(hierarchyOf(init, "cpuacct"), "cpuacct.usage"), "utf8")) / 1e9;
  return {
    usedMiB: Number(usage) / MIB,
    cpuSeconds: cpu,
    tasks: Number(readFileSync(join(hierarchyOf(init, "pids"), "pids.current"), "utf8")),
    seconds: hostSeconds(),
  };
}

/** A range in which a moving figure has been. */
type Range = readonly [low: number, high: number];

/** The truth all the time: what a tool has read at some moment of its run was true then. */
class Watch {
  readonly #init: number;
  readonly #moments: Moment[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #start: number;

  constructor(init: number) {
    this.#init = init;
    this.#start = startOf(init);
    this.#look();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    this.#moments.push(momentOf(this.#init));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Runs a tool, and tells what was true meanwhile. */
  async during<T>(work: () => Promise<T>): Promise<readonly [T, Truth]> {
    this.#look();
    const begin = this.#moments.length - 1;
    const result = await work();
    this.#look();
    return [result, new Truth(this.#moments, begin, this.#start)];
  }
}

/** What was true from one moment on. */
class Truth {
  readonly #before: readonly Moment[];
  readonly #moments: readonly Moment[];
  readonly #start: number;

  constructor(moments: readonly Moment[], begin: number, start: number) {
    this.#before = moments.slice(0, begin);
    this.#moments = moments.slice(begin);
    this.#start = start;
  }

  get usedMiB(): Range {
    return rangeOf(this.#moments.map((moment) => moment.usedMiB));
  }

  /** Tasks are counted every five seconds. */
  get tasks(): Range {
    const since = (this.#moments[0]?.seconds ?? 0) - COUNTED_SECONDS;
    const recent = this.#before.filter(({ seconds }) => seconds >= since);
    return rangeOf([...recent, ...this.#moments].map(({ tasks }) => tasks));
  }

  /** CPUs that were busy, on average over any stretch of about a second. */
  get busyCpus(): Range {
    const rates = this.#moments.flatMap((from) => {
      const to = this.#moments.find(({ seconds }) => seconds >= from.seconds + 0.95);
      return to === undefined
        ? []
        : (to.cpuSeconds - from.cpuSeconds) / (to.seconds - from.seconds);
    });
    return rangeOf(rates);
  }

  /** Seconds since the container's init began. */
  get age(): Range {
    return rangeOf(this.#moments.map(({ seconds }) => seconds - this.#start));
  }
}

function rangeOf(values: readonly number[]): Range {
  // Not by spreading: there may be very many.
  return [
    values.reduce((low, value) => Math.min(low, value), Number.POSITIVE_INFINITY),
    values.reduce((high, value) => Math.max(high, value), Number.NEGATIVE_INFINITY),
  ];
}

/** A figure that a tool printed, and what it should be. */
interface Claim {
  readonly figure: string;
  readonly shown: number | string | undefined;
  readonly truth: number | string | Range;
  /** How far a number may be off, either way: what the tool rounds. */
  readonly within?: number;
  /** The kernel answers the tool itself, not a file: what is not true is none of ours. */
  readonly isKernels?: boolean;
}

interface Span {
  readonly truth: Truth;
  readonly size: Size;
}

interface Probe {
  readonly tool: string;
  readonly argv: readonly string[];
  readonly claims: (text: string, span: Span) => readonly Claim[];
}

function numberIn(text: string, pattern: RegExp): number | undefined {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

function idsOf(list: string): string {
  return list
    .trim()
    .split(/[\s,]+/)
    .filter(Boolean)
    .flatMap((part) => {
      const [first = 0, last = first] = part.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    })
    .join(" ");
}

function sum(text: string, pattern: RegExp): number | undefined {
  const found = [...text.matchAll(pattern)].map(([, value]) => Number(value));
  return found.length === 0 ? undefined : found.reduce((all, value) => all + value, 0);
}

/** "1h 02:03", "3 min", "2 days, 1:02" of uptime, in seconds, to the minute. */
function uptimeSeconds(text: string): number | undefined {
  const [, days = "0", clock] = /up +(?:(\d+) days?, +)?(\d+:\d+|\d+ min)/.exec(text) ?? [];
  if (clock === undefined) {
    return undefined;
  }
  const [first = 0, second] = clock.split(/:| min/).map(Number);
  const minutes = clock.includes(":") ? first * 60 + (second ?? 0) : first;
  return (Number(days) * 1440 + minutes) * 60;
}

/** Bytes of "256M", "1.5G" and the like, as htop prints them. */
function humanMiB(text: string | undefined): number | undefined {
  const [, number, unit = ""] = /^([\d.]+)([KMGT]?)/.exec(text ?? "") ?? [];
  const scale: Readonly<Record<string, number>> = { K: 1 / 1024, M: 1, G: 1024, T: 1024 ** 2 };
  return number === undefined ? undefined : Number(number) * (scale[unit] ?? 1 / MIB);
}

function total(size: Size): Claim[] {
  return [{ figure: "memory MiB", shown: undefined, truth: size.memoryMiB }];
}

function memory(size: Size, mib: number | undefined, isKernels = false): Claim {
  const [claim] = total(size);
  return { figure: "memory MiB", truth: 0, ...claim, shown: mib, isKernels };
}

function swap(size: Size, mib: number | undefined, isKernels = false): Claim {
  return { figure: "swap MiB", shown: mib, truth: size.swapMiB, within: 0.01, isKernels };
}

function used({ truth }: Span, mib: number | undefined): Claim {
  return { figure: "used MiB", shown: mib, truth: truth.usedMiB, within: CHARGE_MIB };
}

function count(size: Size, shown: number | undefined): Claim {
  return { figure: "CPUs", shown, truth: size.cpus.length };
}

/** What sched_getaffinity(2) decides. */
function affinity(size: Size, shown: number | undefined, figure = "CPUs"): Claim {
  return { figure, shown, truth: size.cpus.length, isKernels: size.isAnswered !== true };
}

/** Whether what sysinfo(2) says is the node's. */
function asksKernel({ size }: { readonly size: Size }): boolean {
  return size.isAnswered !== true;
}

/** CPUs that there may be, as the host's kernel promises. */
const POSSIBLE = idsOf(readFileSync("/sys/devices/system/cpu/possible", "utf8")).split(" ");

/** `cpuN` directories: of one CPU shown among several that threads run on, a second one stays. */
function directories(size: Size): number {
  return Math.max(size.cpus.length, Math.min(size.affinity, 2));
}

/** What _SC_NPROCESSORS_CONF is: glibc counted directories before 2.36. */
function configuredCpus(size: Size, shown: number | undefined, figure: string): Claim {
  const [, major = 0, minor = 0] = (LIBC.match(/(\d+)\.(\d+)/) ?? []).map(Number);
  const readsPossible = major > 2 || minor >= 36;
  return { figure, shown, truth: readsPossible ? POSSIBLE.length : directories(size) };
}

function ids(size: Size, shown: string | undefined): Claim {
  const list = shown === undefined ? undefined : idsOf(shown);
  return { figure: "CPU ids", shown: list, truth: size.cpus.join(" ") };
}

function busyCpus(span: Span, percent: number | undefined): Claim {
  const shown = percent === undefined ? undefined : (percent / 100) * span.size.cpus.length;
  // Ticks of a second, and what a report has pending.
  return { figure: "busy CPUs", shown, truth: span.truth.busyCpus, within: 0.1 };
}

/** `step`: to how many seconds the tool rounds down. */
function age(span: Span, seconds: number | undefined, step = 0, isKernels = false): Claim {
  const [low, high] = span.truth.age;
  return { figure: "uptime s", shown: seconds, truth: [low - step, high], within: 0.5, isKernels };
}

/** A date that a tool printed, in whole seconds, from a date of boot in whole seconds. */
function since(span: Span, date: string, figure = "uptime s"): Claim {
  const [low, high] = span.truth.age;
  const shown = (Date.now() - Date.parse(date)) / 1000;
  return { figure, shown, truth: [low, high + 2], within: 0.5 };
}

const MINUTE = 60;
const KB = 1024;
const PYTHON = `
import os, multiprocessing as m
print(os.cpu_count(), m.cpu_count(), len(os.sched_getaffinity(0)),
      os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
      os.sysconf("SC_NPROCESSORS_ONLN"), os.sysconf("SC_NPROCESSORS_CONF"))`;
const NODE = `const os = require("node:os");
console.log(os.cpus().length, os.totalmem() / 2 ** 20, os.availableParallelism(), os.uptime())`;

const GO_PROGRAM = "/cpus-go";
const GO_SOURCE = `package main
import ("fmt"; "runtime")
func main() { fmt.Println(runtime.NumCPU(), runtime.GOMAXPROCS(0)) }
`;

const LIBC = existsSync("/usr/bin/getconf")
  ? outputSync(["getconf", "GNU_LIBC_VERSION"])
  : "glibc 2.36";
const COUNTS_PROGRAM = "/counts";
/** Each Java once, whatever links lead to it; its name in /usr/bin is a link into /etc. */
const JVM_DIRECTORY = "/usr/lib/jvm";
const JVMS = existsSync(JVM_DIRECTORY)
  ? [
      ...new Set(
        readdirSync(JVM_DIRECTORY)
          .map((name) => join(JVM_DIRECTORY, name, "bin/java"))
          .filter((java) => existsSync(java))
          .map((java) => realpathSync(java)),
      ),
    ]
  : [];
const MUSL_PROGRAM = "/size-musl";
const MUSL_SOURCE = `#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) {
  double load = -1, file = -1;
  getloadavg(&load, 1);
  FILE *f = fopen("/proc/loadavg", "r");
  if (f == NULL || fscanf(f, "%lf", &file) != 1) return 1;
  printf("%f %f %f %ld\\n", (double)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 1048576,
         load, file, sysconf(_SC_NPROCESSORS_ONLN));
  printf("%ld\\n", sysconf(_SC_NPROCESSORS_CONF));
  return 0;
}
`;

const PROBES: readonly Probe[] = [
  {
    tool: "free",
    argv: ["free", "-k"],
    claims: (text, span) => [
      memory(span.size, (numberIn(text, /^Mem: +(\d+)/m) ?? Number.NaN) / KB),
      swap(span.size, (numberIn(text, /^Swap: +(\d+)/m) ?? Number.NaN) / KB),
      used(
        span,
        span.size.memoryMiB - (numberIn(text, /^Mem: +\d+ +\d+ +(\d+)/m) ?? Number.NaN) / KB,
      ),
    ],
  },
  {
    tool: "busybox free",
    argv: ["busybox", "free", "-k"],
    claims: (text, span) => [
      memory(span.size, (numberIn(text, /^Mem: +(\d+)/m) ?? Number.NaN) / KB, asksKernel(span)),
      swap(span.size, (numberIn(text, /^Swap: +(\d+)/m) ?? Number.NaN) / KB, asksKernel(span)),
    ],
  },
  {
    tool: "top",
    argv: ["top", "-b", "-n2", "-d1", "-w", "200"],
    claims: (text, span) => {
      const frames = [...text.matchAll(/^%Cpu\(s\): *([\d.]+) us, +([\d.]+) sy, +([\d.]+) ni/gm)];
      const [, us, sy, ni] = frames.at(-1) ?? [];
      const percent = us === undefined ? undefined : Number(us) + Number(sy) + Number(ni);
      return [
        memory(span.size, numberIn(text, /^MiB Mem : +([\d.]+) total/m)),
        swap(span.size, numberIn(text, /^MiB Swap: +([\d.]+) total/m)),
        used(
          span,
          span.size.memoryMiB - (numberIn(text, /^MiB Mem .*?([\d.]+) free/m) ?? Number.NaN),
        ),
        busyCpus(span, percent),
        age(span, uptimeSeconds(text), MINUTE),
      ];
    },
  },
  {
    tool: "htop",
    argv: ["timeout", "3", "script", "-qec", "TERM=linux htop -C", "/dev/null"],
    claims: (text, span) => {
      const [start, ...shifts] = [27, 14, 15].map((code) => String.fromCharCode(code));
      const controls = `${start}[[(][?0-9;]*[A-Za-z]?|[${shifts.join("")}]`;
      const plain = text.replaceAll(new RegExp(controls, "g"), "");
      const bar = (name: string): string | undefined =>
        new RegExp(`${name}\\[[^\\]]*?/([\\d.]+[KMGT])`).exec(plain)?.[1];
      return [
        { ...memory(span.size, humanMiB(bar("Mem"))), within: 1 },
        { ...swap(span.size, span.size.swapMiB === 0 ? 0 : humanMiB(bar("Swp"))), within: 1 },
      ];
    },
  },
  {
    tool: "vmstat -s",
    argv: ["vmstat", "-s", "-S", "K"],
    claims: (text, span) => [
      memory(span.size, (numberIn(text, /^ *(\d+) K total memory$/m) ?? Number.NaN) / KB),
      swap(span.size, (numberIn(text, /^ *(\d+) K total swap$/m) ?? Number.NaN) / KB),
      used(
        span,
        span.size.memoryMiB - (numberIn(text, /^ *(\d+) K free memory$/m) ?? Number.NaN) / KB,
      ),
    ],
  },
  {
    tool: "vmstat 1 2",
    argv: ["vmstat", "-n", "1", "2"],
    claims: (text, span) => {
      const columns = text.trimEnd().split("\n").at(-1)?.trim().split(/\s+/).map(Number) ?? [];
      return [busyCpus(span, (columns[12] ?? Number.NaN) + (columns[13] ?? Number.NaN))];
    },
  },
  {
    tool: "mpstat",
    argv: ["env", "LC_ALL=C", "S_TIME_FORMAT=ISO", "mpstat", "-P", "ALL", "1", "1"],
    claims: (text, span) => {
      const rows = [...text.matchAll(/^Average: +(\S+) +([\d.]+) +([\d.]+) +([\d.]+)/gm)];
      const all = rows.find(([, cpu]) => cpu === "all");
      const numbered = rows.flatMap(([, cpu]) => (/^\d+$/.test(cpu ?? "") ? [cpu] : []));
      return [
        ids(span.size, numbered.join(" ")),
        busyCpus(
          span,
          all === undefined ? undefined : Number(all[2]) + Number(all[3]) + Number(all[4]),
        ),
      ];
    },
  },
  {
    tool: "nproc",
    argv: ["nproc"],
    claims: (text, { size }) => [affinity(size, numberIn(text, /^(\d+)$/m))],
  },
  {
    tool: "nproc --all",
    argv: ["nproc", "--all"],
    // What sysconf(3) says; gnulib takes 1 and 2 for made up where the affinity has more.
    claims: (text, { size }) => {
      const claim = configuredCpus(size, numberIn(text, /^(\d+)$/m), "CPUs");
      const allowed = size.isAnswered === true ? size.cpus.length : size.affinity;
      const isDoubted = Number(claim.truth) <= 2 && allowed > Number(claim.truth);
      return [isDoubted ? { ...claim, truth: allowed } : claim];
    },
  },
  {
    tool: "getconf",
    argv: [
      "/bin/sh",
      "-c",
      "getconf _NPROCESSORS_ONLN; getconf _NPROCESSORS_CONF; getconf _PHYS_PAGES; getconf PAGESIZE",
    ],
    claims: (text, { size }) => {
      const [online, configured, pages = Number.NaN, page = Number.NaN] = text
        .split("\n")
        .map(Number);
      return [
        affinity(size, online, "_NPROCESSORS_ONLN"),
        configuredCpus(size, configured, "_NPROCESSORS_CONF"),
        memory(size, (pages * page) / MIB, asksKernel({ size })),
      ];
    },
  },
  {
    tool: "lscpu",
    argv: ["lscpu"],
    claims: (text, { size }) => [
      count(size, numberIn(text, /^CPU\(s\): +(\d+)$/m)),
      ids(size, /^On-line CPU\(s\) list: +(.*)$/m.exec(text)?.[1]),
      ids(size, [...text.matchAll(/^NUMA node\d+ CPU\(s\): +(.*)$/gm)].map((m) => m[1]).join(",")),
    ],
  },
  {
    tool: "numactl -H",
    argv: ["numactl", "--hardware"],
    claims: (text, { size }) => [
      { ...memory(size, sum(text, /^node \d+ size: (\d+) MB$/gm)), within: 4 },
      ids(size, [...text.matchAll(/^node \d+ cpus: (.*)$/gm)].map((m) => m[1]).join(" ")),
    ],
  },
  {
    tool: "lstopo",
    argv: ["lstopo-no-graphics", "--no-io", "--of", "console"],
    claims: (text, { size }) => [
      count(size, text.match(/PU L#/g)?.length),
      { ...memory(size, numberIn(text, /^Machine \((\d+)MB total\)/m)), within: 1 },
    ],
  },
  {
    tool: "uptime",
    argv: ["uptime"],
    claims: (text, span) => [age(span, uptimeSeconds(text), MINUTE)],
  },
  {
    tool: "uptime -s",
    argv: ["env", "TZ=UTC", "uptime", "-s"],
    claims: (text, span) => [since(span, `${text.trim().replace(" ", "T")}Z`)],
  },
  {
    tool: "Python os.getloadavg()",
    argv: [
      "python3",
      "-c",
      "import os; print(*os.getloadavg(), *open('/proc/loadavg').read().split()[:3])",
    ],
    claims: (text, { size }) => {
      const loads = text.trim().split(" ").map(Number);
      return [0, 1, 2].map((at) => ({
        figure: `load ${[1, 5, 15][at]} min`,
        shown: loads[at],
        truth: loads[at + 3] ?? Number.NaN,
        // A sample may have been taken in between.
        within: 0.2,
        isKernels: asksKernel({ size }),
      }));
    },
  },
  {
    tool: "static musl program",
    argv: [MUSL_PROGRAM],
    claims: (text, { size }) => {
      const [mib, load, file, cpus, configured] = text.trim().split(/\s+/).map(Number);
      return [
        memory(size, mib, asksKernel({ size })),
        {
          figure: "load 1 min",
          shown: load,
          truth: file ?? Number.NaN,
          within: 0.2,
          isKernels: asksKernel({ size }),
        },
        affinity(size, cpus),
        affinity(size, configured, "_NPROCESSORS_CONF"),
      ];
    },
  },
  {
    tool: "libraries' logic",
    argv: [COUNTS_PROGRAM],
    claims: (text, { size }) => {
      const of = (name: string): number | undefined =>
        numberIn(text, new RegExp(`^${name} (-?\\d+)$`, "m"));
      const slots = POSSIBLE.length === 0 ? 0 : Number(POSSIBLE.at(-1)) + 1;
      return [
        { figure: "CONF of glibc to 2.35", shown: of("directories"), truth: directories(size) },
        { figure: "CONF of glibc 2.36", shown: of("possible"), truth: POSSIBLE.length },
        { figure: "libbpf's possible CPUs", shown: of("slots"), truth: slots },
        { figure: ".NET's affinity mask", shown: of("mask"), truth: 1 },
        { figure: "ids of getcpu(2)", shown: of("index"), truth: [0, slots - 1] },
        { figure: "CPUs present", shown: of("present"), truth: size.cpus.length },
      ];
    },
  },
  {
    tool: "busybox uptime",
    argv: ["busybox", "uptime"],
    claims: (text, span) => [age(span, uptimeSeconds(text), MINUTE, asksKernel(span))],
  },
  {
    tool: "ps",
    argv: ["env", "TZ=UTC", "LC_ALL=C", "ps", "-o", "etimes=,lstart=", "-p", "1"],
    // Start times are the kernel's: docs/design/times.md.
    claims: (text, span) => {
      const [elapsed = "", ...words] = text.trim().split(/\s+/);
      return [
        since(span, `${words.join(" ")} UTC`, "start of init, s ago"),
        { ...age(span, Number(elapsed), 1, true), figure: "etimes of init" },
      ];
    },
  },
  {
    tool: "loadavg",
    argv: ["cat", "/proc/loadavg"],
    claims: (text, { truth }) => [
      {
        figure: "tasks",
        shown: numberIn(text, /^[\d.]+ [\d.]+ [\d.]+ \d+\/(\d+) /),
        truth: truth.tasks,
      },
    ],
  },
  {
    tool: "swapon",
    argv: ["swapon", "--show=SIZE", "--bytes", "--noheadings"],
    claims: (text, { size }) => [swap(size, (sum(text, /^ *(\d+)$/gm) ?? 0) / MIB)],
  },
  ...["cat", "busybox cat"].map(
    (tool): Probe => ({
      tool,
      argv: [...tool.split(" "), "/proc/meminfo", "/sys/devices/system/cpu/online"],
      claims: (text, span) => [
        memory(span.size, (numberIn(text, /^MemTotal: +(\d+)/m) ?? Number.NaN) / KB),
        used(span, span.size.memoryMiB - (numberIn(text, /^MemFree: +(\d+)/m) ?? Number.NaN) / KB),
        ids(span.size, text.trimEnd().split("\n").at(-1)),
      ],
    }),
  ),
  {
    tool: "sh, while read",
    argv: [
      "/bin/sh",
      "-c",
      // A byte a time, which takes long beside a load: no further than to what is asked for.
      "while read a b c; do case $a in MemTotal:) echo $b;; SwapTotal:) echo swap $b; break;; esac; " +
        "done </proc/meminfo; " +
        "while read a b; do case $a in cpu) ;; cpu[0-9]*) echo $a;; *) break;; esac; done </proc/stat",
    ],
    claims: (text, { size }) => [
      memory(size, (numberIn(text, /^(\d+)$/m) ?? Number.NaN) / KB),
      swap(size, (numberIn(text, /^swap (\d+)$/m) ?? Number.NaN) / KB),
      ids(size, [...text.matchAll(/^cpu(\d+)$/gm)].map((m) => m[1]).join(" ")),
    ],
  },
  {
    tool: "python3",
    argv: ["python3", "-c", PYTHON],
    claims: (text, { size }) => {
      const [osCount, processes, allowed, mib, online, configured] = text
        .trim()
        .split(/\s+/)
        .map(Number);
      return [
        { ...affinity(size, osCount), figure: "os.cpu_count()" },
        { ...affinity(size, processes), figure: "multiprocessing.cpu_count()" },
        { ...affinity(size, allowed), figure: "os.sched_getaffinity()" },
        memory(size, mib, asksKernel({ size })),
        { ...affinity(size, online), figure: "SC_NPROCESSORS_ONLN" },
        configuredCpus(size, configured, "SC_NPROCESSORS_CONF"),
      ];
    },
  },
  {
    tool: "node",
    argv: ["node", "-e", NODE],
    claims: (text, span) => {
      const [cpus, mib, parallel, up] = text.trim().split(/\s+/).map(Number);
      return [
        { ...count(span.size, cpus), figure: "os.cpus()" },
        { ...memory(span.size, mib), figure: "os.totalmem() MiB" },
        { ...affinity(span.size, parallel), figure: "os.availableParallelism()" },
        { ...age(span, up), figure: "os.uptime() s" },
      ];
    },
  },
  ...JVMS.map(
    (java): Probe => ({
      tool: `java (${java.split("/").at(-3)})`,
      argv: [java, "-XshowSettings:all", "-version"],
      claims: (text, { size }) =>
        [
          {
            figure: "its heap of a quarter of memory MiB",
            shown: humanMiB(/Heap Size \(Estimated\): ([\d.]+[KMGT])/.exec(text)?.[1]),
            truth: size.memoryMiB / 4,
            within: size.memoryMiB / 32,
            isKernels: true,
          },
          {
            ...affinity(size, numberIn(text, /Effective CPU Count: (\d+)/)),
            figure: "Effective CPU Count",
          },
          {
            ...memory(size, humanMiB(/Memory Limit: ([\d.]+[KMGT])/.exec(text)?.[1]), true),
            figure: "Memory Limit MiB",
          },
          // Without cgroup files it has no metrics, and before Java 11 it tells none.
        ].filter(({ shown }) => shown !== undefined),
    }),
  ),
  {
    tool: "go",
    argv: [GO_PROGRAM],
    claims: (text, { size }) => {
      const [cpus, most] = text.trim().split(" ").map(Number);
      return [
        affinity(size, cpus, "runtime.NumCPU()"),
        affinity(size, most, "runtime.GOMAXPROCS(0)"),
      ];
    },
  },
];

function printed(value: number | string | Range | undefined): string {
  if (value === undefined || (typeof value === "number" && Number.isNaN(value))) {
    return "nothing";
  }
  if (typeof value === "object") {
    const [low, high] = value.map(printed);
    return low === high ? `${low}` : `${low} to ${high}`;
  }
  return typeof value === "number" ? `${Math.round(value * 100) / 100}` : value;
}

function judged(tool: string, claim: Claim): Row {
  const { figure, shown, truth, within = 0, isKernels = false } = claim;
  const [low, high] = typeof truth === "object" ? truth : [truth, truth];
  const isTrue =
    typeof shown === "number" && typeof low === "number" && typeof high === "number"
      ? shown >= low - within && shown <= high + within
      : shown === truth;
  const verdict = isTrue ? "true" : isKernels ? "not by files" : "WRONG";
  return { tool, figure, shown: printed(shown), truth: printed(truth), verdict };
}

/** A program of ours that is compiled where its compiler is installed. */
interface Compiled {
  readonly compiler: string;
  readonly source: string;
  readonly suffix: string;
  /** Where it lies in the container. */
  readonly path: string;
  /** The command line that makes `program` of `source`; `scratch` is removed afterwards. */
  readonly build: (program: string, source: string, scratch: string) => readonly string[];
}

const COMPILED: readonly Compiled[] = [
  {
    compiler: "go",
    source: GO_SOURCE,
    suffix: ".go",
    path: GO_PROGRAM,
    build: (program, source, scratch) => [
      ...["env", `GOCACHE=${scratch}`, "CGO_ENABLED=0", "GO111MODULE=off"],
      ...["go", "build", "-o", program, source],
    ],
  },
  {
    compiler: "musl-gcc",
    source: MUSL_SOURCE,
    suffix: ".c",
    path: MUSL_PROGRAM,
    build: (program, source) => ["musl-gcc", "-O2", "-static", "-o", program, source],
  },
];

function putProgram(init: number, { compiler, source, suffix, path, build }: Compiled): void {
  if (!haveProgram(compiler)) {
    return;
  }
  const directory = join(project, "build/test-programs");
  const built = join(directory, path);
  const isBuilt = existsSync(built) && readFileSync(built + suffix, "utf8") === source;
  if (!isBuilt) {
    mkdirSync(directory, { recursive: true });
    writeFileSync(built + suffix, source);
    const scratch = join(directory, "scratch");
    outputSync(build(built, built + suffix, scratch));
    rmSync(scratch, { recursive: true, force: true });
  }
  copyFileSync(built, `/proc/${init}/root${path}`);
}

/** Runs all tools that the container has, one after the other, and judges what they print. */
export async function truthTable(place: Place, size: Size): Promise<Row[]> {
  for (const compiled of COMPILED) {
    putProgram(place.init, compiled);
  }
  copyFileSync(program("counts"), `/proc/${place.init}/root${COUNTS_PROGRAM}`);
  const rows: Row[] = [];
  const watch = new Watch(place.init);
  try {
    for (const { tool, argv, claims } of PROBES) {
      const [outcome, truth] = await watch.during(() => place.run(argv));
      const text = `${outcome.stdout}${outcome.stderr}`;
      // 126, 127, 255: not there. timeout(1) ends htop with 124.
      const isMissing = /not found|No such file|Failed to exec/i.test(text);
      if (isMissing && (outcome.status !== 0 || tool === "htop")) {
        rows.push({ tool, figure: "", shown: "", truth: "not installed", verdict: "not checked" });
      } else {
        rows.push(...claims(text, { truth, size }).map((claim) => judged(tool, claim)));
      }
    }
  } finally {
    watch.stop();
  }
  return rows;
}
