import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, messageOf, VprocfsError } from "../errors.js";
import type { Mount } from "../mountinfo.js";

/** What the container may use. */
export interface Limits {
  readonly memoryBytes: number;
  readonly swapBytes: number;
  readonly cpus: number;
}

/** The container's cgroups, one in each hierarchy that matters. */
export interface Cgroups {
  readonly layout: "v1" | "hybrid" | "v2";
  readonly directories: readonly string[];
  /** False where the kernel does not account swap. */
  readonly limitsSwap: boolean;
  remove(): Promise<void>;
}

const PERIOD_US = 100_000;
const REMOVE_TRIES = 50;
const REMOVE_EVERY_MS = 50;

function read(...path: string[]): string {
  return readFileSync(join(...path), "utf8").trim();
}

function write(value: number | string, ...path: string[]): void {
  const file = join(...path);
  try {
    writeFileSync(file, String(value));
  } catch (error) {
    throw new VprocfsError("SYSTEM", `cannot write ${value} to ${file}: ${messageOf(error)}`);
  }
}

function words(...path: string[]): string[] {
  return read(...path)
    .split(/\s+/)
    .filter((word) => word !== "");
}

/** Where each v1 controller is mounted, from mount tables. */
function v1Hierarchies(mounts: readonly Mount[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const mount of mounts) {
    if (mount.fsType === "cgroup" && mount.root === "/") {
      for (const option of mount.superOptions) {
        found.set(option, mount.mountpoint);
      }
    }
  }
  return found;
}

function limitV1(directories: ReadonlyMap<string, string>, limits: Limits): boolean {
  const { cpu, memory, cpuset } = Object.fromEntries(directories);
  if (cpuset !== undefined) {
    // An empty cpuset takes no process in.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      write(read(cpuset, "..", file), cpuset, file);
    }
  }
  if (cpu !== undefined) {
    write(PERIOD_US, cpu, "cpu.cfs_period_us");
    write(Math.round(limits.cpus * PERIOD_US), cpu, "cpu.cfs_quota_us");
  }
  if (memory === undefined) {
    return false;
  }
  write(limits.memoryBytes, memory, "memory.limit_in_bytes");
  const limitsSwap = existsSync(join(memory, "memory.memsw.limit_in_bytes"));
  if (limitsSwap) {
    write(limits.memoryBytes + limits.swapBytes, memory, "memory.memsw.limit_in_bytes");
  }
  return limitsSwap;
}

/** Turns on what is off for the children of the root; returns what it turned on. */
function enableControllers(root: string): string[] {
  const available = words(root, "cgroup.controllers");
  const enabled = words(root, "cgroup.subtree_control");
  const missing = ["cpu", "memory"].filter(
    (controller) => available.includes(controller) && !enabled.includes(controller),
  );
  for (const controller of missing) {
    write(`+${controller}`, root, "cgroup.subtree_control");
  }
  return missing;
}

function limitV2(directory: string, limits: Limits): boolean {
  if (existsSync(join(directory, "cpu.max"))) {
    write(`${Math.round(limits.cpus * PERIOD_US)} ${PERIOD_US}`, directory, "cpu.max");
  }
  if (existsSync(join(directory, "memory.max"))) {
    write(limits.memoryBytes, directory, "memory.max");
  }
  const limitsSwap = existsSync(join(directory, "memory.swap.max"));
  if (limitsSwap) {
    write(limits.swapBytes, directory, "memory.swap.max");
  }
  return limitsSwap;
}

function killAll(directory: string): void {
  try {
    for (const pid of words(directory, "cgroup.procs")) {
      process.kill(Number(pid), "SIGKILL");
    }
  } catch {
    // Already gone.
  }
}

/** Ending processes keep their cgroup busy for a moment. */
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

/** Makes the container's cgroups at the roots of their hierarchies and sets its limits. */
export async function createCgroups(
  name: string,
  limits: Limits,
  mounts: readonly Mount[],
): Promise<Cgroups> {
  const hierarchies = v1Hierarchies(mounts);
  const unified = mounts.find((mount) => mount.fsType === "cgroup2" && mount.root === "/");
  const byController = new Map<string, string>();
  for (const controller of ["cpu", "cpuacct", "cpuset", "memory"]) {
    const root = hierarchies.get(controller);
    if (root !== undefined) {
      byController.set(controller, join(root, name));
    }
  }
  if (byController.size === 0 && unified === undefined) {
    throw new VprocfsError("SYSTEM", "no cgroup hierarchy is mounted at its root here");
  }
  const directories = new Set(byController.values());
  const enabled: string[] = [];
  if (unified !== undefined) {
    directories.add(join(unified.mountpoint, name));
  }
  const remove = async (): Promise<void> => {
    for (const directory of directories) {
      await removeDirectory(directory);
    }
    for (const controller of enabled.splice(0)) {
      write(`-${controller}`, unified?.mountpoint ?? "", "cgroup.subtree_control");
    }
  };
  try {
    if (unified !== undefined && byController.size === 0) {
      enabled.push(...enableControllers(unified.mountpoint));
    }
    for (const directory of directories) {
      mkdirSync(directory);
    }
    const limitsSwapV1 = limitV1(byController, limits);
    const limitsSwapV2 = unified !== undefined && limitV2(join(unified.mountpoint, name), limits);
    const layout = byController.size === 0 ? "v2" : unified === undefined ? "v1" : "hybrid";
    return {
      layout,
      directories: [...directories],
      limitsSwap: limitsSwapV1 || limitsSwapV2,
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
