// The cgroups of a container made by hand, on whatever hierarchies this machine has.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { findHierarchies, killAll, PERIOD_US } from "../../src/demo/cgroups.js";
import { errnoOf } from "../../src/errors.js";
import { readMounts } from "../../src/mountinfo.js";
import type { Scope } from "./scope.js";
import { until } from "./wait.js";

type Controller = "blkio" | "cpu" | "cpuacct" | "cpuset" | "memory" | "pids";

const CONTROLLERS: readonly Controller[] = ["blkio", "cpu", "cpuacct", "cpuset", "memory", "pids"];

export const MIB = 2 ** 20;

/** What bytes and CPUs may be; null takes the limit away, text is written as it is. */
export interface Limits {
  readonly memory?: number | bigint | string | null;
  /** Swap on top of memory, whatever the kernel's interface counts. */
  readonly swap?: number | null;
  /** CPUs by quota. */
  readonly quota?: number | null;
  /** Its share of CPUs that others want, too: 1–10000, as cgroup2 counts it. */
  readonly weight?: number;
  /** A list such as "0-1,3". */
  readonly cpuset?: string;
}

const hierarchies = findHierarchies();

/** True where the controllers are on cgroup2. */
export const isV2 = !hierarchies.v1.has("memory");

/** The directory of the cgroup that a process is in, for one controller. */
export function hierarchyOf(pid: number, controller: Controller): string {
  const root = isV2 ? hierarchies.v2 : hierarchies.v1.get(controller);
  const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").trimEnd().split("\n");
  for (const line of lines) {
    const [, names = "", ...path] = line.split(":");
    if (names.split(",").includes(isV2 ? "" : controller) && root !== undefined) {
      return join(root, path.join(":"));
    }
  }
  throw new Error(`process ${pid} is in no cgroup for ${controller}`);
}

/** One path in the hierarchies, or one for each controller. */
export class Cgroup {
  readonly #directories: ReadonlyMap<Controller | "unified", string>;

  private constructor(directories: ReadonlyMap<Controller | "unified", string>) {
    this.#directories = directories;
  }

  /** Makes it, with all that is above it; `paths` are v1 paths that differ from the others. */
  static create(
    scope: Scope,
    path: string,
    paths: Readonly<Partial<Record<Controller | "unified", string>>> = {},
  ): Cgroup {
    const directories = new Map<Controller | "unified", string>();
    for (const controller of CONTROLLERS) {
      const root = isV2 ? hierarchies.v2 : hierarchies.v1.get(controller);
      if (root !== undefined) {
        directories.set(controller, join(root, paths[controller] ?? path));
      }
    }
    if (hierarchies.v2 !== undefined) {
      directories.set("unified", join(hierarchies.v2, paths.unified ?? path));
    }
    const cgroup = new Cgroup(directories);
    for (const directory of cgroup.directories) {
      make(scope, directory);
    }
    return cgroup;
  }

  /** Every directory once. */
  get directories(): string[] {
    return [...new Set(this.#directories.values())];
  }

  /** Its name where it is last looked for. */
  get name(): string {
    return basename(this.directory("memory"));
  }

  directory(controller: Controller | "unified"): string {
    const directory = this.#directories.get(controller);
    if (directory === undefined) {
      throw new Error(`there is no hierarchy for ${controller}`);
    }
    return directory;
  }

  /** One below it, in every hierarchy. */
  child(scope: Scope, name: string): Cgroup {
    const below = [...this.#directories].map(([key, path]) => [key, join(path, name)] as const);
    const cgroup = new Cgroup(new Map(below));
    for (const directory of cgroup.directories) {
      make(scope, directory);
    }
    return cgroup;
  }

  read(controller: Controller, file: string): string {
    return readFileSync(join(this.directory(controller), file), "utf8").trim();
  }

  write(controller: Controller, file: string, value: string | number | bigint): void {
    writeFileSync(join(this.directory(controller), file), `${value}`);
  }

  limit(limits: Limits): void {
    if (limits.memory !== undefined || limits.swap !== undefined) {
      limitMemory(this, limits);
    }
    if (limits.quota !== undefined) {
      const quota = limits.quota === null ? undefined : Math.round(limits.quota * PERIOD_US);
      if (isV2) {
        this.write("cpu", "cpu.max", `${quota ?? "max"} ${PERIOD_US}`);
      } else {
        this.write("cpu", "cpu.cfs_quota_us", quota ?? -1);
      }
    }
    if (limits.weight !== undefined) {
      const shares = limits.weight * 10;
      this.write("cpu", isV2 ? "cpu.weight" : "cpu.shares", isV2 ? limits.weight : shares);
    }
    if (limits.cpuset !== undefined) {
      this.write("cpuset", "cpuset.cpus", limits.cpuset);
    }
  }

  /** Bytes charged to it. */
  get memoryUsage(): number {
    return Number(this.read("memory", isV2 ? "memory.current" : "memory.usage_in_bytes"));
  }

  get swapUsage(): number {
    return isV2
      ? Number(this.read("memory", "memory.swap.current"))
      : Number(this.read("memory", "memory.memsw.usage_in_bytes")) - this.memoryUsage;
  }

  /** CPU time that it has used. */
  get cpuSeconds(): number {
    return isV2
      ? Number(/^usage_usec (\d+)$/m.exec(this.read("cpu", "cpu.stat"))?.[1]) / 1e6
      : Number(this.read("cpuacct", "cpuacct.usage")) / 1e9;
  }

  /** Periods in which the quota throttled it. */
  get throttled(): number {
    return Number(/^nr_throttled (\d+)$/m.exec(this.read("cpu", "cpu.stat"))?.[1]);
  }

  /** Makes its children have controllers (v2); nothing to do on v1. */
  delegate(): void {
    if (isV2) {
      enableBelow(this.directory("unified"));
    }
  }
}

/** A set limit of swap as v1 counts it, with memory; undefined when there is none. */
function memswOf(limits: Limits): bigint | undefined {
  return limits.swap === undefined || limits.swap === null || typeof limits.memory === "string"
    ? undefined
    : BigInt(limits.memory ?? 0) + BigInt(limits.swap);
}

function limitMemory(cgroup: Cgroup, limits: Limits): void {
  if (isV2) {
    if (limits.memory !== undefined) {
      cgroup.write("memory", "memory.max", limits.memory ?? "max");
    }
    if (limits.swap !== undefined) {
      cgroup.write("memory", "memory.swap.max", limits.swap ?? "max");
    }
    return;
  }
  // Memory and memsw must be in order at every moment.
  cgroup.write("memory", "memory.memsw.limit_in_bytes", -1);
  if (limits.memory !== undefined) {
    cgroup.write("memory", "memory.limit_in_bytes", limits.memory ?? -1);
  }
  const memsw = memswOf(limits);
  if (memsw !== undefined) {
    cgroup.write("memory", "memory.memsw.limit_in_bytes", memsw);
  }
}

function enableBelow(directory: string): void {
  const words = (file: string): string[] =>
    readFileSync(join(directory, file), "utf8").trim().split(/\s+/);
  const enabled = words("cgroup.subtree_control");
  for (const controller of words("cgroup.controllers")) {
    if (isV2 && ["cpu", "cpuset", "memory", "pids"].includes(controller)) {
      if (!enabled.includes(controller)) {
        writeFileSync(join(directory, "cgroup.subtree_control"), `+${controller}`);
      }
    }
  }
}

/** Makes one directory and those above it, each to be removed by the scope. */
function make(scope: Scope, directory: string): void {
  if (existsSync(directory)) {
    return;
  }
  make(scope, dirname(directory));
  enableAbove(dirname(directory));
  mkdirSync(directory);
  scope.defer(() => removeCgroup(directory));
  // A v1 cpuset takes no process in before it is filled.
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    if (!isV2 && existsSync(join(directory, file))) {
      writeFileSync(join(directory, file), readFileSync(join(directory, "..", file)));
    }
  }
}

function enableAbove(directory: string): void {
  if (existsSync(join(directory, "cgroup.subtree_control"))) {
    enableBelow(directory);
  }
}

function childrenOf(directory: string): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name));
  } catch {
    return [];
  }
}

/** Removes a cgroup and all below it, ending what lives there. */
export async function removeCgroup(directory: string): Promise<void> {
  for (const child of childrenOf(directory)) {
    await removeCgroup(child);
  }
  await until(`${directory} can be removed`, () => {
    try {
      rmdirSync(directory);
      return true;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") {
        return true;
      }
      killAll(directory);
      return false;
    }
  });
}

/** Removes what a runtime has left at the roots of the hierarchies. */
export async function removeEverywhere(name: string): Promise<void> {
  const mounts = readMounts().filter(({ fsType }) => fsType === "cgroup" || fsType === "cgroup2");
  for (const { mountpoint } of mounts) {
    await removeCgroup(join(mountpoint, name));
  }
}
