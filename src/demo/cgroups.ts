// Makes cgroups with limits on the hierarchies of a machine, for the demo, the benchmark and the tests.

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, messageOf, VprocfsError } from "../errors.js";
import { type Mount, readMounts } from "../mountinfo.js";

/** What a container may use. */
export interface Limits {
  readonly memoryBytes: number;
  readonly swapBytes: number;
  readonly cpus: number;
  /** Its share of busy CPUs in the unit of v1's cpu.shares, where others have 1024. */
  readonly cpuShares?: number;
}

/** Where a machine's cgroup hierarchies are mounted, at their roots. */
export interface Hierarchies {
  readonly layout: "v1" | "hybrid" | "v2";
  /** Mount points of the v1 controllers that container runtimes use, by name. */
  readonly v1: ReadonlyMap<string, string>;
  readonly v2: string | undefined;
}

/** One step of making a cgroup. */
export type Step =
  | readonly ["directory", path: string]
  | readonly ["write", file: string, value: string];

const V1_CONTROLLERS = ["blkio", "cpu", "cpuacct", "cpuset", "memory", "pids"];
export const PERIOD_US = 100_000;

/** Finds the hierarchies in a mount table. */
export function findHierarchies(mounts: readonly Mount[] = readMounts()): Hierarchies {
  const atRoot = mounts.filter((mount) => mount.root === "/");
  const v1 = new Map<string, string>();
  for (const mount of atRoot.filter(({ fsType }) => fsType === "cgroup")) {
    for (const option of mount.superOptions.filter((word) => V1_CONTROLLERS.includes(word))) {
      v1.set(option, mount.mountpoint);
    }
  }
  const v2 = atRoot.find(({ fsType }) => fsType === "cgroup2")?.mountpoint;
  const layout = v1.size === 0 ? "v2" : v2 === undefined ? "v1" : "hybrid";
  return { layout, v1, v2 };
}

/** The directories of a cgroup in every hierarchy; controllers that share one count once. */
export function cgroupDirectories({ v1, v2 }: Hierarchies, name: string): string[] {
  const roots = new Set([...v1.values(), ...(v2 === undefined ? [] : [v2])]);
  return [...roots].map((root) => join(root, name));
}

function words(...path: string[]): string[] {
  const text = readFileSync(join(...path), "utf8");
  return text.split(/\s+/).filter((word) => word !== "");
}

function writes(...files: readonly (readonly [directory: string, file: string, value: number])[]) {
  return files.map(
    ([directory, file, value]): Step => ["write", join(directory, file), `${Math.round(value)}`],
  );
}

/** Copies the parent's cpuset: a v1 cpuset is empty at first and takes no process then. */
function cpusetSteps(root: string | undefined, name: string): Step[] {
  return root === undefined
    ? []
    : ["cpuset.cpus", "cpuset.mems"].map((file) => {
        const value = readFileSync(join(root, dirname(name), file), "utf8").trim();
        return ["write", join(root, name, file), value] as const;
      });
}

function limitsV1({ v1 }: Hierarchies, name: string, limits: Limits): Step[] {
  const steps: Step[] = [];
  const cpu = v1.get("cpu");
  if (cpu !== undefined) {
    const directory = join(cpu, name);
    steps.push(
      ...writes(
        [directory, "cpu.cfs_period_us", PERIOD_US],
        [directory, "cpu.cfs_quota_us", limits.cpus * PERIOD_US],
      ),
    );
    if (limits.cpuShares !== undefined) {
      steps.push(...writes([directory, "cpu.shares", limits.cpuShares]));
    }
  }
  const memory = v1.get("memory");
  if (memory !== undefined) {
    const directory = join(memory, name);
    steps.push(...writes([directory, "memory.limit_in_bytes", limits.memoryBytes]));
    // Absent if the kernel was told not to account swap.
    if (existsSync(join(memory, "memory.memsw.limit_in_bytes"))) {
      const both = limits.memoryBytes + limits.swapBytes;
      steps.push(...writes([directory, "memory.memsw.limit_in_bytes", both]));
    }
  }
  return steps;
}

/** The v2 controllers that limits need and that are available: not those that v1 has or the kernel lacks. */
function controllersOf(directory: string): string[] {
  const available = words(directory, "cgroup.controllers");
  return ["cpu", "memory"].filter((controller) => available.includes(controller));
}

/** Whether the memory of a cgroup can be limited here. */
export function limitsMemory({ v1, v2 }: Hierarchies): boolean {
  return v1.has("memory") || (v2 !== undefined && controllersOf(v2).includes("memory"));
}

/** Whether a v2 cgroup, which may not exist yet, can limit swap. */
function limitsSwapV2(directory: string): boolean {
  return (
    existsSync(join(directory, "memory.swap.max")) ||
    /^SwapTotal:\s+[1-9]/m.test(readFileSync("/proc/meminfo", "utf8"))
  );
}

function limitsV2(root: string, name: string, limits: Limits): Step[] {
  const controllers = controllersOf(root);
  const directory = join(root, name);
  const steps: Step[] = [];
  if (controllers.includes("cpu")) {
    const quota = `${Math.round(limits.cpus * PERIOD_US)} ${PERIOD_US}`;
    steps.push(["write", join(directory, "cpu.max"), quota]);
    if (limits.cpuShares !== undefined) {
      steps.push(...writes([directory, "cpu.weight", (limits.cpuShares * 100) / 1024]));
    }
  }
  if (controllers.includes("memory")) {
    steps.push(...writes([directory, "memory.max", limits.memoryBytes]));
    if (limitsSwapV2(directory)) {
      steps.push(...writes([directory, "memory.swap.max", limits.swapBytes]));
    }
  }
  return steps;
}

/** Enables controllers in the parent, for the v2 cgroup to have them. */
function enablingSteps(root: string, name: string): Step[] {
  const parent = dirname(join(root, name));
  const enabled = words(parent, "cgroup.subtree_control");
  return controllersOf(root)
    .filter((controller) => !enabled.includes(controller))
    .map((controller) => ["write", join(parent, "cgroup.subtree_control"), `+${controller}`]);
}

/** The steps that make the cgroup `name` below the root of every hierarchy. Its parent must exist. */
export function placeSteps(hierarchies: Hierarchies, name: string): Step[] {
  const { v1, v2 } = hierarchies;
  return [
    ...(v2 === undefined ? [] : enablingSteps(v2, name)),
    ...cgroupDirectories(hierarchies, name).map((path) => ["directory", path] as const),
    ...cpusetSteps(v1.get("cpuset"), name),
  ];
}

/** The steps that set its limits once it exists. */
export function limitSteps(hierarchies: Hierarchies, name: string, limits: Limits): Step[] {
  const { v2 } = hierarchies;
  return [
    ...limitsV1(hierarchies, name, limits),
    ...(v2 === undefined ? [] : limitsV2(v2, name, limits)),
  ];
}

function perform(step: Step): void {
  const [kind, path] = step;
  try {
    if (kind === "directory") {
      mkdirSync(path);
    } else {
      writeFileSync(path, step[2]);
    }
  } catch (error) {
    const what = kind === "directory" ? "make" : `write ${step[2]} to`;
    throw new VprocfsError("SYSTEM", `cannot ${what} ${path}: ${messageOf(error)}`);
  }
}

/** Kills the processes of a cgroup, but not those of cgroups below it. */
export function killAll(directory: string): void {
  try {
    for (const pid of words(directory, "cgroup.procs")) {
      // 0: a process that we cannot see.
      if (pid !== "0") {
        process.kill(Number(pid), "SIGKILL");
      }
    }
  } catch {
    // Already gone.
  }
}

const REMOVE_TRIES = 50;
const REMOVE_EVERY_MS = 50;

/** Removes a cgroup. It may be busy for a moment after its processes were killed. */
async function removeDirectory(directory: string): Promise<void> {
  for (let tries = 0; tries < REMOVE_TRIES; tries += 1) {
    try {
      rmdirSync(directory);
      return;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") {
        return;
      }
      killAll(directory);
      await sleep(REMOVE_EVERY_MS);
    }
  }
  throw new VprocfsError("SYSTEM", `the cgroup ${directory} cannot be removed`);
}

/** The cgroups of one container, one in each hierarchy. */
export interface Cgroups {
  readonly layout: Hierarchies["layout"];
  readonly directories: readonly string[];
  /** False if the kernel does not account swap. */
  readonly limitsSwap: boolean;
  remove(): Promise<void>;
}

/** Makes a container's cgroups at the roots of their hierarchies and sets its limits. */
export async function createCgroups(
  name: string,
  limits: Limits,
  mounts: readonly Mount[],
): Promise<Cgroups> {
  const hierarchies = findHierarchies(mounts);
  const directories = cgroupDirectories(hierarchies, name);
  if (directories.length === 0) {
    throw new VprocfsError("SYSTEM", "no cgroup hierarchy is mounted at its root here");
  }
  const enabled: Step[] = [];
  const remove = async (): Promise<void> => {
    for (const directory of directories) {
      await removeDirectory(directory);
    }
    for (const [, file, value] of enabled.splice(0).filter((step) => step[0] === "write")) {
      perform(["write", file, value.replace("+", "-")]);
    }
  };
  try {
    for (const step of placeSteps(hierarchies, name)) {
      perform(step);
      if (step[1].endsWith("cgroup.subtree_control")) {
        enabled.push(step);
      }
    }
    const limiting = limitSteps(hierarchies, name, limits);
    limiting.forEach(perform);
    const limitsSwap = limiting.some(([, file]) => /memsw|swap/.test(file));
    return { layout: hierarchies.layout, directories, limitsSwap, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
