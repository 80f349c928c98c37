import { readFileSync, readlinkSync } from "node:fs";
import { VprocfsError } from "./errors.js";
import { socketOf } from "./keeper.js";
import { type AskStatus, readStatus } from "./keeper-status.js";
import { type Mount, mountAt, readMounts } from "./mountinfo.js";
import { type Identity, isOurs } from "./mountpoint.js";

/** Why the mount of a running vprocfs is not visible, and what to do. Starting it again would not help. */
interface Unseen {
  readonly what: string;
  readonly todo: string;
}

const ELSEWHERE: Unseen = {
  what: "vprocfs runs in another PID namespace than this command, which sees none of its containers",
  todo: "run it where vprocfs runs",
};

/** Who serves a mount point. */
interface Server {
  readonly keeperPid: number;
  /** 0 while there is no worker. */
  readonly workerPid: number;
  /** What the keeper sees; undefined: it is in another PID namespace than this command. */
  readonly mounts: Mount[] | undefined;
}

/** Who serves a mount point; undefined: nobody answers. */
async function serverOf(mountpoint: string, ask: AskStatus): Promise<Server | undefined> {
  try {
    const { keeperPid, workerPid } = await ask();
    return { keeperPid, workerPid, mounts: mountsOf(keeperPid, mountpoint) };
  } catch {
    return undefined;
  }
}

/** The mounts that a keeper sees; undefined if the PID is not that of a keeper of this mount point here. */
function mountsOf(pid: number, mountpoint: string): Mount[] | undefined {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return words.includes(socketOf(mountpoint)) ? readMounts(`/proc/${pid}/mountinfo`) : undefined;
  } catch {
    return undefined;
  }
}

/** The link of the host's initial PID namespace, which sees all others (PROC_PID_INIT_INO). */
const FIRST_PID_NAMESPACE = "pid:[4026531836]";

/** True also where that cannot be known. */
function inFirstPidNamespace(): boolean {
  try {
    return readlinkSync("/proc/self/ns/pid") === FIRST_PID_NAMESPACE;
  } catch {
    return true;
  }
}

/** Why this command sees no containers: vprocfs serves in another PID namespace. undefined: it does not. */
export async function containersUnseen(
  mountpoint: string,
  ask: AskStatus = () => readStatus(mountpoint),
): Promise<Unseen | undefined> {
  if (inFirstPidNamespace()) {
    return undefined;
  }
  const server = await serverOf(mountpoint, ask);
  return server !== undefined && server.mounts === undefined ? ELSEWHERE : undefined;
}

/** Throws if containersUnseen(), for commands whose result would be wrong then. */
export async function requireSight(mountpoint: string): Promise<void> {
  const unseen = await containersUnseen(mountpoint);
  if (unseen !== undefined) {
    throw new VprocfsError("NOT_MOUNTED", `${unseen.what}: ${unseen.todo}`);
  }
}

/** The mount table of the namespace in which vprocfs serves; our own if none serves or it cannot be read. */
export async function mountsWhereServed(mountpoint: string, ask: AskStatus): Promise<Mount[]> {
  const server = await serverOf(mountpoint, ask);
  return server?.mounts ?? readMounts();
}

/**
 * Whether a vprocfs serves a canonical path at which no mount is visible: it was unmounted, or is in other mount
 * namespaces than ours. `restart` says how to restart it.
 */
export async function servedUnseen(
  mountpoint: string,
  identity: Identity,
  restart: string,
  ask: AskStatus = () => readStatus(mountpoint),
): Promise<Unseen | undefined> {
  const server = await serverOf(mountpoint, ask);
  if (server === undefined || server.workerPid <= 0) {
    return undefined;
  }
  const { keeperPid, mounts } = server;
  if (mounts === undefined) {
    return {
      what: "vprocfs runs, but neither it nor its mount is in the namespaces of this command",
      todo: "run it where vprocfs runs",
    };
  }
  const mount = mountAt(mounts, mountpoint);
  if (mount === undefined || !isOurs(mount, identity)) {
    return { what: "vprocfs runs, but somebody has unmounted it here", todo: restart };
  }
  return {
    what: "vprocfs is mounted here, but not in the mount namespace of this command",
    todo: `run it where vprocfs runs: nsenter --target ${keeperPid} --mount vprocfs ...`,
  };
}
