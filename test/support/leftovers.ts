// Removes what earlier runs of these tests left behind: mounts, cgroups, directories. Only names
// made by testName() in processes that are gone, so that two runs at once leave each other alone.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseMountinfo } from "../../src/mountinfo.js";
import { isLeftover } from "./names.js";

function unmountLeftovers(): void {
  const mounts = parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
  for (const { mountpoint } of mounts.reverse()) {
    if (mountpoint.split("/").some(isLeftover)) {
      spawnSync("umount", ["--lazy", mountpoint]);
    }
  }
}

function directoriesIn(path: string): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
  } catch {
    return [];
  }
}

function removeCgroup(path: string): void {
  for (const child of directoriesIn(path)) {
    removeCgroup(child);
  }
  try {
    for (const pid of readFileSync(join(path, "cgroup.procs"), "utf8").split("\n")) {
      if (pid !== "" && pid !== "0") {
        process.kill(Number(pid), "SIGKILL");
      }
    }
    rmdirSync(path);
  } catch {
    // Its processes may need a moment to end; the next run tries again.
  }
}

function removeCgroups(): void {
  const root = "/sys/fs/cgroup";
  const hierarchies = existsSync(join(root, "cgroup.procs")) ? [root] : directoriesIn(root);
  for (const hierarchy of hierarchies) {
    for (const path of directoriesIn(hierarchy)) {
      if (isLeftover(basename(path))) {
        removeCgroup(path);
      }
    }
  }
}

/** Vitest calls this once before the tests that need a real machine. */
export default function setup(): void {
  if (process.getuid?.() !== 0) {
    return;
  }
  unmountLeftovers();
  removeCgroups();
  for (const path of directoriesIn(tmpdir())) {
    if (isLeftover(basename(path))) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}
