// Only root sees all containers. Other users see at most their own, such as those of rootless podman.

import { VprocfsError } from "./errors.js";

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Throws unless run as root, for commands whose results would be wrong otherwise, and not only incomplete. */
export function requireRoot(): void {
  if (!isRoot()) {
    throw new VprocfsError("NOT_ROOT", "must be run as root");
  }
}
