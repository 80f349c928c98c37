import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { open, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { RUNC_FILES, readViews } from "../../docs/views.mjs";
import { nameOf, socketOf } from "../../src/keeper.js";
import { readStatus } from "../../src/keeper-status.js";
import { mountAt, readMounts } from "../../src/mountinfo.js";
import { polledMountpointOf } from "../../src/polled.js";
import { type Outcome, output, outputSync, run } from "./command.js";
import { testName } from "./names.js";
import { project } from "./project.js";
import type { Scope } from "./scope.js";
import { isLong } from "./size.js";
import { views } from "./testing.js";
import { until } from "./wait.js";

export const cli = join(project, "dist/cli.js");

/** The files of the table of views that this host's kernel has. */
const hostViews = views().filter(({ path }) => existsSync(`/${path}`));
export const VIEWS: readonly string[] = hostViews.map(({ path }) => path).sort();

/** What a container reads from these changes only when it does something, or its limits change. */
export const SETTLED = hostViews.flatMap(({ path, hasTimes }) => (hasTimes ? [] : [path])).sort();

/** Directories of the host's sysfs that every container has; hosts without NUMA lack the second. */
export const SYSFS = ["sys/devices/system/cpu", "sys/devices/system/node"].filter((path) =>
  existsSync(`/${path}`),
);

/** What hooks and the documentation bind: the files of proc, and whole directories of sysfs. */
export const BINDS: readonly string[] = [
  ...VIEWS.filter((view) => view.startsWith("proc/")),
  ...SYSFS,
];

/** What containers of runc have when only mounts are configured. */
export const RUNC_BINDS = BINDS.filter(
  (path) => !path.startsWith("proc/") || RUNC_FILES.includes(`/${path}`),
);

const uncommon = readViews().filter(({ description }) => !description.common);

/** What the documentation has crun bind: files that common hosts lack are left to the reader. */
export const CRUN_BINDS = BINDS.filter(
  (path) => !uncommon.some((view) => view.path === `/${path}`),
);

/** Runs a command of vprocfs to its end. */
export function vprocfs(...args: readonly string[]): Promise<Outcome> {
  return run([process.execPath, cli, ...args]);
}

/** An empty directory that every user may pass through. */
export function temporaryDirectory(scope: Scope, what: string): string {
  const path = mkdtempSync(join(tmpdir(), `${testName(what)}-`));
  scope.defer(() => rmSync(path, { recursive: true, force: true, maxRetries: 50 }));
  chmodSync(path, 0o755);
  return path;
}

function processesOf(mountpoint: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return words.includes(mountpoint) && words.some((word) => word.includes("vprocfs"));
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Mounts below the mount point in any mount namespace would keep the connection alive. */
function leftoversOf(mountpoint: string): string[] {
  const places = [mountpoint, polledMountpointOf(mountpoint)];
  const mounts = places
    .filter((place) => mountAt(readMounts(), place) !== undefined)
    .map((place) => `the mount on ${place}`);
  const processes = processesOf(mountpoint).map((pid) => `process ${pid}`);
  const socket = socketOf(mountpoint);
  return [...mounts, ...processes, ...(existsSync(socket) ? [socket] : [])];
}

async function isAnswering(mountpoint: string): Promise<boolean> {
  try {
    return (await readdir(join(mountpoint, "proc"))).length > 0;
  } catch {
    // A dead one, which is about to be taken away.
    return false;
  }
}

/** What a daemon has of our environment: also what sanitizers and other preloaded libraries want. */
const PASSED = [
  "PATH",
  "VPROCFS_TEST_RUN",
  "VPROCFS_TEST_CLOCK",
  "VPROCFS_TEST_CONNECTOR",
  "VPROCFS_TEST_KMSG",
  "VPROCFS_TEST_REFUSED",
  "VPROCFS_TEST_SHORT",
  "LD_PRELOAD",
  "ASAN_OPTIONS",
  "TSAN_OPTIONS",
  "UBSAN_OPTIONS",
];

/** Takes away what a daemon has left that was killed: mounts, sockets, settings. */
export async function removeLeft(mountpoint: string): Promise<void> {
  const polled = polledMountpointOf(mountpoint);
  for (const place of [polled, mountpoint]) {
    if (mountAt(readMounts(), place) !== undefined) {
      await output(["umount", "--lazy", place]);
    }
  }
  rmSync(polled, { recursive: true, force: true });
  const [directory, start] = [dirname(socketOf(mountpoint)), `${nameOf(mountpoint)}.`];
  const left = existsSync(directory) ? readdirSync(directory) : [];
  for (const file of left.filter((one) => one.startsWith(start))) {
    rmSync(join(directory, file), { force: true });
  }
}

let isFollowed = isLong;

/**
 * For a file of tests whose workers end or are replaced: its daemons have a worker that stands by, as
 * operators' daemons have. Elsewhere the short form does without, which is one start of Node less.
 */
export function withStandby(): void {
  isFollowed = true;
}

/** Whether a file of configuration is among the arguments, and has a line for the key. */
function configures(args: readonly string[], key: string): boolean {
  const file = args.includes("--config") ? args[args.indexOf("--config") + 1] : undefined;
  return file !== undefined && readFileSync(file, "utf8").includes(`${key} =`);
}

/** A daemon on a mount point of its own. */
export class Daemon {
  readonly mountpoint: string;
  readonly #child: ChildProcess;
  readonly #end: Promise<number | null>;
  #logs = "";
  #startedInMs = 0;
  #isToEnd = false;
  readonly #hasKeeper: boolean;

  private constructor(mountpoint: string, args: readonly string[], under: readonly string[] = []) {
    this.mountpoint = mountpoint;
    this.#hasKeeper = !args.includes("--no-keeper");
    // Daemons of other tests may have the port.
    const hasMetrics = args.includes("--metrics") || configures(args, "metrics");
    const metrics = hasMetrics ? [] : ["--metrics", "off"];
    // Other containers of this machine are not ours: a test that wants the watcher says for whom.
    const watch = args.includes("--watch") ? [] : ["--watch", "off"];
    // Nor would they let us listen where they do.
    const calls = args.includes("--calls-directory") ? [] : ["--calls", "off"];
    const isPlain = isFollowed || !this.#hasKeeper || args.includes("--standby");
    const standby = isPlain ? [] : ["--standby", "off"];
    const quiet = [...metrics, ...watch, ...calls, ...standby];
    const own = [process.execPath, cli, "run", mountpoint, ...quiet, ...args];
    const [program = "", ...rest] = [...under, ...own];
    this.#child = spawn(program, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: Object.fromEntries(PASSED.map((name) => [name, process.env[name]])),
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#logs += text;
      });
    }
    this.#end = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("exit", resolve);
    });
  }

  /** Starts one and waits until it serves. The scope stops it, and fails when it leaves a trace. */
  static start(scope: Scope, ...args: string[]): Promise<Daemon> {
    return Daemon.startUnder(scope, [], ...args);
  }

  /** The same, by a program that becomes it. */
  static startUnder(scope: Scope, program: readonly string[], ...args: string[]): Promise<Daemon> {
    const mountpoint = mkdtempSync(join(tmpdir(), `${testName("mnt")}-`));
    chmodSync(mountpoint, 0o755);
    scope.defer(() => rmdirSync(mountpoint));
    return Daemon.#serving(scope, new Daemon(mountpoint, args, program));
  }

  /** On a directory that is there. */
  static startAt(scope: Scope, mountpoint: string, ...args: string[]): Promise<Daemon> {
    return Daemon.#serving(scope, new Daemon(mountpoint, args));
  }

  static async #serving(scope: Scope, daemon: Daemon): Promise<Daemon> {
    const begun = performance.now();
    scope.defer(() => daemon.#destroy());
    await until("vprocfs serves", async () => {
      if (daemon.hasEnded) {
        throw new Error(`vprocfs did not start:\n${daemon.#logs}`);
      }
      return daemon.isMounted && (await isAnswering(daemon.mountpoint)) && (await daemon.#isKept());
    });
    daemon.#startedInMs = performance.now() - begun;
    return daemon;
  }

  /** Whether its keeper, where it has one, knows that it serves: a worker may answer before that. */
  async #isKept(): Promise<boolean> {
    if (!this.#hasKeeper) {
      return true;
    }
    // A keeper that has just begun is not to be asked yet.
    const status = await readStatus(this.mountpoint).catch(() => undefined);
    return status?.state === "serving";
  }

  /** How long it took until it served, ms: on a busy machine, so much longer. */
  get startedInMs(): number {
    return this.#startedInMs;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** All it has logged so far. */
  get logs(): string {
    return this.#logs;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get isMounted(): boolean {
    return mountAt(readMounts(), this.mountpoint) !== undefined;
  }

  path(...names: readonly string[]): string {
    return join(this.mountpoint, ...names);
  }

  /** A file of the tree as a process of the host reads it. */
  read(...names: readonly string[]): Promise<string> {
    return readFile(this.path(...names), "utf8");
  }

  /** The figures of all its processes: threads, descriptors. Empty once it has ended. */
  get processes(): number[] {
    return processesOf(this.mountpoint);
  }

  /** Kills them all. */
  kill(): void {
    for (const pid of this.processes) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended with another one.
      }
    }
  }

  /** Whether a request is answered; the answer does not matter. */
  async isServing(): Promise<boolean> {
    const file = await open(this.path("proc/meminfo"));
    await file.close();
    return !this.hasEnded;
  }

  /** Binds a file of the tree from the host: whoever opens it is found out at every open. */
  bindFromHost(scope: Scope, view: string, target: string): void {
    outputSync(["mount", "--bind", this.path(view), target]);
    scope.defer(() => outputSync(["umount", "--lazy", target]));
  }

  /** Asks it to end and resolves to its exit status; throws when it leaves a trace. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    this.#child.kill(signal);
    const status = await this.#end;
    await until(`nothing is left of it: ${leftoversOf(this.mountpoint).join(", ")}`, () => {
      return leftoversOf(this.mountpoint).length === 0;
    });
    return status;
  }

  /** Resolves to its exit status once it has ended by itself, which a test expects. */
  async end(): Promise<number | null> {
    const status = await this.#end;
    this.#isToEnd = true;
    return status;
  }

  async #destroy(): Promise<void> {
    try {
      const status = this.hasEnded ? this.#child.exitCode : await this.stop();
      // null: killed, which only a test does.
      if (status !== 0 && status !== null && !this.#isToEnd) {
        throw new Error(`vprocfs ended with exit status ${status}:\n${this.#logs}`);
      }
    } finally {
      this.kill();
      await removeLeft(this.mountpoint);
    }
  }
}
