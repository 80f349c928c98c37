import { readdirSync, readFileSync } from "node:fs";
import { statField } from "../../src/processes.js";
import type { Stage } from "./stage.js";

/** What all processes of a daemon hold together at one moment. */
export interface Footprint {
  readonly rssKiB: number;
  /** Shared pages counted in proportion. */
  readonly pssKiB: number;
  readonly descriptors: number;
}

const PARENT = 4;
const START_TIME = 22;
/** USER_HZ, which is 100 on every architecture that Node runs on. */
const NS_PER_TICK = 1e7;

/** When a process was started, on the clock of process.hrtime.bigint(); exact to 10 ms. */
export function startedAtNs(pid: number): number {
  const uptimeNs = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1e9;
  const sinceBootNs = Number(statField(pid, START_TIME)) * NS_PER_TICK;
  return Number(process.hrtime.bigint()) - (uptimeNs - sinceBootNs);
}

/** A process and all its descendants. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const parent = statField(name, PARENT);
    if (parent !== undefined) {
      const of = Number(parent);
      children.set(of, [...(children.get(of) ?? []), Number(name)]);
    }
  }
  const tree = [root];
  // Grows while it is walked.
  for (const pid of tree) {
    tree.push(...(children.get(pid) ?? []));
  }
  return tree;
}

/** CPU time that a daemon has used so far, in ns. */
export async function daemonCpuNs(stage: Stage, root: number): Promise<number> {
  const times = await Promise.all(processTree(root).map((pid) => stage.cpuNs(pid)));
  return times.reduce((sum, time) => sum + time, 0);
}

/** Memory and descriptors that a daemon holds. */
export function footprint(root: number): Footprint {
  let [rssKiB, pssKiB, descriptors] = [0, 0, 0];
  for (const pid of processTree(root)) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    rssKiB += Number(/^Rss:\s+(\d+)/m.exec(rollup)?.[1]);
    pssKiB += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1]);
    descriptors += readdirSync(`/proc/${pid}/fd`).length;
  }
  return { rssKiB, pssKiB, descriptors };
}

/** The threads of a daemon's processes, as `/proc/<pid>/task/<tid>`. */
export function taskDirectories(root: number): string[] {
  return processTree(root).flatMap((pid) =>
    readdirSync(`/proc/${pid}/task`).map((tid) => `/proc/${pid}/task/${tid}`),
  );
}

/** How often the threads of a daemon have been woken since they began. */
export function wakeups(root: number): number {
  return taskDirectories(root).reduce((sum, task) => {
    const status = readFileSync(`${task}/status`, "utf8");
    return sum + Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
  }, 0);
}
