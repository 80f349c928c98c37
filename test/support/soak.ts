// Limits that change all the time, load, and readers that check every reading against the one before
// and against the limits in force.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { messageOf } from "../../src/errors.js";
import { type Cgroup, isV2, MIB } from "./cgroups.js";
import { invariantsOf, type Reading, regressions } from "./invariants.js";
import type { Syscalls } from "./syscalls.js";

const now = (): number => performance.now();

/** A value over time, set by somebody whose writes take a while. */
class Timeline<T> {
  readonly #changes: { begin: number; end: number; value: T }[] = [];

  constructor(value: T) {
    this.#changes.push({ begin: 0, end: 0, value });
  }

  /** `write` changes it, and tells what it then is. */
  set(write: () => T): void {
    const begin = now();
    const value = write();
    this.#changes.push({ begin, end: now(), value });
    // Nobody reads for as long as a hundred changes take.
    this.#changes.splice(0, this.#changes.length - 100);
  }

  /** All that it was between two moments. */
  between(from: number, to: number): T[] {
    return this.#changes
      .filter(({ begin }, index) => begin <= to && (this.#changes[index + 1]?.end ?? to) >= from)
      .map(({ value }) => value);
  }
}

/** A container's limits: its own and those of the cgroup above it. */
export class Limited {
  readonly memoryKb: Timeline<number>;
  readonly cpus: Timeline<readonly number[]>;
  changes = 0;
  readonly #parent: Cgroup;
  readonly #own: Cgroup;
  readonly #host: { readonly cpus: readonly number[]; readonly memoryKb: number };
  #quota = Number.POSITIVE_INFINITY;
  #cpuset: readonly number[];

  constructor(parent: Cgroup, own: Cgroup, cpus: readonly number[]) {
    this.#parent = parent;
    this.#own = own;
    const total = /^MemTotal: +(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
    this.#host = { cpus, memoryKb: Number(total) };
    this.#cpuset = cpus;
    this.memoryKb = new Timeline(this.#memory());
    this.cpus = new Timeline<readonly number[]>(cpus);
  }

  #memory(): number {
    const file = isV2 ? "memory.max" : "memory.limit_in_bytes";
    const limits = [this.#parent, this.#own]
      .map((cgroup) => cgroup.read("memory", file))
      .map((text) => (text === "max" ? Number.POSITIVE_INFINITY : Number(text) / 1024));
    return Math.min(this.#host.memoryKb, ...limits);
  }

  /** One step of a round of changes, which has many. */
  change(step: number): void {
    const pick = <T>(values: readonly T[]): T => values[(step * 7) % values.length] as T;
    this.changes += 1;
    switch (step % 5) {
      case 0:
        this.#limitMemory(this.#own, { memory: pick([96, 128, 160, 224, 64]) * MIB });
        break;
      case 1:
        this.#limitCpus({ quota: pick([0.3, 1.2, null, 1, 0.1, 1.9]) });
        break;
      case 2:
        this.#limitCpus({ cpuset: pick([this.#host.cpus, ...this.#host.cpus.map((id) => [id])]) });
        break;
      case 3:
        this.#limitMemory(this.#parent, { memory: pick([null, 112 * MIB, 80 * MIB]) });
        break;
      default:
        this.#limitMemory(this.#own, { memory: 128 * MIB, swap: pick([0, 32, 64, null]) });
        this.#weigh(pick([100, 1, 10_000, 500]));
    }
  }

  #limitMemory(cgroup: Cgroup, limits: { memory: number | null; swap?: number | null }): void {
    const wanted = limits.swap === undefined || limits.swap === null ? null : limits.swap * MIB;
    this.memoryKb.set(() => {
      try {
        cgroup.limit({ ...limits, ...(limits.swap !== undefined && { swap: wanted }) });
      } catch {
        // More is in use than the kernel can take back: the limit stays.
      }
      return this.#memory();
    });
  }

  #limitCpus(limits: { quota?: number | null; cpuset?: readonly number[] }): void {
    this.cpus.set(() => {
      if (limits.quota !== undefined) {
        this.#own.limit({ quota: limits.quota });
        this.#quota = limits.quota ?? Number.POSITIVE_INFINITY;
      }
      if (limits.cpuset !== undefined) {
        this.#own.limit({ cpuset: limits.cpuset.join(",") });
        this.#cpuset = limits.cpuset;
      }
      return this.#cpuset.slice(0, Math.max(1, Math.ceil(this.#quota)));
    });
  }

  #weigh(weight: number): void {
    this.#own.write("cpu", isV2 ? "cpu.weight" : "cpu.shares", isV2 ? weight : weight * 10);
  }
}

interface Timed extends Reading {
  readonly begin: number;
  readonly end: number;
}

interface Tally {
  rounds: number;
  readings: number;
  readonly wrong: string[];
}

/** Enough to understand what is wrong. */
const MAX_WRONG = 30;
const TICKS_PER_MS = 0.1;

/** What one vprocfs shows of one container, and the readers of it. */
export class Watched {
  readonly tally: Tally = { rounds: 0, readings: 0, wrong: [] };
  readonly #last = new Map<string, Timed>();
  readonly contract: string;
  readonly #number: number;
  readonly #directory: string;
  readonly #limited: Limited;
  readonly #staleMs: number;
  readonly #files: readonly string[];
  readonly #excuses: { from: number; to: number }[] = [];

  /** `staleMs`: how old what is shown may be. */
  constructor(
    contract: string,
    number: number,
    directory: string,
    limited: Limited,
    staleMs: number,
    files: readonly string[],
  ) {
    this.contract = contract;
    this.#number = number;
    this.#directory = directory;
    this.#limited = limited;
    this.#staleMs = staleMs;
    this.#files = files;
  }

  #note(file: string, what: string): void {
    if (this.tally.wrong.length < MAX_WRONG) {
      this.tally.wrong.push(`${this.contract} ${this.#number} ${file}: ${what}`);
    }
  }

  /** Whatever fails during this is not wrong: what has been read still is. */
  async excused(work: () => Promise<void>): Promise<void> {
    const excuse = { from: now(), to: Number.POSITIVE_INFINITY };
    this.#excuses.push(excuse);
    await work();
    excuse.to = now();
  }

  #failed(file: string, error: unknown, begin: number): void {
    const end = now();
    const isExcused = this.#excuses.some(({ from, to }) => from <= end && to >= begin);
    // Errors of system calls end with their names; all others are about what was read.
    if (!isExcused || !/: E[A-Z]+$/.test(messageOf(error))) {
      this.#note(file, messageOf(error));
    }
  }

  /** Reads all files in turn until `isOver`; `size`: bytes a read. */
  async readers(calls: Syscalls, perSecond: number, size: number, isOver: () => boolean) {
    while (!isOver()) {
      const begin = now();
      for (const file of this.#files) {
        await this.#read(calls, file, size);
      }
      await this.#list(calls);
      this.tally.rounds += 1;
      await pause(Math.max(0, 1000 / perSecond - (now() - begin)));
    }
  }

  async #read(calls: Syscalls, file: string, size: number): Promise<void> {
    const check = invariantsOf(file);
    const before = this.#last.get(file);
    const begin = now();
    let text = "";
    try {
      const fd = await calls.open(join(this.#directory, file));
      try {
        text = await calls.rest(fd, size);
      } finally {
        await calls.close(fd);
      }
      const found: Timed = { ...check(text), begin, end: now() };
      this.#last.set(file, found);
      this.#judge(file, before, found);
    } catch (error) {
      this.#failed(file, error, begin);
    }
    this.tally.readings += 1;
  }

  #judge(file: string, before: Timed | undefined, found: Timed): void {
    const from = found.begin - this.#staleMs;
    const { cpus, totalKb } = found;
    const sizes = this.#limited.memoryKb.between(from, found.end);
    if (totalKb !== undefined && !sizes.includes(totalKb)) {
      this.#note(file, `${totalKb} kB in all, where the limit is ${sizes.join(" or ")} kB`);
    }
    const sets = this.#limited.cpus.between(from, found.end).map((ids) => ids.join(","));
    if (cpus !== undefined && !sets.includes(cpus.join(","))) {
      this.#note(file, `CPUs ${cpus.join(",")}, where they are ${sets.join(" or ")}`);
    }
    if (before === undefined) {
      return;
    }
    const since = before.begin - this.#staleMs;
    const areCpusSame = this.#limited.cpus.between(since, found.end).length === 1;
    for (const regression of regressions(before, found, areCpusSame)) {
      this.#note(file, regression);
    }
    if (file === "proc/stat" && areCpusSame) {
      this.#checkGain(before, found, found.end - since);
    }
  }

  /** No CPU gains more time than there was. */
  #checkGain(before: Reading, after: Reading, elapsedMs: number): void {
    const gained = new Map<string, number>();
    for (const [key, ticks] of after.ofCpus) {
      const cpu = key.split(",", 1)[0] ?? "";
      gained.set(cpu, (gained.get(cpu) ?? 0) + ticks - (before.ofCpus.get(key) ?? 0));
    }
    for (const [cpu, ticks] of gained) {
      // Each of user, nice, system, steal and idle is rounded.
      if (ticks > elapsedMs * TICKS_PER_MS + 5) {
        this.#note("proc/stat", `${cpu} gains ${ticks} ticks in ${elapsedMs.toFixed(1)} ms`);
      }
    }
  }

  /**
   * The directory of CPUs has those that are shown, and beside a single one that of a second, offline,
   * where processes may run on more.
   */
  async #list(calls: Syscalls): Promise<void> {
    const begin = now();
    const directory = "sys/devices/system/cpu";
    const entries = await calls
      .list(join(this.#directory, directory))
      .catch((error: unknown) => this.#failed(directory, error, begin));
    const ids = entries
      ?.flatMap(({ name }) => /^cpu(\d+)$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
    if (ids === undefined) {
      return;
    }
    const sets = this.#limited.cpus.between(begin - this.#staleMs, now());
    const fits = (set: readonly number[]): boolean =>
      `${set}` === `${ids}` ||
      (set.length === 1 && ids.length === 2 && set.every((id) => ids.includes(id)));
    if (!sets.some(fits)) {
      this.#note(directory, `has CPUs ${ids}, where they are ${sets.join(" or ")}`);
    }
  }
}
