import { readStatus } from "./keeper-status.js";
import { type Mount, mountAt, readMounts } from "./mountinfo.js";
import { type Identity, isOurs } from "./mountpoint.js";

/** Why a mount is not seen though somebody serves it, and what helps: to start what runs would do nothing. */
export interface Unseen {
  readonly what: string;
  readonly todo: string;
}

/** The mounts that another process sees; none of one that cannot be looked at. */
function mountsOf(pid: number): Mount[] {
  try {
    return readMounts(`/proc/${pid}/mountinfo`);
  } catch {
    return [];
  }
}

/**
 * Of a canonical path where no mount is seen: whether somebody serves one there all the same, which has been
 * unmounted, or which only other mount namespaces than ours have. `restart` says how to restart it.
 */
export async function servedUnseen(
  mountpoint: string,
  identity: Identity,
  restart: string,
): Promise<Unseen | undefined> {
  try {
    const { workerPid, keeperPid } = await readStatus(mountpoint);
    if (workerPid <= 0) {
      return undefined;
    }
    const mount = mountAt(mountsOf(keeperPid), mountpoint);
    if (mount === undefined || !isOurs(mount, identity)) {
      return { what: "vprocfs runs, but somebody has unmounted it here", todo: restart };
    }
    return {
      what: "vprocfs is mounted here, but not in the mount namespace of this command",
      todo: `run it where vprocfs runs: nsenter --target ${keeperPid} --mount vprocfs ...`,
    };
  } catch {
    return undefined;
  }
}
