import { statSync } from "node:fs";
import { join } from "node:path";
import type { Hierarchies } from "../../src/demo/cgroups.js";

/** The number of a cgroup in the hierarchy by which vprocfs knows containers. */
export function cgroupId({ v1, v2 }: Hierarchies, name: string): string {
  const root = v2 ?? v1.get("memory");
  if (root === undefined) {
    throw new Error("neither cgroup2 nor v1's memory hierarchy is mounted");
  }
  return `${statSync(join(root, name), { bigint: true }).ino}`;
}
