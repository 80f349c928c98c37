// The tools that are asked, and what they print.

import { existsSync, readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { top } from "../top.js";
import {
  affinity,
  age,
  asksKernel,
  busyCpus,
  type Claim,
  configuredCpus,
  count,
  directories,
  humanMiB,
  ids,
  memory,
  numberIn,
  POSSIBLE,
  type Span,
  since,
  sum,
  swap,
  uptimeSeconds,
  used,
} from "./claims.js";
import { MIB } from "./moments.js";
import { COUNTS_PROGRAM, GO_PROGRAM, MUSL_PROGRAM } from "./programs.js";

interface Probe {
  readonly tool: string;
  readonly argv: readonly string[];
  readonly claims: (text: string, span: Span) => readonly Claim[];
}

const MINUTE = 60;
const KB = 1024;
const PYTHON = `
import os, multiprocessing as m
print(os.cpu_count(), m.cpu_count(), len(os.sched_getaffinity(0)),
      os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
      os.sysconf("SC_NPROCESSORS_ONLN"), os.sysconf("SC_NPROCESSORS_CONF"))`;
/** What Glances, bpytop, s-tui and many others are made of. */
const PSUTIL = `
from datetime import datetime, timezone
try:
    import psutil
except ImportError:
    raise SystemExit("psutil: not found")
memory, swap = psutil.virtual_memory(), psutil.swap_memory()
print(memory.total / 2**20, swap.total / 2**20,
      len(psutil.cpu_times(percpu=True)), len(psutil.disk_io_counters(perdisk=True)),
      datetime.fromtimestamp(psutil.Process(1).create_time(), timezone.utc).isoformat())`;
const NODE = `const os = require("node:os");
console.log(os.cpus().length, os.totalmem() / 2 ** 20, os.availableParallelism(), os.uptime())`;

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

/** Its name in /usr/bin is a link into /etc, too. */
const SAR = existsSync("/usr/bin/sar") ? realpathSync("/usr/bin/sar") : "sar";

export const PROBES: readonly Probe[] = [
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
    argv: top("-b", "-n2", "-d1", "-w", "200"),
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
    tool: "sar",
    // Since boot, and at once.
    argv: ["env", "LC_ALL=C", "S_TIME_FORMAT=ISO", SAR, "-r", "-S", "-q", "0"],
    claims: (text, span) => {
      const [memoryRow = [], swapRow = [], queueRow = []] = [
        ...text.matchAll(/^\d\d:\d\d:\d\d((?: +[\d.]+)+)$/gm),
      ].map(([, numbers = ""]) => numbers.trim().split(/ +/).map(Number));
      const [freeKb = Number.NaN] = memoryRow;
      const [swapFreeKb = Number.NaN, swapUsedKb = Number.NaN] = swapRow;
      return [
        used(span, span.size.memoryMiB - freeKb / KB),
        swap(span.size, (swapFreeKb + swapUsedKb) / KB),
        { figure: "tasks", shown: queueRow[1], truth: span.truth.tasks },
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
    tool: "psutil",
    argv: ["python3", "-c", PSUTIL],
    claims: (text, span) => {
      const [mib, swapMiB, cpus, disks, start = ""] = text.trim().split(" ");
      return [
        memory(span.size, Number(mib)),
        swap(span.size, Number(swapMiB)),
        count(span.size, Number(cpus)),
        { figure: "disks", shown: Number(disks), truth: [1, Number.POSITIVE_INFINITY] },
        since(span, start, "start of init, s ago"),
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
