// The cgroup freezer of a container: cgroup.freeze of cgroup2, freezer.state of v1.

import { statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf } from "../errors.js";
import type { Mount } from "../mountinfo.js";
import type { ContainerIdentity } from "../native/binding.js";
import { statField } from "../processes.js";
import { readFigure, valueIn } from "../tools/cgroup-files.js";

/** A file of a cgroup that freezes the cgroup and all below it. */
export interface Freezer {
  /** Path of the file. */
  readonly control: string;
  /** Inode of its directory: a later cgroup of the same name has another. */
  readonly inode: bigint;
}

const V2 = "cgroup.freeze";
const V1 = "freezer.state";

function isV2({ control }: Freezer): boolean {
  return control.endsWith(`/${V2}`);
}

/** The freezer whose file is at a path; undefined: the file does not exist. */
export function freezerAt(control: string): Freezer | undefined {
  try {
    statSync(control);
    return { control, inode: statSync(dirname(control), { bigint: true }).ino };
  } catch {
    return undefined;
  }
}

function isWholeCgroup2({ fsType, root }: Mount): boolean {
  return fsType === "cgroup2" && root === "/";
}

function isWholeFreezer({ fsType, root, superOptions }: Mount): boolean {
  return fsType === "cgroup" && root === "/" && superOptions.includes("freezer");
}

/** The cgroups of a process in the hierarchies that can freeze, by where the hierarchy is mounted. */
function freezableCgroups(
  pid: number,
  mounts: readonly Mount[],
  procfs: string,
): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of (readFigure(`${procfs}/${pid}/cgroup`) ?? "").split("\n")) {
    const [, names = "", ...rest] = line.split(":");
    const path = rest.join(":");
    const isFreezer = names.split(",").includes("freezer");
    const mount =
      names === "" ? mounts.find(isWholeCgroup2) : isFreezer && mounts.find(isWholeFreezer);
    if (mount && path.startsWith("/")) {
      found.set(mount.mountpoint, path);
    }
  }
  return found;
}

function isAtOrBelow(path: string, top: string): boolean {
  return path === top || path.startsWith(`${top}/`);
}

/** Whether a cgroup of cgroup2, or one below it, has processes. */
function isPopulated({ control }: Freezer): boolean {
  return valueIn(readFigure(join(dirname(control), "cgroup.events")) ?? "", "populated") === 1;
}

/**
 * The freezer of a container's own cgroup. Undefined if the container has no cgroup of its own, or if
 * freezing it would freeze one of the processes `excluded`.
 */
export function freezerOf(
  { init, cgroup }: Pick<ContainerIdentity, "init" | "cgroup">,
  mounts: readonly Mount[],
  excluded: readonly number[],
  procfs = "/proc",
): Freezer | undefined {
  const freezerIn = (
    { mountpoint }: Mount,
    top: string,
    file: string,
    others = excluded,
  ): Freezer | undefined => {
    const isShared = others.some((pid) =>
      isAtOrBelow(freezableCgroups(pid, mounts, procfs).get(mountpoint) ?? "/", top),
    );
    // A path with ".." leads above the root of our cgroup namespace, which the mount does not show.
    const isBelow = top.startsWith("/") && top !== "/" && !top.split("/").includes("..");
    return isBelow && !isShared ? freezerAt(join(mountpoint, top, file)) : undefined;
  };
  // cgroup2 is preferred: what it has frozen can be killed, and cgroup.events tells when it has frozen. Only
  // the container's own path is tried: if the controllers are on v1, runtimes share a cgroup2 directory with
  // all that they start.
  const v2 = mounts.find(isWholeCgroup2);
  const unified = v2 && freezerIn(v2, cgroup, V2);
  if (unified !== undefined && isPopulated(unified)) {
    return unified;
  }
  const v1 = mounts.find(isWholeFreezer);
  if (v1 === undefined) {
    return undefined;
  }
  const path = (freezableCgroups(init, mounts, procfs).get(v1.mountpoint) ?? "/").replace(
    /\/init\.scope$/,
    "",
  );
  // On v1 the freezer's path may differ from the container's. It must not hold the processes that started the
  // container.
  const outside = [...excluded, ...ancestorsOf(init, procfs).slice(1)];
  return freezerIn(v1, cgroup, V1) ?? freezerIn(v1, path, V1, outside);
}

/** Whether this cgroup itself was told to freeze, whether or not all in it stands still already. */
export function isFreezeRequested(freezer: Freezer): boolean {
  return isV2(freezer)
    ? readFigure(freezer.control) === "1"
    : readFigure(join(dirname(freezer.control), "freezer.self_freezing")) === "1";
}

/** Whether all processes in it stand still; true for a cgroup that is gone. */
export function isFrozen(freezer: Freezer): boolean {
  const events = join(dirname(freezer.control), "cgroup.events");
  const state = readFigure(isV2(freezer) ? events : freezer.control);
  return (
    state === undefined || (isV2(freezer) ? valueIn(state, "frozen") === 1 : state === "FROZEN")
  );
}

/** Tells the kernel to freeze or thaw it. False: it is gone, or another cgroup has its name now. */
export function setFrozen(freezer: Freezer, frozen: boolean): boolean {
  if (freezerAt(freezer.control)?.inode !== freezer.inode) {
    return false;
  }
  const word = isV2(freezer) ? (frozen ? "1" : "0") : frozen ? "FROZEN" : "THAWED";
  try {
    writeFileSync(freezer.control, word, { flag: "r+" });
    return true;
  } catch (error) {
    if (["ENOENT", "ENODEV"].includes(errnoOf(error) ?? "")) {
      return false;
    }
    throw error;
  }
}

const PARENT = 4;

/** A process and its ancestors, which may wait for it. */
export function ancestorsOf(pid: number, procfs = "/proc"): number[] {
  const chain: number[] = [];
  for (let at = pid; at > 0 && !chain.includes(at); ) {
    chain.push(at);
    at = Number(statField(at, PARENT, procfs) ?? 0);
  }
  return chain;
}
