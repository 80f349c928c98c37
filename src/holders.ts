import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mountAt, readMounts } from "./mountinfo.js";
import { allProcesses } from "./processes.js";
import { printable } from "./text.js";

/** How many processes are listed. */
const MAX_HOLDERS = 8;

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

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

function holds(pid: number, mountpoint: string): boolean {
  const paths = [`/proc/${pid}/cwd`, `/proc/${pid}/root`];
  for (const fd of list(`/proc/${pid}/fd`)) {
    paths.push(`/proc/${pid}/fd/${fd}`);
  }
  return paths.some((path) => isBelow(link(path), mountpoint));
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
 * links of /proc, and never the mount itself, which may not answer.
 */
export function findHolders(mountpoint: string): string[] {
  if (mountAt(readMounts(), mountpoint) === undefined) {
    return [];
  }
  const found: string[] = [];
  for (const pid of allProcesses()) {
    if (pid !== process.pid && holds(pid, mountpoint)) {
      found.push(`${nameOf(pid)} (${pid})`);
    }
    if (found.length >= MAX_HOLDERS) {
      break;
    }
  }
  return found;
}
