import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { basename, dirname, join } from "node:path";

/**
 * PIDs in names: in this base one has five digits, so that there is room for the longest name (keeper.ts). Capitals,
 * because other files of a mount point have endings in small letters.
 */
const BASE = 36;
const PID = /^[0-9A-Z]+$/;

/** Removes the sockets of workers that were killed before they had renamed them. */
function removeLeftovers(path: string): void {
  const directory = dirname(path);
  const prefix = `${basename(path)}.`;
  for (const name of readdirSync(directory)) {
    const pid = name.startsWith(prefix) ? name.slice(prefix.length) : "";
    if (PID.test(pid) && !existsSync(`/proc/${Number.parseInt(pid, BASE)}`)) {
      rmSync(join(directory, name), { force: true });
    }
  }
}

/**
 * Has a server listen at `path`, for root only, also while the worker before this one still listens there. The socket
 * is made under a name of its own and then renamed to `path`: a worker that ends unlinks the name under which it made
 * its socket, so the earlier worker does not unlink this one. `onError` gets every error; nothing is thrown.
 */
export function listenInPlace(
  server: Server,
  path: string,
  onError: (error: unknown) => void,
): void {
  const own = `${path}.${process.pid.toString(BASE).toUpperCase()}`;
  server.on("error", onError);
  server.unref();
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    removeLeftovers(path);
    rmSync(own, { force: true });
    server.listen(own, () => {
      try {
        chmodSync(own, 0o600);
        renameSync(own, path);
      } catch (error) {
        onError(error);
      }
    });
  } catch (error) {
    onError(error);
  }
}
