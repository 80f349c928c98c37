#!/usr/bin/env node
// `lint` runs the formatters and linters, `all` those and then every test. All parts run even when
// one fails. The last line counts: each linter as one, each test as one.
//
// With VPROCFS_TEST_SUMMARY=FILE the last line goes to that file instead.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(project, "node_modules/.bin", name);

/** Past this a linter counts as failed, so that the whole run stays bounded. */
const linterSeconds = 150;

function nativeFiles(extensions) {
  return readdirSync(join(project, "native"), { recursive: true })
    .filter((name) => extensions.some((extension) => name.endsWith(extension)))
    .map((name) => join("native", name))
    .sort();
}

function linters() {
  const sources = nativeFiles([".cc"]);
  return [
    ["biome", bin("biome"), ["check", "--error-on-warnings", "."]],
    ["docs", process.execPath, ["docs/generate.mjs", "--check"]],
    ["tsc", bin("tsc"), ["--noEmit", "-p", "test/tsconfig.json"]],
    ["clang-format", "clang-format", ["--dry-run", "-Werror", ...nativeFiles([".cc", ".h"])]],
    [
      "cppcheck",
      "cppcheck",
      [
        "--enable=warning,performance,portability",
        "--std=c++17",
        "--language=c++",
        "--inline-suppr",
        "--suppress=missingIncludeSystem",
        // Constructors take by value what they move from.
        "--suppress=passedByValue",
        "--suppress=unmatchedSuppression",
        "--error-exitcode=1",
        "--quiet",
        "-j2",
        "-Inative",
        ...sources,
      ],
    ],
  ];
}

function runPart(name, command, args, options = {}) {
  const begin = Date.now();
  const result = spawnSync(command, args, { cwd: project, stdio: "inherit", ...options });
  const seconds = ((Date.now() - begin) / 1000).toFixed(1);
  const passed = result.error === undefined && result.status === 0;
  const reason = result.error === undefined ? "" : `: ${result.error.message}`;
  console.log(`${passed ? "ok  " : "FAIL"} ${name} (${seconds} s)${reason}`);
  return passed;
}

function runLinters() {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const [name, command, args] of linters()) {
    const passed = runPart(name, command, args, { timeout: linterSeconds * 1000 });
    sum[passed ? "passed" : "failed"] += 1;
  }
  return sum;
}

function runVitest() {
  const directory = mkdtempSync(join(tmpdir(), "vprocfs-report-"));
  const report = join(directory, "report.json");
  try {
    const projects = ["unit", "e2e", "vm"].flatMap((name) => ["--project", name]);
    const config = ["--config", "test/vitest.config.ts", ...projects];
    const args = ["run", ...config, ...process.argv.slice(3)];
    const passed = runPart("vitest", bin("vitest"), args, {
      env: { ...process.env, VPROCFS_TEST_REPORT: report },
    });
    const sum = { passed: 0, failed: 0, skipped: 0 };
    if (existsSync(report)) {
      const counts = JSON.parse(readFileSync(report, "utf8"));
      sum.passed = counts.numPassedTests;
      sum.failed = counts.numFailedTests;
      sum.skipped = counts.numPendingTests + (counts.numTodoTests ?? 0);
    }
    // A file that cannot be loaded or an error outside of any test fails the run, not a test.
    if (!passed && sum.failed === 0) {
      sum.failed = 1;
    }
    return sum;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const mode = process.argv[2];
if (mode !== "lint" && mode !== "all") {
  console.error("usage: node test/check.mjs lint|all [VITEST ARGUMENT...]");
  process.exit(2);
}
const sums = [runLinters(), ...(mode === "all" ? [runVitest()] : [])];
const total = (key) => sums.reduce((sum, part) => sum + part[key], 0);
const skipped = total("skipped") === 0 ? "" : `, ${total("skipped")} skipped`;
const summary = `${total("passed")} passed, ${total("failed")} failed${skipped}`;
if (process.env.VPROCFS_TEST_SUMMARY === undefined) {
  console.log(summary);
} else {
  writeFileSync(process.env.VPROCFS_TEST_SUMMARY, `${summary}\n`);
}
process.exitCode = total("failed") === 0 ? 0 : 1;
