// What a run found: counts, the slowest tests, what was retried, what was left behind.

import { existsSync, readFileSync } from "node:fs";

const SLOWEST = 20;
const SLOW_MS = 100;
/** Lines of an error that the last lines of a run repeat. */
const ERROR_LINES = 8;
/** Of processes whose tests did not end. */
const PROCESS_LINES = 60;

/** Counts of linters and tests. */
export class Results {
  #passed = 0;
  #failed = 0;
  #skipped = 0;
  #tests = [];
  #left = [];
  #unfinished = [];
  #processes = [];

  /** A linter, a build: one part. */
  addPart(passed) {
    this.#passed += passed ? 1 : 0;
    this.#failed += passed ? 0 : 1;
  }

  /**
   * Tests that Vitest ran: the lines of test/support/report.ts, and how Vitest ended. `again` are files
   * that are run once more, and count then.
   */
  addTests(report, { passed, processes }, again = []) {
    const lines = linesOf(report).filter(({ file }) => !again.includes(file));
    const tests = lines.filter((line) => line.state !== undefined);
    const count = (state) => tests.filter((test) => test.state === state).length;
    const left = lines.flatMap((line) => (line.left === undefined ? [] : [line.left]));
    // Without a last line it has crashed. Whatever fails it counts, also what is no test.
    const broken = lines.find((line) => line.ended === true)?.errors ?? 1;
    const errors = (again.length > 0 ? 0 : broken) + (left.length > 0);
    const failed = count("failed") + errors;
    this.#passed += count("passed");
    this.#failed += failed === 0 && !passed && again.length === 0 ? 1 : failed;
    this.#skipped += count("skipped");
    this.#tests.push(...tests);
    this.#left.push(...left);
    this.#processes.push(...processes.slice(0, PROCESS_LINES));
    const how = again.length > 0 ? " (run again)" : "";
    const unfinished = hasEnded(report) ? [] : filesLeft(report, "begun");
    this.#unfinished.push(...unfinished.map((file) => `${file}${how}`));
  }

  get failed() {
    return this.#failed;
  }

  get summary() {
    const skipped = this.#skipped === 0 ? "" : `, ${this.#skipped} skipped`;
    return `${this.#passed} passed, ${this.#failed} failed${skipped}`;
  }

  /** The slowest tests and files, and what asks for attention though it passed. */
  print() {
    const inSeconds = ({ duration }) => `${(duration / 1000).toFixed(1).padStart(7)} s`;
    const slowest = this.#tests
      .filter(({ duration }) => duration >= SLOW_MS)
      .toSorted((a, b) => b.duration - a.duration)
      .slice(0, SLOWEST);
    section(
      `The slowest tests (${slowest.length})`,
      slowest.map((test) => `${inSeconds(test)}  ${test.file}: ${test.name}`),
    );
    const retried = this.#tests.filter(({ retries }) => retries > 0);
    section(
      "Tests that were tried again",
      retried.map((test) => `${named(test)} (${test.retries}×, ${test.state})${reasons(test)}`),
    );
    section("Left behind by tests, removed now", this.#left);
    section("What processes did whose tests did not end in time", this.#processes);
    section("Files whose tests did not end", this.#unfinished);
    const failed = this.#tests.filter(({ state }) => state === "failed");
    section(
      "Failed tests",
      failed.map((test) => `${named(test)}${reasons(test)}`),
    );
  }
}

function linesOf(report) {
  const text = existsSync(report) ? readFileSync(report, "utf8") : "";
  return text.split("\n").filter(Boolean).map(parsed);
}

/** Whether any test has failed, or anything beside the tests. */
export function hasFailures(report) {
  return linesOf(report).some((line) => line.state === "failed" || (line.ended && line.errors > 0));
}

/** Whether all tests have ended. */
export function hasEnded(report) {
  return linesOf(report).some((line) => line.ended === true);
}

/**
 * Files whose tests have not all ended, or that failed outside of any test: of all that were `planned`, or
 * of those that had `begun`.
 */
export function filesLeft(report, kind) {
  const lines = linesOf(report);
  const done = new Set(lines.filter((line) => !line.isBroken).map((line) => line.done));
  const files = lines.flatMap((line) => (line[kind] === undefined ? [] : [line[kind]]));
  return files.filter((file) => !done.has(file));
}

function named({ file, name }) {
  return `${file}: ${name}`;
}

/** What the failures of a test said: often the last lines of a run are all that is kept of it. */
function reasons({ errors = [] }) {
  const lines = errors.flatMap((error) => error.split("\n").slice(0, ERROR_LINES));
  return lines.map((line) => `\n      ${line}`).join("");
}

/** A line that was cut off by a crash says nothing. */
function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return {};
  }
}

function section(title, lines) {
  if (lines.length > 0) {
    console.log(`\n${title}:\n${lines.map((line) => `  ${line}`).join("\n")}`);
  }
}
