import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cgroupDirectories, findHierarchies } from "../../src/demo/cgroups.js";
import { NAME_PREFIX } from "./paths.js";

/** Whether a benchmark that has ended made it; the name has its PID: "vprocfs-bench-1234-7". */
function isLeftover(name: string): boolean {
  const pid = new RegExp(`^${NAME_PREFIX}(\\d+)(?:-\\d+)?$`).exec(name)?.[1];
  return pid !== undefined && !existsSync(`/proc/${pid}`);
}

function emptyCgroup(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) {
      emptyCgroup(join(directory, entry.name));
      rmdirSync(join(directory, entry.name));
    }
  }
  for (const pid of readFileSync(join(directory, "cgroup.procs"), "utf8").split("\n")) {
    if (pid !== "" && pid !== "0") {
      process.kill(Number(pid), "SIGKILL");
    }
  }
}

async function removeCgroup(directory: string): Promise<void> {
  for (let tries = 100; ; tries -= 1) {
    try {
      emptyCgroup(directory);
      rmdirSync(directory);
      return;
    } catch (error) {
      // Killed processes stay in their cgroup for a moment.
      if (tries === 0) {
        throw error;
      }
      await sleep(20);
    }
  }
}

/**
 * Removes leftovers of earlier benchmarks; returns them. There are some only if the stage program was killed:
 * it cleans up even if its parent is killed.
 */
export async function sweep(): Promise<string[]> {
  const swept: string[] = [];
  const host = findHierarchies();
  for (const root of cgroupDirectories(host, "")) {
    for (const name of readdirSync(root).filter(isLeftover)) {
      await removeCgroup(join(root, name));
      swept.push(join(root, name));
    }
  }
  for (const name of readdirSync(tmpdir()).filter(isLeftover)) {
    const directory = join(tmpdir(), name);
    spawnSync("umount", ["--lazy", "--recursive", directory]);
    rmdirSync(directory);
    swept.push(directory);
  }
  return swept;
}
