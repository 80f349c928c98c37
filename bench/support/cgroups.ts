import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { FAVOURED_SHARES, FAVOURED_WEIGHT } from "./priority.js";

/** What a container may use. */
export interface Limits {
  readonly memoryBytes: number;
  readonly swapBytes: number;
  readonly cpus: number;
  /** Goes before everything else on the machine. */
  readonly favoured: boolean;
}

/** Where the host's cgroup hierarchies are mounted. */
export interface CgroupHost {
  readonly mode: "v1" | "hybrid" | "v2";
  /** v1 controllers, by name. */
  readonly v1: ReadonlyMap<string, string>;
  readonly v2: string | undefined;
}

/** A step in making a cgroup, in the stage program's words. */
export type Step = readonly ["directory", string] | readonly ["write", string, string];

/** The v1 hierarchies that container runtimes put a container into and whose files tell about it. */
const V1_CONTROLLERS = ["cpu", "cpuacct", "cpuset", "memory", "blkio", "pids"];

const PERIOD_US = 100_000;

/** Finds the hierarchies in a mount table (/proc/self/mountinfo). */
export function cgroupHost(mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): CgroupHost {
  const v1 = new Map<string, string>();
  let v2: string | undefined;
  for (const line of mountinfo.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const mountpoint = before.split(" ")[4];
    const [type, , options = ""] = after.split(" ");
    if (mountpoint === undefined) {
      continue;
    }
    if (type === "cgroup2") {
      v2 ??= mountpoint;
    } else if (type === "cgroup") {
      for (const name of options.split(",").filter((option) => V1_CONTROLLERS.includes(option))) {
        v1.set(name, mountpoint);
      }
    }
  }
  const mode = v1.size === 0 ? "v2" : v2 === undefined ? "v1" : "hybrid";
  return { mode, v1, v2 };
}

function text(...path: string[]): string {
  return readFileSync(join(...path), "utf8").trim();
}

/** The directories of a cgroup in every hierarchy, joint controllers once. */
export function cgroupDirectories(host: CgroupHost, name: string): string[] {
  const roots = new Set(host.v1.values());
  if (host.v2 !== undefined) {
    roots.add(host.v2);
  }
  return [...roots].map((root) => join(root, name));
}

function limitsV1(host: CgroupHost, name: string, limits: Limits): Step[] {
  const steps: Step[] = [];
  const cpu = host.v1.get("cpu");
  if (cpu !== undefined) {
    const quota = Math.round(limits.cpus * PERIOD_US);
    steps.push(
      ["write", join(cpu, name, "cpu.cfs_period_us"), `${PERIOD_US}`],
      ["write", join(cpu, name, "cpu.cfs_quota_us"), `${quota}`],
    );
    if (limits.favoured) {
      steps.push(["write", join(cpu, name, "cpu.shares"), `${FAVOURED_SHARES}`]);
    }
  }
  const memory = host.v1.get("memory");
  if (memory !== undefined) {
    steps.push(["write", join(memory, name, "memory.limit_in_bytes"), `${limits.memoryBytes}`]);
    // Absent where the kernel was told not to account swap.
    if (existsSync(join(memory, "memory.memsw.limit_in_bytes"))) {
      const both = limits.memoryBytes + limits.swapBytes;
      steps.push(["write", join(memory, name, "memory.memsw.limit_in_bytes"), `${both}`]);
    }
  }
  return steps;
}

/** The v2 controllers that limits need; those that the kernel or v1 hierarchies do not leave us are left out. */
function v2Controllers(directory: string): string[] {
  const available = text(directory, "cgroup.controllers").split(" ");
  return ["cpu", "memory"].filter((controller) => available.includes(controller));
}

/** Whether a container's memory can be limited here. */
export function limitsMemory(host: CgroupHost): boolean {
  return (
    host.v1.has("memory") || (host.v2 !== undefined && v2Controllers(host.v2).includes("memory"))
  );
}

/** The number of a cgroup in the hierarchy by which vprocfs knows containers. */
export function cgroupId(host: CgroupHost, name: string): string {
  const root = host.v2 ?? host.v1.get("memory");
  if (root === undefined) {
    throw new Error("neither cgroup2 nor v1's memory hierarchy is mounted");
  }
  return `${statSync(join(root, name), { bigint: true }).ino}`;
}

function limitsV2(root: string, name: string, limits: Limits): Step[] {
  const controllers = v2Controllers(root);
  const steps: Step[] = [];
  if (controllers.includes("cpu")) {
    const quota = `${Math.round(limits.cpus * PERIOD_US)} ${PERIOD_US}`;
    steps.push(["write", join(root, name, "cpu.max"), quota]);
    if (limits.favoured) {
      steps.push(["write", join(root, name, "cpu.weight"), `${FAVOURED_WEIGHT}`]);
    }
  }
  if (controllers.includes("memory")) {
    steps.push(["write", join(root, name, "memory.max"), `${limits.memoryBytes}`]);
    if (/^SwapTotal:\s+[1-9]/m.test(readFileSync("/proc/meminfo", "utf8"))) {
      steps.push(["write", join(root, name, "memory.swap.max"), `${limits.swapBytes}`]);
    }
  }
  return steps;
}

/** A v2 cgroup has the controllers that its parent hands on. */
function handOnControllers(root: string, name: string): Step[] {
  const parent = dirname(join(root, name));
  const missing = v2Controllers(root).filter(
    (controller) => !text(parent, "cgroup.subtree_control").split(" ").includes(controller),
  );
  return missing.map(
    (controller) => ["write", join(parent, "cgroup.subtree_control"), `+${controller}`] as const,
  );
}

/** An empty v1 cpuset takes no process in: it gets what its parent has. */
function fillCpuset(host: CgroupHost, name: string): Step[] {
  const root = host.v1.get("cpuset");
  if (root === undefined) {
    return [];
  }
  return ["cpuset.cpus", "cpuset.mems"].map(
    (file) => ["write", join(root, name, file), text(root, file)] as const,
  );
}

/**
 * How to make the cgroup `name` below the root of every hierarchy, with limits if any are given. Its
 * parent must exist.
 */
export function cgroupSteps(host: CgroupHost, name: string, limits: Limits | undefined): Step[] {
  const steps: Step[] = host.v2 === undefined ? [] : handOnControllers(host.v2, name);
  steps.push(...cgroupDirectories(host, name).map((path) => ["directory", path] as const));
  steps.push(...fillCpuset(host, name));
  if (limits !== undefined) {
    steps.push(...limitsV1(host, name, limits));
    steps.push(...(host.v2 === undefined ? [] : limitsV2(host.v2, name, limits)));
  }
  return steps;
}
