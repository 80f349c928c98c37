import { chmodSync, mkdirSync, rmdirSync } from "node:fs";
import { dirname } from "node:path";
import { errnoOf } from "./errors.js";
import { nameOf } from "./keeper.js";
import { type Identity, type MountpointSystem, prepareMountpoint } from "./mountpoint.js";

/**
 * The second mount that belongs to a mount point, for files that can be polled (docs/reference/pressure.md).
 * Unlike the directory of the sockets it can be read by everybody, because links of the tree lead there.
 */
export function polledMountpointOf(mountpoint: string): string {
  return `/run/vprocfs-poll/${nameOf(mountpoint)}`;
}

/** The log's line when there is no second mount. */
export const NO_SECOND_MOUNT =
  "cannot mount pressure files separately: they are polled on the main mount, and containers get no kernel log files";

/** Files of a container's kernel log. Only the second mount has them, and none in the contract `tick`. */
export const LOG_FILES: readonly string[] = ["dev/kmsg", "proc/kmsg"];

/** Makes the directory of the second mount. Throws the system's error. */
export function makePolledMountpoint(mountpoint: string): string {
  const path = polledMountpointOf(mountpoint);
  mkdirSync(dirname(path), { recursive: true });
  chmodSync(dirname(path), 0o755); // whatever the umask
  try {
    mkdirSync(path);
  } catch (error) {
    // A mount may be there, and dead, so nothing more is asked of it.
    if (errnoOf(error) !== "EEXIST") {
      throw error;
    }
  }
  return path;
}

/** Makes it and unmounts dead mounts of ours there. Throws if it is in use. */
export async function preparePolled(
  system: MountpointSystem,
  mountpoint: string,
  identity: Identity,
): Promise<string> {
  return (await prepareMountpoint(system, makePolledMountpoint(mountpoint), identity)).path;
}

/** Removes the directory again, unless something is mounted there. */
export function removePolledMountpoint(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // It is in use, or the keeper was quicker.
  }
}
