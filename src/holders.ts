import { opendirSync, readFileSync, readlinkSync } from "node:fs";
import { mountAt, readMounts } from "./mountinfo.js";
import { allProcesses } from "./processes.js";
import { printable } from "./text.js";

/** How many processes are listed. */
const MAX_HOLDERS = 8;
/** How long to look for them: a process may have a million descriptors, and a stop waits for this. */
const LOOK_FOR_MS = 500;

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/** Whether one of a process's descriptors is below a directory, as far as that is known by `untilMs`. */
function hasOpen(pid: number, directory: string, untilMs: number): boolean {
  try {
    const all = opendirSync(`/proc/${pid}/fd`);
    try {
      for (let fd = all.readSync(); fd !== null; fd = all.readSync()) {
        if (isBelow(link(`/proc/${pid}/fd/${fd.name}`), directory)) {
          return true;
        }
        if (performance.now() > untilMs) {
          return false;
        }
      }
    } finally {
      all.closeSync();
    }
  } catch {
    // It has ended.
  }
  return false;
}

function holds(pid: number, mountpoint: string, untilMs: number): boolean {
  const isIn = (name: string): boolean => isBelow(link(`/proc/${pid}/${name}`), mountpoint);
  return isIn("cwd") || isIn("root") || hasOpen(pid, mountpoint, untilMs);
}

function nameOf(pid: number): string {
  try {
    return printable(readFileSync(`/proc/${pid}/comm`, "utf8").trim());
  } catch {
    return "?";
  }
}

/**
 * The processes ("bash (4711)") that keep a mount busy with a working directory, a root or an open file. Reads only
 * links of /proc, and never the mount itself, which may not answer. In another mount namespace, such as a container's,
 * the mount is another one.
 */
export function findHolders(mountpoint: string): string[] {
  if (mountAt(readMounts(), mountpoint) === undefined) {
    return [];
  }
  const found: string[] = [];
  const untilMs = performance.now() + LOOK_FOR_MS;
  const namespace = link("/proc/self/ns/mnt");
  for (const pid of allProcesses()) {
    if (pid === process.pid || link(`/proc/${pid}/ns/mnt`) !== namespace) {
      continue;
    }
    if (holds(pid, mountpoint, untilMs)) {
      found.push(`${nameOf(pid)} (${pid})`);
    }
    if (found.length >= MAX_HOLDERS || performance.now() > untilMs) {
      break;
    }
  }
  return found;
}
