#!/usr/bin/env node
// Runs linters and tests in lanes side by side; test/README.md says what there is.
//
//   node test/check.mjs all [FILE...]  everything, or the linters and these files of tests
//   node test/check.mjs lint           formatters and linters
//   node test/check.mjs nodes          unit tests and a smoke test on the other versions of Node.js
//   node test/check.mjs check          what a change needs in between: linters of seconds, unit tests
//
// All parts run even when one fails. The last line counts: each linter as one, each test as one. With
// VPROCFS_TEST_SUMMARY=FILE it goes to that file instead. An interrupted run (SIGINT, SIGTERM, SIGHUP,
// the end of who started it) cleans up and has exit status 130.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allLinters, bin, LINTER_SECONDS, quickLinters } from "./lanes/linters.mjs";
import { otherNodes } from "./lanes/nodes.mjs";
import { Programs } from "./lanes/processes.mjs";
import { filesLeft, hasEnded, hasFailures, Results } from "./lanes/results.mjs";

const INTERRUPTED = 130;
/** Vitest for a Node.js that is not ours. */
const VITEST = "node_modules/vitest/vitest.mjs";
const SMOKE = ["test/e2e/daemon.test.ts"];
/**
 * How long the tests of a kind may take, in seconds, so that the whole run says in time what does not
 * end. On a quiet machine they take a fifth of it. What computes is tried a second time: the
 * last lines say which files, and what hung.
 */
const SECONDS = {
  "e2e-first": 900,
  e2e: 3600,
  unit: 600,
  vm: 1200,
  "e2e-aside": 1200,
  node: 1200,
  tests: 3600,
};
const IN_LONG = 10;
const [mode, ...files] = process.argv.slice(2);
const programs = new Programs();
const results = new Results();
const reports = mkdtempSync(join(tmpdir(), "vprocfs-report-"));
const times = [];
const lanes = [];

function note(name, { passed, reason, seconds }) {
  const why = reason === "" ? "" : `: ${reason}`;
  console.log(`${passed ? "ok  " : "FAIL"} ${name} (${seconds.toFixed(1)} s)${why}`);
  times.push(`${name} ${seconds.toFixed(0)} s`);
}

/** Linters one after the other: most use all CPUs that there are. */
async function lint() {
  for (const [name, argv] of allLinters()) {
    const end = await programs.run(name, argv, { seconds: LINTER_SECONDS, isPatient: true });
    note(name, end);
    results.addPart(end.passed);
  }
}

function secondsOf(kind) {
  return SECONDS[kind] * (process.env.VPROCFS_TEST_LONG === "on" ? IN_LONG : 1);
}

/** The tests of some projects, or those of them in `files`. */
async function test(name, projects, options = {}, more = []) {
  const report = join(reports, name);
  const of = projects.flatMap((one) => ["--project", one]);
  const argv = [
    ...(options.node === undefined ? [bin("vitest")] : [options.node, VITEST]),
    "run",
    "--config",
    "test/vitest.config.ts",
    ...of,
    ...(options.files ?? files),
    ...more,
  ];
  const env = { ...options.env, VPROCFS_TEST_REPORT: report };
  const seconds = secondsOf(options.kind ?? name);
  const isOver = () => hasEnded(report);
  const end = await programs.run(name, argv, { ...options, seconds, env, isOver });
  const isFine = end.passed && (end.reason === "" || !hasFailures(report));
  note(name, { ...end, passed: isFine });
  const again = options.isRepeated && end.isLate ? filesLeft(report, "planned") : [];
  results.addTests(report, end, again);
  if (again.length > 0) {
    const once = { ...options, kind: name, isRepeated: false, files: again };
    await test(`${name} again`, projects, once, more);
  }
}

/** What must hold on every Node.js that we support: the daemon's own tests are the smoke test. */
async function testNodes() {
  for (const { version, program, reason } of otherNodes()) {
    const name = `node ${version}`;
    if (program === undefined) {
      note(name, { passed: false, reason, seconds: 0 });
      results.addPart(false);
      continue;
    }
    const options = { node: program, isPatient: true, kind: "unit" };
    await test(`${name} unit`, ["unit"], options, ["--exclude", "test/config/packaging.test.ts"]);
    await test(`${name} smoke`, ["e2e"], { ...options, files: SMOKE });
  }
}

/** One of those that run side by side: as long as the other one, or a CPU has nothing to do. */
async function lane(name, work) {
  const started = performance.now();
  await work();
  lanes.push(`${name} ${((performance.now() - started) / 1000).toFixed(0)} s`);
}

/**
 * Two lanes for two CPUs. Tests on this host mostly wait for something and have deadlines; the other
 * lane computes, and lets them go first. It is the shorter one, and has what may run beside those tests.
 */
async function runAll() {
  if (files.length > 0) {
    await lint();
    const projects = ["e2e-first", "e2e", "e2e-once", "e2e-aside", "e2e-aside-once"];
    await test("tests", ["unit", ...projects, "vm"]);
    return;
  }
  const first = test("e2e-first", ["e2e-first"]);
  const waiting = async () => {
    await first;
    await test("e2e", ["e2e", "e2e-once"]);
  };
  const computing = async () => {
    await lint();
    await test("unit", ["unit"], { isPatient: true, isRepeated: true });
    await test("vm", ["vm"], { isPatient: true, isRepeated: true });
    await first;
    await test("e2e-aside", ["e2e-aside", "e2e-aside-once"], { isPatient: true });
  };
  await Promise.all([lane("waiting", waiting), lane("computing", computing)]);
  if (process.env.VPROCFS_TEST_NODE === "on") {
    // By itself: it takes both CPUs, and hostile containers, which come last, are measured by time.
    await test("node", ["node"]);
  }
  if (process.env.VPROCFS_TEST_LONG === "on") {
    await testNodes();
  }
}

/** All at once; unit tests without those that build packages or need the kernel's cgroups. */
async function check() {
  const linters = quickLinters().map(async ([name, argv]) => {
    const end = await programs.run(name, argv, { seconds: LINTER_SECONDS });
    note(name, end);
    results.addPart(end.passed);
  });
  const slow = ["test/config/packaging.test.ts", "test/source/live.test.ts"];
  const env = { VPROCFS_TEST_BUILD: "Debug" };
  const without = slow.flatMap((file) => ["--exclude", file]);
  await Promise.all([...linters, test("unit", ["unit"], { env }, without)]);
}

const modes = { lint, check, all: runAll, nodes: testNodes };
const work = modes[mode];
if (work === undefined) {
  console.error("usage: node test/check.mjs lint|check|nodes|all [VITEST ARGUMENT...]");
  process.exit(2);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => programs.stop());
}
// Shells and npm do not always pass on what ends them.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) {
    programs.stop();
  }
}, 500).unref();
const begin = performance.now();
try {
  await work();
} finally {
  rmSync(reports, { recursive: true, force: true });
}
if (programs.isStopped) {
  console.log("interrupted");
  process.exit(INTERRUPTED);
}
results.print();
const seconds = ((performance.now() - begin) / 1000).toFixed(0);
const beside = lanes.length === 0 ? "" : `; side by side: ${lanes.join(", ")}`;
console.log(`\n${seconds} s in all: ${times.join(", ")}${beside}`);
if (process.env.VPROCFS_TEST_SUMMARY === undefined) {
  console.log(results.summary);
} else {
  writeFileSync(process.env.VPROCFS_TEST_SUMMARY, `${results.summary}\n`);
}
process.exitCode = results.failed === 0 ? 0 : 1;
