#!/usr/bin/env node
// Limits that change all the time in loaded containers, for as long as is asked for:
//
//   npm run soak -- --minutes 60 [--rate 1]
//
// --rate: changes of limits, and readings of every file by each reader, a second. Runs
// test/e2e/soak.test.ts and has its exit status; its figures are one line of JSON.

import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const project = dirname(dirname(fileURLToPath(import.meta.url)));

function positive(text, name) {
  const number = Number(text);
  if (!(number > 0 && Number.isFinite(number))) {
    console.error(`soak: --${name} must be a positive number, not '${text}'`);
    process.exit(2);
  }
  return number;
}

let options;
try {
  options = parseArgs({
    options: {
      minutes: { type: "string", default: "60" },
      rate: { type: "string", default: "1" },
    },
  }).values;
} catch (error) {
  console.error(`soak: ${error.message}`);
  process.exit(2);
}
const seconds = Math.ceil(positive(options.minutes, "minutes") * 60);
const rate = positive(options.rate, "rate");
const vitest = join(project, "node_modules/.bin/vitest");
const args = ["run", "--config", "test/vitest.config.ts", "--project", "e2e-once"];
const { status } = spawnSync(vitest, [...args, "test/e2e/soak.test.ts"], {
  cwd: project,
  stdio: "inherit",
  env: { ...process.env, VPROCFS_SOAK_SECONDS: `${seconds}`, VPROCFS_SOAK_RATE: `${rate}` },
});
process.exitCode = status ?? 1;
