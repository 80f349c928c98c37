// What the tests of takeover share: the keeper's state and readers that check every byte.

import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { readStatus, type Status } from "../../src/keeper-status.js";
import { removeCgroup } from "../support/cgroups.js";
import { finished, type Outcome } from "../support/command.js";
import type { Container } from "../support/container.js";
import { type Daemon, vprocfs } from "../support/daemon.js";
import { textOf, threadsOf } from "../support/proc.js";
import { cxxProgram } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { until } from "../support/wait.js";

/** The documented time after which a silent worker is replaced. */
export const WATCHDOG_MS = 5_000;

/** For tests that wait for it, but not to see when. */
export const QUICK_WATCHDOG_MS = 2_000;
export const QUICK_WATCHDOG = ["--watchdog-ms", `${QUICK_WATCHDOG_MS}`] as const;

/** So much of a daemon's log tells why it did not do what was expected, in characters. */
const LOG_TAIL = 8_000;

export function statusOf(daemon: Daemon): Promise<Status> {
  return readStatus(daemon.mountpoint);
}

/** Waits until a worker later than `generation` serves. */
export async function servingAfter(daemon: Daemon, generation: number): Promise<Status> {
  let last: Status | undefined;
  try {
    return await until(`a worker after generation ${generation} serves`, async () => {
      last = await statusOf(daemon);
      return last.state === "serving" && last.generation > generation && last;
    });
  } catch (error) {
    const seen = `${JSON.stringify(last)}\n${daemon.logs.slice(-LOG_TAIL)}`;
    throw new Error(`${error instanceof Error ? error.message : error}; it said:\n${seen}`);
  }
}

/** Has another worker serve, by a reload or because the one that does is killed. */
export async function replaceWorker(daemon: Daemon, how: "kill" | "reload"): Promise<void> {
  const { workerPid, generation } = await statusOf(daemon);
  if (how === "reload") {
    const { status, stderr } = await vprocfs("reload", "--mountpoint", daemon.mountpoint);
    if (status !== 0) throw new Error(`the reload failed: ${stderr}`);
  } else {
    process.kill(workerPid, "SIGKILL");
  }
  await servingAfter(daemon, generation);
}

/** Waits until a second worker stands by. */
export function standingBy(daemon: Daemon): Promise<Status> {
  return until("a worker stands by", async () => {
    const status = await statusOf(daemon);
    return status.state === "serving" && status.standby === "ready" && status;
  });
}

/** The worker, and who is to follow it. */
export function workersOf(keeperPid: number): number[] {
  const children = readFileSync(`/proc/${keeperPid}/task/${keeperPid}/children`, "utf8");
  return children.split(" ").filter(Boolean).map(Number);
}

/** The worker that stands by: the process of the daemon that is neither keeper nor worker. */
export async function standbyOf(daemon: Daemon): Promise<number> {
  const { keeperPid, workerPid } = await standingBy(daemon);
  const pid = daemon.processes.find((other) => other !== keeperPid && other !== workerPid);
  if (pid === undefined) {
    throw new Error("no process stands by");
  }
  return pid;
}

/** Stops a process, and waits until none of its threads can take anything any more. */
export async function stopped(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  await until(`all threads of ${pid} have stopped`, () =>
    threadsOf(pid).every((thread) => {
      const text = textOf(`${thread}/status`);
      // One that has ended takes nothing either.
      return text === "" || /^State:\tT/m.test(text);
    }),
  );
}

/** Resident memory in KiB and open descriptors of a process. */
export function footprint(pid: number): { rssKiB: number; descriptors: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return {
    rssKiB: Number(/^Rss:\s+(\d+)/m.exec(rollup)?.[1]),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

/** What a storm found; times in µs. */
export interface StormResult {
  readonly reads: number;
  readonly operations: number;
  readonly hung: number;
  readonly failures: Readonly<Record<string, number>>;
  /** Errors of calls during which a worker was killed. */
  readonly inFlight: Readonly<Record<string, number>>;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly longestUs: number;
  readonly events: number;
  readonly stallP50Us: number;
  readonly stallP99Us: number;
  readonly stallMaxUs: number;
}

function isResult(value: unknown): value is StormResult {
  return typeof value === "object" && value !== null && "stallMaxUs" in value;
}

/** Readers in one container. */
export class Storm {
  readonly #child: ChildProcess;
  readonly #outcome: Promise<Outcome>;
  #isReady = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#outcome = finished(child);
    child.stdout?.once("data", () => {
      this.#isReady = true;
    });
  }

  /** `directory`: where the container finds proc/meminfo and proc/stat. */
  static async start(
    scope: Scope,
    container: Container,
    directory: string,
    readers: number,
  ): Promise<Storm> {
    const total = /^MemTotal:\s+(\d+) kB/.exec(await container.read("/proc/meminfo"))?.[1];
    const argv = [cxxProgram("storm"), directory, total ?? "", String(readers)];
    const child = container.start(scope, argv);
    const storm = new Storm(child);
    await until("the readers run", () => {
      if (child.exitCode !== null) {
        throw new Error("the readers ended");
      }
      return storm.#isReady;
    });
    return storm;
  }

  /** Tells that a worker is about to be killed, or has been. */
  tell(when: "before" | "after"): void {
    this.#child.stdin?.write(`${when}\n`);
  }

  /** Has the readers end and resolves to what they found. */
  async end(): Promise<StormResult> {
    this.#child.stdin?.end();
    const { stdout, stderr } = await this.#outcome;
    const result: unknown = JSON.parse(stdout.toString().replace(/^ready\n/, "") || "null");
    if (!isResult(result)) {
      throw new Error(`the readers ended: ${stderr}`);
    }
    return result;
  }
}

export const FREEZER = "/sys/fs/cgroup/freezer";

/** A cgroup whose processes stand still, and cannot even be killed (v1 only). */
export function makeFreezer(scope: Scope, path: string) {
  const write = (file: string, text: string) => writeFileSync(join(path, file), text);
  mkdirSync(path);
  scope.defer(() => existsSync(path) && removeCgroup(path));
  scope.defer(() => existsSync(path) && write("freezer.state", "THAWED"));
  return {
    name: basename(path),
    freeze(pid: number): void {
      write("cgroup.procs", String(pid));
      write("freezer.state", "FROZEN");
    },
    thaw: () => write("freezer.state", "THAWED"),
  };
}
