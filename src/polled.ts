import { chmodSync, mkdirSync, rmdirSync } from "node:fs";
import { dirname } from "node:path";
import { errnoOf } from "./errors.js";
import { nameOf } from "./keeper.js";
import { type Identity, type MountpointSystem, prepareMountpoint } from "./mountpoint.js";

/**
 * Where the second mount of a mount point is: of files that are polled (docs/reference/pressure.md). Everybody
 * may look into it, unlike into the directory with the sockets: links of the tree lead there.
 */
export function polledMountpointOf(mountpoint: string): string {
  return `/run/vprocfs-poll/${nameOf(mountpoint)}`;
}

/** Files of a container's kernel log, which only that mount has: with the contract `tick` none does. */
export const LOG_FILES: readonly string[] = ["dev/kmsg", "proc/kmsg"];

/** Makes its directory. Throws what the system says. */
export function makePolledMountpoint(mountpoint: string): string {
  const path = polledMountpointOf(mountpoint);
  mkdirSync(dirname(path), { recursive: true });
  chmodSync(dirname(path), 0o755); // whatever the umask
  try {
    mkdirSync(path);
  } catch (error) {
    // Something may be mounted there, dead perhaps: it is not to be asked.
    if (errnoOf(error) !== "EEXIST") {
      throw error;
    }
  }
  return path;
}

/** The same, with dead mounts of our own taken away. Throws when it is in use. */
export async function preparePolled(
  system: MountpointSystem,
  mountpoint: string,
  identity: Identity,
): Promise<string> {
  return (await prepareMountpoint(system, makePolledMountpoint(mountpoint), identity)).path;
}

/** Takes the directory away again, unless something is mounted there. */
export function removePolledMountpoint(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // It is in use, or the keeper was quicker.
  }
}
