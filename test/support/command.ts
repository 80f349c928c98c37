import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { errnoOf } from "../../src/errors.js";
import type { Scope } from "./scope.js";
import { SLOWNESS } from "./wait.js";

/** What a program left behind. */
export interface Outcome {
  /** The exit status; null when a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Past this the program is killed, which no test expects. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 60_000 * SLOWNESS;

/** Collects a child's output and waits for its end. */
export function finished(child: ChildProcess): Promise<Outcome> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (bytes: Buffer) => stdout.push(bytes));
  child.stderr?.on("data", (bytes: Buffer) => stderr.push(bytes));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      resolve({
        status,
        signal,
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
  });
}

/**
 * The environment of a command. A sanitizer is preloaded into Node alone, which loads what is built with it:
 * runtimes hang with it or end, and so does what they start.
 */
export function environmentOf(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const { LD_PRELOAD: preloaded, ...others } = environment;
  const isSanitizer = preloaded !== undefined && preloaded === process.env.VPROCFS_TEST_SANITIZER;
  return isSanitizer && !argv.includes(process.execPath) ? others : environment;
}

/** Runs a program to its end, whatever its exit status. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const [program = "", ...rest] = argv;
  const { timeoutMs = TIMEOUT_MS, env, ...others } = options;
  const child = spawn(program, rest, {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    env: environmentOf(argv, env),
    ...others,
  });
  return finished(child);
}

/** Throws unless the program succeeded; returns its output. */
export function outputOf(argv: readonly string[], outcome: Outcome): string {
  if (outcome.status !== 0) {
    const end = outcome.signal ?? `exit status ${outcome.status}`;
    throw new Error(`${argv.join(" ")}: ${end}\n${outcome.stderr}${outcome.stdout}`);
  }
  return outcome.stdout.toString();
}

/** Runs a program that must succeed and returns its output. */
export async function output(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  return outputOf(argv, await run(argv, options));
}

/** What a program left behind for which everything waited. */
interface SyncOutcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface SyncOptions extends RunOptions {
  readonly input?: string;
}

/**
 * run() without letting anything else run, also not the timeouts of tests: throws when the program cannot be
 * started or does not end in time.
 */
export function runSync(argv: readonly string[], options: SyncOptions = {}): SyncOutcome {
  const [program = "", ...rest] = argv;
  const { timeoutMs = TIMEOUT_MS, env, ...others } = options;
  const { error, status, stdout, stderr } = spawnSync(program, rest, {
    encoding: "utf8",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    env: environmentOf(argv, env),
    ...others,
  });
  // It may end before it has read all of its input.
  if (error !== undefined && errnoOf(error) !== "EPIPE") {
    throw new Error(`${argv.join(" ").slice(0, 300)}: ${error.message}`);
  }
  return { status, stdout, stderr };
}

/** The same for a program that must succeed; returns its output. For clean-up. */
export function outputSync(argv: readonly string[]): string {
  const { status, stdout, stderr } = runSync(argv);
  if (status !== 0) {
    throw new Error(`${argv.join(" ")}: ${stderr}`);
  }
  return stdout;
}

/** From the leaves up: whoever waits for a child must not end before it, which then would live. */
function killTree(pid: number | undefined): void {
  if (pid === undefined) {
    return;
  }
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    for (const child of children.trim().split(" ").filter(Boolean)) {
      killTree(Number(child));
    }
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** All that could hold what has not ended: who waits in the kernel, and the children of `pid`. */
function suspects(pid: number | undefined): string {
  const rows = outputSync(["ps", "-eo", "pid,ppid,stat,wchan:32,args"]).split("\n");
  const [title, ...all] = rows;
  const isSuspect = (row: string): boolean => {
    const [own, parent, state = ""] = row.trim().split(/ +/);
    return own === `${pid}` || parent === `${pid}` || /^[DZ]/.test(state);
  };
  return [title, ...all.filter(isSuspect)].join("\n");
}

/** Waits for the end of a killed program and of all that has its output; names who does not end. */
export async function closed(child: ChildProcess, closing: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const what = child.spawnargs.join(" ").slice(0, 300);
      reject(new Error(`does not end: ${what} (${child.pid})\n${suspects(child.pid)}`));
    }, TIMEOUT_MS);
  });
  try {
    await Promise.race([closing, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Starts a program that runs until the scope ends it or its stdin is closed. */
export function background(scope: Scope, argv: readonly string[]): ChildProcess {
  const [program = "", ...rest] = argv;
  const env = environmentOf(argv);
  const child = spawn(program, rest, { stdio: ["pipe", "pipe", "pipe"], env });
  const ended = once(child, "close");
  scope.defer(async () => {
    child.stdin?.destroy();
    killTree(child.pid);
    child.stdout?.resume();
    child.stderr?.resume();
    await closed(child, ended);
  });
  return child;
}

/** True when a program can be found. */
export function haveProgram(program: string): boolean {
  return runSync(["/bin/sh", "-c", 'command -v "$1"', "sh", program]).status === 0;
}
