// The cgroup freezer of a container: cgroup.freeze of cgroup2, freezer.state of v1.

import { readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf } from "../errors.js";
import type { Mount } from "../mountinfo.js";
import type { ContainerInfo } from "../native/binding.js";
import { readFigure, valueIn } from "../tools/cgroup-files.js";

/** Writing to it freezes a cgroup with all below it. */
export interface Freezer {
  /** Path of the file that is written. */
  readonly control: string;
  /** Of its directory, which no later cgroup of that name has. */
  readonly inode: bigint;
}

const V2 = "cgroup.freeze";
const V1 = "freezer.state";

function isV2({ control }: Freezer): boolean {
  return control.endsWith(`/${V2}`);
}

/** The one whose file is at a path; undefined where there is none (any more). */
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

/** A process's cgroups that can be frozen, by the path where the hierarchy is mounted. */
function frozenWith(pid: number, mounts: readonly Mount[], procfs: string): Map<string, string> {
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

/** Whether anybody lives in a cgroup of cgroup2 or below it. */
function isPopulated({ control }: Freezer): boolean {
  return valueIn(readFigure(join(dirname(control), "cgroup.events")) ?? "", "populated") === 1;
}

/**
 * The freezer of exactly a container's cgroup; undefined where it has none of its own, or where one of
 * `excluded` would be frozen with it.
 */
export function freezerOf(
  { init, cgroup }: Pick<ContainerInfo, "init" | "cgroup">,
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
      isAtOrBelow(frozenWith(pid, mounts, procfs).get(mountpoint) ?? "/", top),
    );
    // What is above our own cgroup namespace's root is not below the mount.
    const isBelow = top.startsWith("/") && top !== "/" && !top.split("/").includes("..");
    return isBelow && !isShared ? freezerAt(join(mountpoint, top, file)) : undefined;
  };
  // cgroup2's first: it wakes who waits for it, and nobody who is frozen there is unkillable. Never of
  // another path than the container's: where v1 has the controllers, runtimes leave all that they start
  // in a cgroup2 directory in which they live themselves.
  const v2 = mounts.find(isWholeCgroup2);
  const unified = v2 && freezerIn(v2, cgroup, V2);
  if (unified !== undefined && isPopulated(unified)) {
    return unified;
  }
  const v1 = mounts.find(isWholeFreezer);
  if (v1 === undefined) {
    return undefined;
  }
  const path = (frozenWith(init, mounts, procfs).get(v1.mountpoint) ?? "/").replace(
    /\/init\.scope$/,
    "",
  );
  // Where paths differ from controller to controller: none in which whoever has started it lives too.
  const outside = [...excluded, ...ancestorsOf(init, procfs).slice(1)];
  return freezerIn(v1, cgroup, V1) ?? freezerIn(v1, path, V1, outside);
}

/** Whether somebody wants it frozen, whether or not it is already; not by those above it. */
export function isFreezeRequested(freezer: Freezer): boolean {
  return isV2(freezer)
    ? readFigure(freezer.control) === "1"
    : readFigure(join(dirname(freezer.control), "freezer.self_freezing")) === "1";
}

/** Whether all that is in it stands still; what is gone does. */
export function isFrozen(freezer: Freezer): boolean {
  const events = join(dirname(freezer.control), "cgroup.events");
  const state = readFigure(isV2(freezer) ? events : freezer.control);
  return (
    state === undefined || (isV2(freezer) ? valueIn(state, "frozen") === 1 : state === "FROZEN")
  );
}

/** Has the kernel freeze or thaw it. False if it is gone, or is another one of that name. */
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

/** The processes above one, itself first: what waits for it. */
export function ancestorsOf(pid: number, procfs = "/proc"): number[] {
  const chain: number[] = [];
  for (let at = pid; at > 0 && !chain.includes(at); ) {
    chain.push(at);
    let stat = "";
    try {
      stat = readFileSync(`${procfs}/${at}/stat`, "latin1");
    } catch {
      break;
    }
    // Its name, which may hold anything, ends with the last parenthesis.
    at = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  }
  return chain;
}
