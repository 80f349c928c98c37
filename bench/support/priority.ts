import { existsSync, writeFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { basename } from "node:path";
import { processTree, taskDirectories } from "./daemon.js";

/**
 * The weight of a cgroup that competes like a process of the highest priority: the kernel's own figure
 * for nice -20, as cpu.shares of v1 has it.
 */
export const FAVOURED_SHARES = 88_761;

/**
 * Puts a process and its descendants before all else on the machine, so that figures are of use also
 * where other things run. Those favoured compete with each other as they would without it.
 */
export function favour(root: number): void {
  for (const task of taskDirectories(root)) {
    setPriority(Number(basename(task)), constants.priority.PRIORITY_HIGHEST);
  }
  for (const pid of processTree(root)) {
    // Where sessions are scheduled as groups, priority counts only within one.
    const group = `/proc/${pid}/autogroup`;
    if (existsSync(group)) {
      writeFileSync(group, `${constants.priority.PRIORITY_HIGHEST}`);
    }
  }
}
