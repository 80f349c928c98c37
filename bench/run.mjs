#!/usr/bin/env node
// Starts the benchmark; compiles it first when its sources are here, and newer than dist/bench.

import { readdirSync, statSync } from "node:fs";
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
  const { bundle } = await import("../packaging/bundle.mjs");
  await bundle("dist/bench");
}
await import(built);
