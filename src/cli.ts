#!/usr/bin/env node
import { holdMount, inheritsMount } from "./keeper.js";
import { loadAddon } from "./native/addon.js";
import { main } from "./program.js";

// A reader that goes away early (`vprocfs show web1 | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

await main(
  process.argv.slice(2),
  {
    addon: loadAddon,
    env: process.env,
    print: (text) => {
      process.stdout.write(`${text}\n`);
    },
    warn: (line) => {
      process.stderr.write(`vprocfs: warning: ${line}\n`);
    },
    exit: (status) => {
      process.exitCode = status;
    },
  },
  (line) => {
    process.stderr.write(`vprocfs: ${line}\n`);
  },
);

// Readers of the mount that the service manager handed us wait for somebody.
if (Number(process.exitCode ?? 0) !== 0 && inheritsMount(process.env, process.pid)) {
  holdMount(loadAddon());
}

// A file system that never answers may still hold a thread of ours, for which process.exit() waits.
if (process.getActiveResourcesInfo().some((resource) => resource.startsWith("FSReq"))) {
  loadAddon().exitNow(Number(process.exitCode ?? 0));
}
process.exit();
