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

/** A process's cgroups that can be frozen, by the path where the hierarchy is mounted. */
function frozenWith(pid: number, mounts: readonly Mount[], procfs: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of (readFigure(`${procfs}/${pid}/cgroup`) ?? "").split("\n")) {
    const [, names = "", ...rest] = line.split(":");
    const path = rest.join(":");
    const mount = mounts.find(({ fsType, root, superOptions }) =>
      names === ""
        ? fsType === "cgroup2" && root === "/"
        : fsType === "cgroup" &&
          root === "/" &&
          superOptions.includes("freezer") &&
          names.split(",").includes("freezer"),
    );
    if (mount !== undefined && path.startsWith("/")) {
      found.set(mount.mountpoint, path);
    }
  }
  return found;
}

function isAtOrBelow(path: string, top: string): boolean {
  return path === top || path.startsWith(`${top}/`);
}

/**
 * The freezer of exactly a container's cgroup, as its init tells where that is; undefined where it has
 * none of its own, or where one of `spared` would be frozen with it.
 */
export function freezerOf(
  { init, cgroup }: Pick<ContainerInfo, "init" | "cgroup">,
  mounts: readonly Mount[],
  spared: readonly number[],
  procfs = "/proc",
): Freezer | undefined {
  const sparedIn = spared.map((pid) => frozenWith(pid, mounts, procfs));
  const own = [...frozenWith(init, mounts, procfs)].map(([mountpoint, path]) => {
    const isCgroup2 = mounts.some(
      (mount) => mount.mountpoint === mountpoint && mount.fsType === "cgroup2",
    );
    // Below the container's cgroup is its own business.
    const isInside = isCgroup2 && isAtOrBelow(path, cgroup);
    const top = isInside ? cgroup : path.replace(/\/init\.scope$/, "");
    return { mountpoint, top, file: isCgroup2 ? V2 : V1 };
  });
  // cgroup2's first: it wakes who waits for it, and nobody who is frozen there is unkillable.
  own.sort((a, b) => Number(b.file === V2) - Number(a.file === V2));
  for (const { mountpoint, top, file } of own) {
    const isShared = sparedIn.some((paths) => isAtOrBelow(paths.get(mountpoint) ?? "/", top));
    if (top !== "" && top !== "/" && !isShared) {
      const freezer = freezerAt(join(mountpoint, top, file));
      if (freezer !== undefined) {
        return freezer;
      }
    }
  }
  return undefined;
}

/** Whether somebody wants it frozen, whether or not it is already; not by those above it. */
export function isToBeFrozen(freezer: Freezer): boolean {
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
