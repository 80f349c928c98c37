import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { knownStatField } from "../processes.js";

/**
 * One empty file, "<PID of init>-<start of init in ticks>", for each container that an operator has detached or whose
 * own configuration excludes it. native/attach/hook.cc adds and removes files too.
 */
const DIRECTORY = "/run/vprocfs/left-alone";

const START_TIME = 22;

/** Throws if it is not known whether the process has ended. */
function nameOf(init: number): string | undefined {
  const start = knownStatField(init, START_TIME);
  return start === undefined ? undefined : `${init}-${start}`;
}

function fileOf(init: number): string | undefined {
  const name = nameOf(init);
  return name === undefined ? undefined : join(DIRECTORY, name);
}

/** Whether the watcher leaves the container of this init alone. */
export function isLeftAlone(init: number): boolean {
  const path = fileOf(init);
  return path !== undefined && existsSync(path);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // No container was ever left alone.
    return [];
  }
}

function initIn(name: string): number {
  return Number(name.split("-", 1)[0]);
}

/** isLeftAlone() for many containers, as the directory is now: it is read once. */
export function leftAloneNow(directory = DIRECTORY): (init: number) => boolean {
  const names = namesIn(directory);
  const inits = new Set(names.map(initIn));
  const files = new Set<string | undefined>(names);
  return (init) => {
    try {
      return inits.has(init) && files.has(nameOf(init));
    } catch {
      // Most likely it is the one that the file is about.
      return true;
    }
  };
}

/** False also if that cannot be found out. */
function hasEnded(name: string): boolean {
  try {
    return nameOf(initIn(name)) !== name;
  } catch {
    return false;
  }
}

/** Removes the files of containers that have ended. */
export function forgetEnded(directory = DIRECTORY): void {
  for (const name of namesIn(directory)) {
    if (hasEnded(name)) {
      rmSync(join(directory, name), { force: true });
    }
  }
}

/** Tells the watcher whether to leave a container alone from now on. */
export function leaveAlone(init: number, leave: boolean): void {
  const path = fileOf(init);
  if (path === undefined) {
    return;
  }
  if (leave) {
    mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
    writeFileSync(path, "", { mode: 0o600 });
  } else {
    rmSync(path, { force: true });
  }
}
