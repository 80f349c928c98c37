// The formatters and linters.

import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { project } from "./processes.mjs";

export const bin = (name) => join(project, "node_modules/.bin", name);

/** Past this a linter counts as failed, so that the whole run stays bounded. */
export const LINTER_SECONDS = 600;

function nativeFiles(extensions) {
  return readdirSync(join(project, "native"), { recursive: true })
    .filter((name) => extensions.some((extension) => name.endsWith(extension)))
    .map((name) => join("native", name))
    .sort();
}

/** What it found in files that did not change since is kept here. */
function cppcheckDirectory() {
  const path = join(project, "build/cppcheck");
  mkdirSync(path, { recursive: true });
  return path;
}

const biome = ["biome", [bin("biome"), "check", "--error-on-warnings", "."]];
const docs = ["docs", [process.execPath, "docs/generate.mjs", "--check"]];
const bpf = ["bpf", [process.execPath, "native/bpf/make.mjs", "--check"]];
const tsc = [
  "tsc",
  [
    bin("tsc"),
    ...["--noEmit", "-p", "test/tsconfig.json"],
    ...["--incremental", "--tsBuildInfoFile", "build/test.tsbuildinfo"],
  ],
];
const clangFormat = [
  "clang-format",
  ["clang-format", "--dry-run", "-Werror", ...nativeFiles([".c", ".cc", ".h"])],
];

/** Few have the compiler that builds them. */
const fuzz = ["fuzz", ["make", "-s", "-C", "test/fuzz", "CXX=g++", "syntax"]];

function cppcheck() {
  return [
    "cppcheck",
    [
      "cppcheck",
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
      `--cppcheck-build-dir=${cppcheckDirectory()}`,
      "-Inative",
      ...nativeFiles([".cc"]),
    ],
  ];
}

/** Those of seconds, each as its name and its command line. */
export function quickLinters() {
  return [tsc, biome, docs, bpf, clangFormat];
}

export function allLinters() {
  return [...quickLinters(), fuzz, cppcheck()];
}
