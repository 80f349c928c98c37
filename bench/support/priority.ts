import { existsSync, writeFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { basename } from "node:path";
import { processTree, taskDirectories } from "./daemon.js";

/** The weight of a cgroup, in units of v1's cpu.shares, that equals nice -20: the kernel's own figure for it. */
export const FAVOURED_SHARES = 88_761;

/**
 * Gives a process and its descendants the highest priority, so that other programs on the machine disturb the
 * measurement less. Favoured processes compete with each other as before.
 */
export function favour(root: number): void {
  for (const task of taskDirectories(root)) {
    setPriority(Number(basename(task)), constants.priority.PRIORITY_HIGHEST);
  }
  for (const pid of processTree(root)) {
    // With autogroups, the priority of a process counts only within its session, so the session gets it too.
    const group = `/proc/${pid}/autogroup`;
    if (existsSync(group)) {
      writeFileSync(group, `${constants.priority.PRIORITY_HIGHEST}`);
    }
  }
}
