// What is true of a container all the time while a tool runs, as its cgroup and the host's kernel know it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hierarchyOf, isV2 } from "../cgroups.js";

/** What the container is at a moment, as its cgroup and the host's kernel know it. */
interface Moment {
  readonly usedMiB: number;
  readonly cpuSeconds: number;
  readonly tasks: number;
  /** Of the machine. */
  readonly seconds: number;
}

export const MIB = 2 ** 20;
const LOOK_MS = 5;
/** How old the last count of tasks may be. */
const COUNTED_SECONDS = 6;

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
export type Range = readonly [low: number, high: number];

/** The truth all the time: what a tool has read at some moment of its run was true then. */
export class Watch {
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
export class Truth {
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
