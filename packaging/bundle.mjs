// Compiles and bundles TypeScript: what runs is a few files that hold, of npm packages, only the code
// that they need. Node starts them in half the time that the modules took one by one, and in half the
// memory. Nothing is minified, so that a stack trace tells where something happened.
//
// Types are not looked at: the linters do that.

import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { project } from "./npm-packages.mjs";

/** What draws the charts of a benchmark, which only a checkout has. */
const OPTIONAL = ["@observablehq/plot", "linkedom"];

/** A directory of programs, relative to the project, and the module that each of them begins with. */
const BUNDLES = {
  // What is installed. Each program stands alone: none loads what it does not need.
  dist: {
    cli: "src/cli.ts",
    demo: "src/demo/main.ts",
    "password-thread": "src/metrics/password-thread.ts",
  },
  "dist/bench": { run: "bench/run.ts", trial: "bench/trial.ts" },
  // What scripts and tests load instead of running it.
  "build/modules": {
    "bench-results": "bench/results.ts",
    config: "src/config.ts",
    "demo-cgroups": "src/demo/cgroups.ts",
    "demo-container": "src/demo/container.ts",
    "demo-tree": "src/demo/tree.ts",
    "keeper-status": "src/keeper-status.ts",
    mountinfo: "src/mountinfo.ts",
    program: "src/program.ts",
  },
};

/** Puts the files of one directory into another, where programs of before may be about to start. */
function replaceFiles(from, to) {
  mkdirSync(to, { recursive: true });
  const files = readdirSync(from);
  for (const name of files) {
    renameSync(join(from, name), join(to, name));
  }
  for (const entry of readdirSync(to, { withFileTypes: true })) {
    if (entry.isFile() && entry.name.endsWith(".js") && !files.includes(entry.name)) {
      rmSync(join(to, entry.name));
    }
  }
}

/** Makes the programs of a directory; other programs that were there go. */
export async function bundle(directory) {
  const output = join(project, directory);
  mkdirSync(join(project, "build"), { recursive: true });
  const unfinished = mkdtempSync(join(project, "build", "bundle-"));
  try {
    for (const [name, entry] of Object.entries(BUNDLES[directory])) {
      const build = await rolldown({
        input: { [name]: join(project, entry) },
        cwd: project,
        platform: "node",
        external: OPTIONAL,
        logLevel: "warn",
      });
      await build.write({
        dir: unfinished,
        format: "esm",
        chunkFileNames: `${name}-[name].js`,
      });
      await build.close();
    }
    replaceFiles(unfinished, output);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}
