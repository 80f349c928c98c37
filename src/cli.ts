#!/usr/bin/env node
// The command line and the workers of the keeper. Each loads only what it needs.

import { fstatSync, writeFileSync } from "node:fs";
import { ExitStatus, errnoOf, messageOf } from "./errors.js";
import { holdMount, holdMountInChild, inheritsMount, reportToKeeper } from "./keeper.js";
import { loadAddon } from "./native/addon.js";
import type { NativeBinding } from "./native/binding.js";
import { PluginStatus, pluginLine } from "./tools/nagios.js";
import { nodeProblem } from "./version.js";

const fail = (line: string): void => {
  process.stderr.write(`vprocfs: ${line}\n`);
};

let binding: NativeBinding | undefined;
const addon = (): NativeBinding => {
  binding ??= loadAddon();
  return binding;
};

/** Says why no command can run, to a monitoring system by the line of a plug-in. Returns the exit status. */
function cannotRun(why: string): number {
  if (process.argv[2] === "check") {
    process.stdout.write(`${pluginLine("unknown", why)}\n`);
    return PluginStatus.unknown;
  }
  fail(why);
  return ExitStatus.failure;
}

/**
 * Ends with process.exitCode. process.exit() waits for Node's own threads, sometimes for ever
 * (nodejs/node#54918), and for a thread of ours that a hanging file system holds.
 */
function exit(): never {
  const hangs = process.getActiveResourcesInfo().some((resource) => resource.startsWith("FSReq"));
  if (binding !== undefined || hangs) {
    addon().exitNow(Number(process.exitCode ?? 0));
  }
  process.exit();
}

/** Ends with an error, because what was printed did not arrive. */
function endOutput(error: unknown): never {
  // It is no error if the reader goes away early (`vprocfs show web1 | head`).
  if (errnoOf(error) !== "EPIPE") {
    fail(`cannot write to stdout: ${messageOf(error)}`);
    process.exitCode = Number(process.exitCode ?? 0) || ExitStatus.failure;
  }
  exit();
}

/** Whether stdout is written at once and nobody reads it while it is: a file, or a device that is no terminal. */
function isFile(): boolean {
  try {
    const stats = fstatSync(1);
    return stats.isFile() || (stats.isCharacterDevice() && process.stdout.isTTY !== true);
  } catch {
    return false;
  }
}

/** Prints a line. Into a file by itself: Node's stream takes a part that was written, as on a full disk, for all. */
function print(text: string): void {
  if (!isFile()) {
    process.stdout.write(`${text}\n`);
    return;
  }
  try {
    writeFileSync(1, `${text}\n`);
  } catch (error) {
    // Not amid what prints, which would otherwise end half done.
    setImmediate(endOutput, error);
  }
}

/** Resolves when all that was written to a stream has left the process: process.exit() would drop the rest. */
async function taken(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.writableLength > 0) {
    await new Promise<void>((resolve) => {
      stream.write("", () => resolve());
    });
  }
}

/** If the service manager has handed us a mount, its readers get errors: they must not wait until the next start. */
async function holdInherited(): Promise<void> {
  if (!inheritsMount(process.env, process.pid)) {
    return;
  }
  try {
    holdMount(addon());
  } catch {
    await holdMountInChild(process.env);
  }
}

async function runCommand(): Promise<void> {
  process.stdout.on("error", endOutput);
  // An error on stderr cannot be reported anywhere; the exit status remains.
  process.stderr.on("error", () => {});
  const context = {
    addon,
    env: process.env,
    print,
    warn: (line: string) => {
      process.stderr.write(`vprocfs: warning: ${line}\n`);
    },
    exit: (status: number) => {
      process.exitCode = status;
    },
  };
  const program = await import("./program.js").catch((error: unknown) => {
    const why = `cannot load its own modules: ${messageOf(error)}: install it again`;
    process.exitCode = cannotRun(why);
    return undefined;
  });
  await program?.main(process.argv.slice(2), context, fail);
  if (Number(process.exitCode ?? 0) !== 0) {
    await holdInherited();
  }
  await Promise.all([taken(process.stdout), taken(process.stderr)]);
  // What could not be written is told a turn later.
  await new Promise((resolve) => setImmediate(resolve));
}

// By default Node would open its debugger on a port, for everybody on this host (src/commands/run.ts).
process.on("SIGUSR1", () => {});

const problem = nodeProblem(process.versions.node);
if (problem !== undefined) {
  const status = cannotRun(problem);
  if (process.argv[2] === "worker") {
    reportToKeeper(process.env, problem);
  } else {
    await holdInherited();
  }
  process.exit(status);
}
if (process.argv[2] === "worker") {
  const { runWorker } = await import("./worker.js");
  const context = { addon, env: process.env };
  process.exitCode = await runWorker(process.argv.slice(3), context, fail);
} else {
  await runCommand();
}

exit();
