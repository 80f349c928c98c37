#!/usr/bin/env node
// Starts the benchmark; compiles it first when its sources are here, and newer than dist/bench.

import { spawnSync } from "node:child_process";
import { readdirSync, statSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const bench = dirname(fileURLToPath(import.meta.url));
const project = dirname(bench);
const built = join(project, "dist", "bench", "run.js");

function newest(directory) {
  const times = readdirSync(directory, { withFileTypes: true })
    .filter(
      (entry) =>
        entry.name !== "results" && (entry.isDirectory() || /\.(ts|json)$/.test(entry.name)),
    )
    .map((entry) => {
      const path = join(directory, entry.name);
      return entry.isDirectory() ? newest(path) : statSync(path).mtimeMs;
    });
  return Math.max(0, ...times);
}

if ((statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0) < newest(bench)) {
  const compiler = join(project, "node_modules", ".bin", "tsc");
  const { status, error } = spawnSync(compiler, ["-p", join(bench, "tsconfig.json")], {
    stdio: "inherit",
  });
  if (status !== 0) {
    console.error(`bench: cannot compile${error === undefined ? "" : `: ${error.message}`}`);
    process.exit(1);
  }
  // The compiler leaves files alone that would not change.
  utimesSync(built, new Date(), new Date());
}
await import(built);
