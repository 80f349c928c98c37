import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import type { Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { messageOf } from "./errors.js";
import type { Logger } from "./log.js";

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

/** How long after a failure it is tried again: /run may be full for a moment. */
const AGAIN_MS = 5000;

function inodeAt(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}

/**
 * Has a server listen at `path`, for root only, also while the worker before this one still listens there. The socket
 * is made under a name of its own and then renamed to `path`: a worker that ends unlinks the name under which it made
 * its socket, so the earlier worker does not unlink this one. `what` is for the log: the commands that are answered.
 * Nothing is thrown: it is tried again until the server is closed.
 */
export function listenInPlace(server: Server, path: string, log: Logger, what: string): void {
  const own = `${path}.${process.pid.toString(BASE).toUpperCase()}`;
  let isClosed = false;
  let hasFailed = false;
  let before: number | undefined;
  const report = (error: unknown): void => {
    log.warn({ error: messageOf(error) }, `cannot answer ${what}`);
  };
  const fail = (error: unknown): void => {
    if (!hasFailed) {
      report(error);
      before = inodeAt(path);
    }
    hasFailed = true;
    setTimeout(attempt, AGAIN_MS).unref();
  };
  const place = (): void => {
    try {
      chmodSync(own, 0o600);
      renameSync(own, path);
    } catch (error) {
      fail(error);
      return;
    }
    if (hasFailed) {
      log.info({}, `answers ${what} now`);
    }
  };
  const attempt = (): void => {
    // A later worker that has taken the place keeps it. An earlier one may have left it.
    const now = inodeAt(path);
    if (isClosed || (hasFailed && now !== undefined && now !== before)) {
      return;
    }
    if (server.listening) {
      place();
      return;
    }
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      removeLeftovers(path);
      rmSync(own, { force: true });
      server.listen(own);
    } catch (error) {
      fail(error);
    }
  };
  server.on("listening", place);
  server.on("error", (error) => (server.listening ? report(error) : fail(error)));
  server.on("close", () => {
    isClosed = true;
  });
  server.unref();
  attempt();
}
