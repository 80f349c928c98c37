import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loadConfig } from "../config-load.js";
import { VprocfsError } from "../errors.js";
import { installed } from "../layout.js";
import { mountAt, readMounts } from "../mountinfo.js";
import { canonicalPath, stateOfMount } from "../mountpoint.js";

/** A mounted tree, which release() gives up. */
export interface Tree {
  readonly path: string;
  /** Whether the demo started its server itself. */
  readonly isOwn: boolean;
  release(): Promise<void>;
}

const MOUNTED_WITHIN_MS = 10_000;
const POLL_MS = 50;

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function untilMounted(child: ChildProcess, path: string, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + MOUNTED_WITHIN_MS;
  while (mountAt(readMounts(), path) === undefined) {
    signal.throwIfAborted();
    if (hasEnded(child)) {
      throw new VprocfsError("SYSTEM", "vprocfs did not start, see above");
    }
    if (Date.now() > deadline) {
      throw new VprocfsError("SYSTEM", "vprocfs did not mount in time");
    }
    await sleep(POLL_MS);
  }
}

async function stopServer(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) {
    return;
  }
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
}

async function startServer(name: string, signal: AbortSignal): Promise<Tree> {
  const path = canonicalPath(mkdtempSync(join(tmpdir(), `${name}-`)));
  const cli = installed("dist/cli.js");
  const alone = ["--watch", "off", "--metrics", "off"];
  const child = spawn(process.execPath, [cli, "run", path, ...alone, "--log-level", "warn"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const release = async (): Promise<void> => {
    await stopServer(child);
    // A server that crashed has left its mount behind.
    if (mountAt(readMounts(), path) !== undefined) {
      spawnSync("umount", ["--lazy", path], { stdio: "inherit" });
    }
    rmdirSync(path);
  };
  try {
    await untilMounted(child, path, signal);
    return { path, isOwn: true, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** The tree of a running vprocfs, else that of a new one on a temporary directory. */
export async function findTree(name: string, signal: AbortSignal): Promise<Tree> {
  const config = loadConfig();
  const path = canonicalPath(config.mountpoint);
  const state = await stateOfMount(path, config);
  if (state === "live") {
    return { path, isOwn: false, release: async () => {} };
  }
  return startServer(name, signal);
}
