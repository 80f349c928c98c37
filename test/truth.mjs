#!/usr/bin/env node
// Prints the truth table: what tools say in real, loaded containers, beside what their cgroups say.
// Its rows come from test/e2e/truth.test.ts, whose exit status it has.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import Table from "cli-table3";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const directory = mkdtempSync(join(tmpdir(), "vprocfs-truth-"));
const file = join(directory, "rows");
const isJson = process.argv.includes("--json");

try {
  const vitest = join(project, "node_modules/.bin/vitest");
  const args = ["run", "--config", "test/vitest.config.ts", "--project", "e2e", "--retry", "0"];
  const { status } = spawnSync(vitest, [...args, "test/e2e/truth.test.ts"], {
    cwd: project,
    stdio: ["ignore", 2, 2],
    env: { ...process.env, VPROCFS_TRUTH: file },
  });
  const lines = existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : [];
  const tables = lines.filter(Boolean).map((line) => JSON.parse(line));
  if (isJson) {
    console.log(JSON.stringify(tables, undefined, 2));
  }
  for (const { where, limits, rows } of isJson ? [] : tables) {
    const head = ["tool", "figure", "shown", "true", "verdict"];
    const table = new Table({ head, style: { head: [], border: [], compact: true } });
    let last = "";
    for (const { tool, figure, shown, truth, verdict } of rows) {
      table.push([tool === last ? "" : tool, figure, shown, truth, verdict]);
      last = tool;
    }
    console.log(`\n${where}, ${limits}\n${table}`);
  }
  process.exitCode = tables.length > 0 ? (status ?? 1) : 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
