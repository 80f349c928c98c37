import { type BenchCase, type Mark, SkipError, type Trial } from "../case.js";
import { type Sample, samples } from "../measure.js";
import type { Container } from "../support/containers.js";
import { daemonCpuNs } from "../support/daemon.js";
import { type FileName, pathOf } from "../support/files.js";
import { countSyscalls, straceUnavailable, totalCalls } from "../support/strace.js";

const MEASURED = ["meminfo", "stat", "cpuinfo", "uptime", "online"] as const satisfies FileName[];
const READS = 1000;
const WARMUP = 20;

/** CPU time of daemon and reader for each open+read+close, in µs. */
async function cpuTimes(
  trial: Trial,
  daemon: number,
  container: Container,
  file: FileName,
): Promise<{ daemonCpu: number; readerCpu: number }> {
  // Reads before the measurement: work that is done once per container is not a cost of each read.
  const options = { paths: [pathOf(file)], containers: [container], warmup: 0 };
  await trial.load({ ...options, count: WARMUP });
  const count = trial.scale === "quick" ? READS : 10 * READS;
  const before = await daemonCpuNs(trial.stage, daemon);
  const { service, cpuUs } = await trial.load({ ...options, count });
  const after = await daemonCpuNs(trial.stage, daemon);
  return {
    daemonCpu: (after - before) / 1e3 / service.count,
    readerCpu: cpuUs / service.count,
  };
}

async function syscalls(
  trial: Trial,
  daemon: number,
  container: Container,
  file: FileName,
): Promise<number> {
  const options = { paths: [pathOf(file)], containers: [container], warmup: 0 };
  const counts = await countSyscalls(daemon, trial.directory, () =>
    trial.load({ ...options, count: READS }),
  );
  return totalCalls(counts) / READS;
}

/** Of files for which LXCFS itself does little. */
const CHEAP: readonly FileName[] = ["stat", "uptime"];

const cpuMark = (file: (typeof MEASURED)[number]): Mark => ({
  title: `exact: daemon's CPU time per read of ${file} against LXCFS's`,
  limit: CHEAP.includes(file) ? 0.25 : 1 / 6,
  measure: (medians) => medians.ratio("exact", "lxcfs", file, "daemonCpu"),
});

const syscallMark = (file: (typeof MEASURED)[number]): Mark => ({
  title: `exact: system calls of the daemon per open+read+close of ${file}`,
  limit: 15,
  metric: "syscalls",
  measure: (medians) => medians.of("exact", file, "syscalls"),
});

export const cost: BenchCase = {
  name: "cost",
  title: "What a read costs the daemon",
  about: `CPU time (µs per read: the same figure as seconds per million, or ms per 1,000) and system calls of the daemon per open+read+close, over at least ${READS} reads.`,
  peers: ["floor", "sources", "tick-sources", "lxcfs", "exact", "tick", "fuse-native"],
  trials: { quick: 2, full: 5 },
  measure: async (trial) => {
    const { pid } = await trial.startPeer();
    if (pid === undefined) {
      throw new SkipError("there is no daemon");
    }
    const files = trial.scale === "quick" ? (["meminfo", "stat"] as const) : MEASURED;
    const container = await trial.container(MEASURED);
    const traced = straceUnavailable() === undefined;
    const all: Sample[] = [];
    for (const file of files) {
      const times = await cpuTimes(trial, pid, container, file);
      const calls = traced ? { syscalls: await syscalls(trial, pid, container, file) } : {};
      all.push(...samples(file, { ...times, ...calls }));
    }
    return all;
  },
  metrics: ["daemonCpu", "syscalls", "readerCpu"],
  marks: [...MEASURED.map(cpuMark), ...MEASURED.map(syscallMark)],
};
