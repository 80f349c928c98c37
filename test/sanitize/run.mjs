#!/usr/bin/env node
// Builds all native code with gcc's sanitizers, and runs tests on it: the addon in Node and, but with
// ThreadSanitizer, the keeper, the attach helper and the writers, under live load.
//
//   npm run sanitize -- asan|tsan [FILE...]
//
// asan: AddressSanitizer and UBSan; tsan: ThreadSanitizer. FILE: test files instead of the usual ones
// (unit tests, storms, calls, kernel logs, fairness, hostile programs). Needs root, as those tests do. What was
// found is in build/sanitize/KIND/found.*. Exit status: 1 when something was found or a test failed, 2
// when it cannot be built or an argument is wrong.

import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const KINDS = {
  asan: {
    flags: ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
    libraries: ["libasan.so", "libubsan.so"],
    variable: "ASAN_OPTIONS",
    // Node ends without giving anything back.
    options: ["detect_leaks=0", "halt_on_error=1", "abort_on_error=0", "verify_asan_link_order=0"],
  },
  tsan: {
    flags: ["-fsanitize=thread"],
    libraries: ["libtsan.so"],
    variable: "TSAN_OPTIONS",
    options: [
      "halt_on_error=0",
      "report_signal_unsafe=0",
      "report_thread_leaks=0",
      "ignore_noninstrumented_modules=1",
    ],
  },
};

const UNIT = ["test/view", "test/source", "test/container"];
const LIVE = [
  "test/e2e/never-down-storm.test.ts",
  "test/e2e/calls.test.ts",
  "test/e2e/kmsg.test.ts",
  "test/e2e/kmsg-host.test.ts",
  "test/e2e/fair.test.ts",
  "test/e2e/watcher.test.ts",
  "test/hostile",
];
/** So many times slower than usual. */
const SLOWNESS = "4";

function fail(text) {
  console.error(`sanitize: ${text}`);
  process.exit(2);
}

function run(argv, cwd, env = {}) {
  const [program, ...args] = argv;
  const done = spawnSync(program, args, {
    cwd,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  return done.status ?? 1;
}

/** Where gcc has a library of its own. */
function libraryPath(name) {
  const { stdout } = spawnSync("gcc", [`-print-file-name=${name}`], { encoding: "utf8" });
  const path = stdout?.trim() ?? "";
  return path.startsWith("/") ? path : fail(`gcc has no ${name}`);
}

/**
 * Makes one directory like another. What is the same stays: make goes by the time at which a file was
 * copied, since one that was changed while something was built may be older than what was built of it.
 */
function mirror(from, to) {
  if (existsSync(to)) {
    for (const name of readdirSync(to, { recursive: true })) {
      if (!existsSync(join(from, name))) {
        rmSync(join(to, name), { recursive: true, force: true });
      }
    }
  }
  const differs = (source, target) => {
    const found = lstatSync(source);
    if (found.isDirectory() || !existsSync(target)) {
      return true;
    }
    return !found.isSymbolicLink() && !readFileSync(source).equals(readFileSync(target));
  };
  cpSync(from, to, { recursive: true, filter: differs });
}

/** A tree of its own beside the one that is used: the same, but built with the sanitizer. */
async function build(kind, tree) {
  const { flags } = KINDS[kind];
  mkdirSync(tree, { recursive: true });
  for (const name of ["bench", "docs", "native", "packaging", "src", "test"]) {
    mirror(join(project, name), join(tree, name));
  }
  for (const name of [
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "biome.json",
    "README.md",
    "CHANGELOG.md",
  ]) {
    cpSync(join(project, name), join(tree, name));
  }
  if (!existsSync(join(tree, "node_modules"))) {
    symlinkSync(join(project, "node_modules"), join(tree, "node_modules"));
  }
  // Into the addons; and into the programs, which are linked statically, what does its work in them.
  // ThreadSanitizer has a thread of its own in each process, with which no mount namespace is entered, and
  // would find nothing: each of them has one thread.
  const own = JSON.stringify(flags);
  const linked =
    kind === "tsan"
      ? `"cflags!": ${own}, "ldflags!": ${own}, "ldflags": ["-static"]`
      : '"ldflags": []';
  const gyp = readFileSync(join(project, "binding.gyp"), "utf8")
    // It has no library to be linked with.
    .replace('"target_name": "vprocfs-hook",', `$& "cflags!": ${own}, "ldflags!": ${own},`)
    .replace('"target_defaults": {', `"target_defaults": { "cflags": ${own}, "ldflags": ${own},`)
    .replaceAll('"ldflags": ["-static"]', linked)
    // Instrumented, gcc takes for uninitialised what is not.
    .replace(', "-Werror"', "")
    .replace('"cflags_cc": ["-O2"]', '"cflags_cc": ["-O1", "-fno-omit-frame-pointer"]');
  writeFileSync(join(tree, "binding.gyp"), gyp);
  const env = {
    // What a sanitizer adds is none of our code.
    npm_config_loglevel: "error",
  };
  const gypProgram = join(project, "node_modules/.bin/node-gyp");
  // Headers of this very Node, where it brings them along; else node-gyp fetches them.
  const prefix = dirname(dirname(process.execPath));
  const nodedir = existsSync(join(prefix, "include/node/node.h")) ? [`--nodedir=${prefix}`] : [];
  const steps = [
    [gypProgram, "configure", "--silent", ...nodedir, "--", "-Dvprocfs_tests=1"],
    [gypProgram, "build", "--silent", "--jobs=2", ...nodedir],
  ];
  for (const step of steps) {
    if (run(step, tree, env) !== 0) {
      fail(`${step[0]} failed`);
    }
  }
  const { bundle } = await import(pathToFileURL(join(tree, "packaging/bundle.mjs")).href);
  await bundle("dist");
  await bundle("build/modules");
}

/**
 * What is preloaded. ThreadSanitizer starts when the first code that is instrumented is loaded; in a program
 * that has none, as in shells, its setjmp() would call what it has not looked up yet.
 */
function preloaded(kind, tree) {
  const libraries = KINDS[kind].libraries.map(libraryPath);
  if (kind !== "tsan") {
    return libraries;
  }
  const start = join(tree, "libstart.so");
  const argv = ["-shared", "-fPIC", "-x", "c", "/dev/null", "-o", start];
  if (run(["gcc", ...KINDS[kind].flags, ...argv], tree) !== 0) {
    fail(`${start} cannot be built`);
  }
  return [...libraries, start];
}

function vitest(kind, tree, projects, files) {
  const { variable, options } = KINDS[kind];
  const found = join(tree, "found");
  const chosen = projects.flatMap((name) => ["--project", name]);
  // Itself: npx does not get through ThreadSanitizer.
  const program = [process.execPath, join(project, "node_modules/vitest/vitest.mjs")];
  const argv = [...program, "run", "--config", "test/vitest.config.ts", ...chosen, ...files];
  const libraries = preloaded(kind, tree).join(":");
  const preload = ["env", `LD_PRELOAD=${libraries}`];
  // ThreadSanitizer wants addresses where it expects them, in this program too.
  const wrapped = kind === "tsan" ? ["setarch", "-R", ...preload] : preload;
  return run([...wrapped, ...argv], tree, {
    [variable]: [...options, `log_path=${found}`].join(":"),
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${found}`,
    VPROCFS_TEST_SLOWNESS: SLOWNESS,
    // So that tests know what runtimes and containers are to be started without.
    VPROCFS_TEST_SANITIZER: libraries,
  });
}

const [kind = "", ...files] = process.argv.slice(2);
if (!Object.hasOwn(KINDS, kind)) {
  fail("say which: asan or tsan");
}
const tree = join(project, "build/sanitize", kind);
await build(kind, tree);
for (const name of readdirSync(tree).filter((one) => one.startsWith("found."))) {
  rmSync(join(tree, name));
}
const live = ["e2e-first", "e2e", "e2e-once", "e2e-aside", "e2e-aside-once"];
const failed =
  files.length > 0
    ? vitest(kind, tree, ["unit", ...live], files)
    : vitest(kind, tree, ["unit"], UNIT) + vitest(kind, tree, live, LIVE);
const reports = readdirSync(tree).filter((one) => one.startsWith("found."));
for (const name of reports.slice(0, 10)) {
  console.log(`${name}:\n${readFileSync(join(tree, name), "utf8").slice(0, 4000)}`);
}
console.log(
  `sanitize: ${kind}: ${reports.length} reports, tests ${failed === 0 ? "passed" : "failed"}`,
);
process.exit(reports.length > 0 || failed !== 0 ? 1 : 0);
