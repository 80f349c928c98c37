import { execFile, spawn } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { askFigures } from "../../src/figures.js";
import { polledMountpointOf } from "../../src/polled.js";
import { type BenchCase, type Mark, SkipError, type Trial } from "../case.js";
import { type Metric, samples } from "../measure.js";
import type { Container } from "../support/containers.js";
import { startCrowd } from "../support/crowd.js";
import { daemonCpuNs, footprint, wakeups } from "../support/daemon.js";

/** Limits how many faults the kernel logs: by default ten in five seconds on the whole node. */
const RATE_LIMIT = "/proc/sys/kernel/printk_ratelimit";
/** A fault takes two records. */
const FAULTS = 5000;
const RECORDS = 10_000;
const PROCESSES = 2;
const CROWD = { quick: 20, full: 1000 } as const;
const REST_MS = { quick: 25_000, full: 40_000 } as const;
const MEASURED_S = { quick: 2, full: 10 } as const;
const BANNER = 4;

const KILLS = { quick: 5, full: 20 } as const;
const KILL_WITHIN_MS = 30_000;
/**
 * Pause between kills. The kernel logs the cgroups of ten kills in five seconds (oom_kill_process()) and only
 * the PIDs of others. A PID would prove nothing here: the victims are in the container's cgroup but not in
 * its PID namespace.
 */
const KILL_REST_MS = 600;
const MIB = 2 ** 20;

const FLOOD = "10000 records a second";
const SILENT = "silent";
const KILL = "kill";
const BEGUN = "logs that have begun";

/** A mark for `exact`, the only peer that has kernel logs of containers. */
function mark(series: string, metric: Metric, limit: number, title: string): Mark {
  return { title, limit, metric, measure: (medians) => medians.of("exact", series, metric) };
}

const marks: readonly Mark[] = [
  mark(FLOOD, "cpuShare", 20, `a core's share of what tells of ${FLOOD}`),
  mark(FLOOD, "lost", 0, "times that the host's log was overwritten before it was read"),
  // All records can be proven. The rest allows for faults while the machine stops the daemon for longer than
  // the kernel's rings last, and for "Code:" lines apart from their fault. Records that the log itself
  // overwrites later do not count.
  mark(FLOOD, "untold", 1, "records of a flood that its container is not told"),
  mark(SILENT, "cpuShare", 0.1, "an idle daemon's share of a core while the host's log is silent"),
  mark(
    KILL,
    "max",
    100e6,
    "from when the host's log tells of a kill until the container's does, at most",
  ),
  mark(BEGUN, "pss", 16, "memory for the logs of 1,000 containers that have begun"),
];

const run = promisify(execFile);

/** The number of the last record of the host's log. */
function lastRecord(): number {
  const file = openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK);
  const bytes = Buffer.alloc(8192);
  let last = 0;
  try {
    for (;;) {
      try {
        const text = bytes.toString("latin1", 0, readSync(file, bytes));
        last = Number(text.split(",")[1]);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EAGAIN") {
          return last;
        }
        // EPIPE: records were overwritten before they were read.
        if (code !== "EPIPE") {
          throw error;
        }
      }
    }
  } finally {
    closeSync(file);
  }
}

/** How many records a container's log has got after its first lines, and how many of them it still has. */
async function toldTo(trial: Trial, mountpoint: string, container: Container) {
  const argv = [trial.cli, "dmesg", `${container.pid}`, "--json", "--mountpoint", mountpoint];
  const { stdout } = await run(process.execPath, argv, { maxBuffer: 2 ** 24 });
  const numbers = [...stdout.matchAll(/^.*?"sequence":(\d+)/gm)].map(([, number]) =>
    Number(number),
  );
  const told = (numbers.at(-1) ?? BANNER - 1) + 1 - BANNER;
  return { told, kept: numbers.filter((number) => number >= BANNER).length };
}

/** Follows a log, and calls `seen` with each line. */
function followLog(path: string, seen: (line: string) => void): () => void {
  const child = spawn("cat", [path], { stdio: ["ignore", "pipe", "ignore"] });
  let rest = "";
  child.stdout.setEncoding("latin1").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(seen);
  });
  return () => child.kill("SIGKILL");
}

/** How long after the host's log a container's log has each kill, in ms. */
async function killDelays(kmsg: string, container: Container, kills: number): Promise<number[]> {
  const host = new Map<string, bigint>();
  const own: bigint[] = [];
  const stops = [
    followLog("/dev/kmsg", (line) => {
      const pid = /Killed process (\d+) /.exec(line)?.[1];
      if (pid !== undefined) {
        host.set(pid, process.hrtime.bigint());
      }
    }),
    followLog(kmsg, (line) => {
      if (line.includes("Killed process")) {
        own.push(process.hrtime.bigint());
      }
    }),
  ];
  const eat = ["-c", 'for dir; do echo 0 >"$dir/cgroup.procs"; done; exec tail /dev/zero', "sh"];
  const delays: number[] = [];
  try {
    while (delays.length < kills) {
      const count = own.length;
      const child = spawn("sh", [...eat, ...container.cgroups], { stdio: "ignore" });
      const until = Date.now() + KILL_WITHIN_MS;
      let at = host.get(`${child.pid}`);
      while (at === undefined || own.length === count) {
        if (Date.now() > until) {
          throw new SkipError("a kill was not told");
        }
        await sleep(5);
        at = host.get(`${child.pid}`);
      }
      delays.push(Math.max(0, Number((own[count] ?? at) - at) / 1e6));
      await sleep(KILL_REST_MS);
    }
  } finally {
    for (const stop of stops) {
      stop();
    }
  }
  return delays;
}

/** Makes the logs of all containers begin; returns by how many MiB the daemon grows. */
function beginLogs(pid: number, kmsgOf: (one: Container) => string, all: readonly Container[]) {
  const before = footprint(pid).pssKiB;
  for (const one of all) {
    closeSync(openSync(kmsgOf(one), constants.O_RDONLY | constants.O_NONBLOCK));
  }
  return ((footprint(pid).pssKiB - before) * 1024) / MIB;
}

export const kernelLog: BenchCase = {
  name: "kernel-log",
  title: "The kernel's log, told to containers",
  about: `Processes of one container among many crash as fast as they can, up to ${FAULTS} a second, and the kernel logs all of it (its rate limit is off meanwhile): the daemon's share of a core for ${RECORDS.toLocaleString("en-US")} records a second. Before that nothing is logged; and before that the logs of all begin, and one container's processes are killed for want of memory, which its log tells of some ms after the host's.`,
  peers: ["exact"],
  trials: { quick: 1, full: 3 },
  measure: async (trial) => {
    const { pid, containers, source } = await startCrowd(trial, CROWD[trial.scale], ["meminfo"]);
    const [container] = containers;
    if (container === undefined) {
      throw new SkipError("there is no container");
    }
    const [mountpoint = ""] = ((await source(container, "meminfo")) ?? "").split("/self/");
    const help = await run(process.execPath, [trial.cli, "--help"]);
    if (!help.stdout.includes("dmesg")) {
      throw new SkipError("this vprocfs tells of no kernel log");
    }
    // Every container is read from first: what that takes does not belong to its log.
    for (const one of containers) {
      readFileSync((await source(one, "meminfo")) ?? "/dev/null");
    }
    const kmsgOf = (one: Container): string =>
      join(polledMountpointOf(mountpoint), "containers", one.id, "dev/kmsg");
    // The first log is not counted, because it brings along what all logs share.
    beginLogs(pid, kmsgOf, containers.slice(0, 1));
    const mib = beginLogs(pid, kmsgOf, containers.slice(1));
    const delays = await killDelays(kmsgOf(container), container, KILLS[trial.scale]);
    await sleep(REST_MS[trial.scale]);
    const cost = async (doing: () => Promise<unknown>) => {
      const before = { cpuNs: await daemonCpuNs(trial.stage, pid), woken: wakeups(pid) };
      const at = process.hrtime.bigint();
      await doing();
      const seconds = Number(process.hrtime.bigint() - at) / 1e9;
      const cpuNs = (await daemonCpuNs(trial.stage, pid)) - before.cpuNs;
      return {
        seconds,
        cpuShare: cpuNs / 1e7 / seconds,
        wakeups: (wakeups(pid) - before.woken) / seconds,
      };
    };
    const seconds = MEASURED_S[trial.scale];
    const { cpuShare: silent, wakeups: woken } = await cost(() => sleep(seconds * 1000));
    await trial.stage.run("set", RATE_LIMIT, "0");
    const enter = [container.pid, ...container.cgroups].join(":");
    const before = await askFigures(mountpoint);
    const { told: toldBefore } = await toldTo(trial, mountpoint, container);
    const first = lastRecord();
    const flood = await cost(() =>
      run(trial.programs.crash, [enter, `${PROCESSES}`, `${FAULTS}`, `${seconds}`]),
    );
    const logged = lastRecord() - first;
    const records = logged / flood.seconds;
    const { told, kept } = await toldTo(trial, mountpoint, container);
    const after = await askFigures(mountpoint);
    const grown = (what: "lost" | "unproven"): number =>
      (after?.kernelLogUntold?.[what] ?? Number.NaN) - (before?.kernelLogUntold?.[what] ?? 0);
    const ofFlood = told - toldBefore;
    const sorted = delays.toSorted((a, b) => a - b);
    return [
      ...samples(KILL, {
        p50: (sorted[Math.floor(sorted.length / 2)] ?? Number.NaN) * 1e6,
        max: (sorted.at(-1) ?? Number.NaN) * 1e6,
      }),
      ...(trial.scale === "full"
        ? samples(BEGUN, { pss: (mib * 1000) / (containers.length - 1) })
        : []),
      ...samples(SILENT, { cpuShare: silent, wakeups: woken }),
      ...samples(FLOOD, {
        cpuShare: (flood.cpuShare * RECORDS) / records,
        records,
        untold: Math.max(0, 1 - ofFlood / logged) * 100,
        unproven: grown("unproven"),
        lost: grown("lost"),
        overwritten: Math.max(0, 1 - kept / ofFlood) * 100,
      }),
    ];
  },
  metrics: [
    "cpuShare",
    "records",
    "untold",
    "unproven",
    "lost",
    "overwritten",
    "wakeups",
    "p50",
    "max",
    "pss",
  ],
  marks,
};
