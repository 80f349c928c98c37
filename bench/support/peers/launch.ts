import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { UnavailableError } from "../../case.js";
import { daemonCpuNs, processTree, startedAtNs } from "../daemon.js";
import { favour } from "../priority.js";
import type { Stage } from "../stage.js";
import type { PeerContext, StartTimes } from "./peer.js";

/** How long a daemon may take until the first read. */
const START_TIMEOUT_MS = 15_000;
/** How often to check whether the daemon has ended. */
const LOOK_MS = 500;
/** A daemon has settled if it used less CPU time than this in each of QUIET_LOOKS intervals. */
const QUIET_NS = 5e6;
const QUIET_LOOKS = 3;
const SETTLE_LOOK_MS = 200;
const SETTLE_TIMEOUT_MS = 10_000;

interface Launched {
  readonly pid: number;
  readonly mountpoint: string;
  readonly start: StartTimes;
}

/** How to start a FUSE daemon. */
interface Launch {
  readonly command: (mountpoint: string) => readonly string[];
  /** A file or directory below the mount point that can be opened once the daemon serves. */
  readonly probe: string;
  /** Whether a daemon that ends instead of serving counts as unavailable here, rather than as failed. */
  readonly optional: boolean;
}

/** The last line of a log, which says why a daemon did not start. */
function lastWords(log: string): string {
  const lines = readFileSync(log, "utf8").trim().split("\n");
  return lines.at(-1) ?? "";
}

/** The time of the first successful read; undefined: the daemon ended before, or took too long. */
async function firstRead(
  stage: Stage,
  probe: string,
  daemon: ChildProcess,
): Promise<bigint | undefined> {
  const until = Date.now() + START_TIMEOUT_MS;
  while (daemon.exitCode === null && daemon.signalCode === null && Date.now() < until) {
    try {
      return await stage.awaitFile(probe, LOOK_MS);
    } catch {
      // It does not serve yet.
    }
  }
  return undefined;
}

/** Waits until a daemon is idle: what it still prepares after its start is no cost of reads. */
async function settle(stage: Stage, pid: number): Promise<void> {
  const until = Date.now() + SETTLE_TIMEOUT_MS;
  let before = await daemonCpuNs(stage, pid);
  let quiet = 0;
  while (quiet < QUIET_LOOKS && Date.now() < until) {
    await delay(SETTLE_LOOK_MS);
    const now = await daemonCpuNs(stage, pid);
    quiet = now - before < QUIET_NS ? quiet + 1 : 0;
    before = now;
  }
}

/** Starts a FUSE daemon in the foreground on a new directory and waits until it serves. */
export async function launch(context: PeerContext, how: Launch): Promise<Launched> {
  const { stage, directory } = context;
  const mountpoint = join(directory, "mnt");
  await stage.run("directory", mountpoint);
  const [program = "", ...args] = how.command(mountpoint);
  const log = join(directory, "log");
  const output = openSync(log, "w");
  const launched = process.hrtime.bigint();
  const child = spawn(program, args, {
    stdio: ["ignore", output, output],
    detached: true,
    cwd: directory,
  });
  closeSync(output);
  // If the program does not exist, there is no PID.
  child.on("error", () => undefined);
  const { pid } = child;
  if (pid === undefined) {
    throw new Error(`cannot start ${program}`);
  }
  if (context.favoured) {
    favour(pid);
  }
  await stage.run("guard", `${pid}`, mountpoint);
  const ready = await firstRead(stage, join(mountpoint, how.probe), child);
  if (ready === undefined) {
    const ended = child.exitCode !== null || child.signalCode !== null;
    const message = ended ? lastWords(log) : `did not serve in time: ${lastWords(log)}`;
    throw ended && how.optional ? new UnavailableError(message) : new Error(message);
  }
  if (context.favoured) {
    favour(pid); // also the processes that it has started since
  }
  const worker = processTree(pid).at(-1) ?? pid;
  const start = {
    ms: Number(ready - launched) / 1e6,
    workerMs: (Number(ready) - startedAtNs(worker)) / 1e6,
  };
  await settle(stage, pid);
  return { pid, mountpoint, start };
}
