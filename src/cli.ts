#!/usr/bin/env node
// The command line and the workers of the keeper. Each loads only what it needs.

import { holdMount, inheritsMount } from "./keeper.js";
import { loadAddon } from "./native/addon.js";

const fail = (line: string): void => {
  process.stderr.write(`vprocfs: ${line}\n`);
};

/** Resolves when a pipe has taken what was written to it: Node keeps what it had no room for. */
async function taken(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.writableLength > 0) {
    await new Promise<void>((resolve) => {
      stream.write("", () => resolve());
    });
  }
}

async function runCommand(): Promise<void> {
  // A reader that goes away early (`vprocfs show web1 | head`) is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? 0 : 1);
  });
  // There is no other place to tell of it, and the status says how it ended.
  process.stderr.on("error", () => {});
  const { main } = await import("./program.js");
  const context = {
    addon: loadAddon,
    env: process.env,
    print: (text: string) => {
      process.stdout.write(`${text}\n`);
    },
    warn: (line: string) => {
      process.stderr.write(`vprocfs: warning: ${line}\n`);
    },
    exit: (status: number) => {
      process.exitCode = status;
    },
  };
  await main(process.argv.slice(2), context, fail);
  // Readers of the mount that the service manager handed us wait for somebody.
  if (Number(process.exitCode ?? 0) !== 0 && inheritsMount(process.env, process.pid)) {
    holdMount(loadAddon());
  }
  await Promise.all([taken(process.stdout), taken(process.stderr)]);
}

if (process.argv[2] === "worker") {
  const { runWorker } = await import("./worker.js");
  const context = { addon: loadAddon, env: process.env };
  process.exitCode = await runWorker(process.argv.slice(3), context, fail);
} else {
  await runCommand();
}

// A file system that never answers may still hold a thread of ours, for which process.exit() waits.
if (process.getActiveResourcesInfo().some((resource) => resource.startsWith("FSReq"))) {
  loadAddon().exitNow(Number(process.exitCode ?? 0));
}
process.exit();
