// Who may see all containers. Anybody else sees those of his own at most, such as rootless podman's.

import { VprocfsError } from "./errors.js";

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** For what would be wrong, and not only less, without it. */
export function requireRoot(): void {
  if (!isRoot()) {
    throw new VprocfsError("NOT_ROOT", "must be run as root");
  }
}
