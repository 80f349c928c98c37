#!/usr/bin/env node
// Prepares a machine and this directory: system packages, npm packages, the native addon, dist/.
// Plain Node without dependencies, because it runs before `npm ci`.
//
//   node packaging/setup.mjs start   what the daemon needs
//   node packaging/setup.mjs test    and what the tests need
//   node packaging/setup.mjs check   what `npm run check` needs: the addon of the tests, not optimised

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));

/** Alternatives are separated by "|"; the first that the distribution has is taken. */
const startPackages = ["g++", "make", "python3"];

const testPackages = [
  "bpftool|linux-tools-generic",
  "busybox-static",
  "clang-format",
  "cpio",
  "cppcheck",
  "crun",
  "htop",
  "hwloc-nox",
  "kmod",
  "lxc",
  "lxc-templates",
  "lxcfs",
  "musl-tools",
  "libfuse2",
  "numactl",
  "podman",
  "procps",
  "prometheus",
  "python3-psutil",
  "rsync",
  "runc",
  "strace",
  "sysstat",
  "uidmap",
  ...(process.arch === "x64"
    ? [
        "mmdebstrap",
        "openssh-client",
        "qemu-system-x86",
        "qemu-utils",
        "linux-image-amd64|linux-image-generic",
      ]
    : []),
];

class SetupError extends Error {}

/** Runs a program with our own output; `what` names it in the error. */
function run(what, command, args, env = {}) {
  const result = spawnSync(command, args, {
    cwd: project,
    stdio: ["inherit", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
  if (result.error !== undefined) {
    throw new SetupError(`${what}: cannot run ${command}: ${result.error.message}`);
  }
  if (result.status !== 0) {
    const end = result.signal === null ? `exit status ${result.status}` : result.signal;
    throw new SetupError(`${what} failed (${end}): ${[command, ...args].join(" ")}`);
  }
}

/** Runs a program for its output; undefined when it cannot be run or fails. */
function outputOf(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8" });
  return result.error === undefined && result.status === 0 ? result.stdout : undefined;
}

// --- system packages ---------------------------------------------------------------------------

function installedPackages(names) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
  const format = "${Package} ${db:Status-Status}\\n";
  const result = spawnSync("dpkg-query", ["-W", "-f", format, ...names], { encoding: "utf8" });
  if (result.error !== undefined) {
    return undefined;
  }
  const lines = result.stdout.split("\n").map((line) => line.split(" "));
  return new Set(lines.filter(([, status]) => status === "installed").map(([name]) => name));
}

function isDebian() {
  try {
    const text = readFileSync("/etc/os-release", "utf8");
    const ids = [...text.matchAll(/^ID(?:_LIKE)?=(.*)$/gm)].map((match) => match[1]);
    return /\b(debian|ubuntu)\b/.test(ids.join(" "));
  } catch {
    return false;
  }
}

/** A compiler that did not come from a package is as good. */
function haveBuildTools() {
  return ["g++", "make", "python3"].every(
    (command) => outputOf("sh", ["-c", `command -v ${command}`]) !== undefined,
  );
}

function missingPackages(wanted) {
  const names = wanted.flatMap((entry) => entry.split("|"));
  const installed = installedPackages(names);
  if (installed === undefined) {
    return wanted;
  }
  return wanted.filter((entry) => !entry.split("|").some((name) => installed.has(name)));
}

function available(name) {
  return (outputOf("apt-cache", ["show", "--no-all-versions", name]) ?? "") !== "";
}

/** In a policy of ours: one that a setup left which was killed is taken for what it is. */
const POLICY_MARK = "# Written by vprocfs's packaging/setup.mjs, which removes it again.";

/** Packages like lxcfs start their service when installed; here only the files are wanted. */
function withoutServiceStart(action) {
  const policy = "/usr/sbin/policy-rc.d";
  const ours = !existsSync(policy) || readFileSync(policy, "utf8").includes(POLICY_MARK);
  if (!ours) {
    return action();
  }
  return beforeSignals(() => {
    writeFileSync(policy, `#!/bin/sh\n${POLICY_MARK}\nexit 101\n`, { mode: 0o755 });
    try {
      action();
    } finally {
      rmSync(policy, { force: true });
    }
  });
}

/** Has a signal that ends us, as Ctrl-C sends one, do so after an action. */
async function beforeSignals(action) {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  let received;
  const keep = (signal) => {
    received ??= signal;
  };
  for (const signal of signals) {
    process.on(signal, keep);
  }
  try {
    action();
  } finally {
    // The event loop calls `keep`, and the action has not let it run. It may be in a turn that has
    // looked for signals before: the next one surely does.
    await turn();
    await turn();
    for (const signal of signals) {
      process.off(signal, keep);
    }
    if (received !== undefined) {
      process.kill(process.pid, received);
    }
  }
}

async function ensureSystemPackages(wanted) {
  const missing = missingPackages(wanted);
  if (missing.length === 0) {
    return;
  }
  const firstNames = missing.map((entry) => entry.split("|")[0]);
  if (!isDebian()) {
    throw new SetupError(
      `this is neither Debian nor Ubuntu: install what they call ${firstNames.join(" ")} and run again`,
    );
  }
  if (process.getuid() !== 0) {
    throw new SetupError(
      `packages are missing, run as root: apt-get install -y --no-install-recommends ${firstNames.join(" ")}`,
    );
  }
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  console.log(`setup: installing ${firstNames.join(" ")}`);
  await withoutServiceStart(() => {
    run("apt-get update", "apt-get", ["update", "-q"], env);
    const names = missing.map((entry) => {
      const alternatives = entry.split("|");
      return alternatives.find(available) ?? alternatives[0];
    });
    const install = ["install", "-y", "-q", "--no-install-recommends"];
    run("apt-get install", "apt-get", [...install, ...names], env);
  });
}

// --- npm packages, addon, dist -----------------------------------------------------------------

function modified(path) {
  return statSync(join(project, path), { throwIfNoEntry: false })?.mtimeMs;
}

/** The newest modification under a path; a directory's own time tells of removed files. */
function newest(path) {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) {
    return 0;
  }
  if (!stats.isDirectory()) {
    return stats.mtimeMs;
  }
  const below = readdirSync(path).map((name) => newest(join(path, name)));
  return Math.max(stats.mtimeMs, ...below);
}

function newestOf(paths) {
  return Math.max(...paths.map((path) => newest(join(project, path))));
}

function ensureNpmPackages() {
  const installed = modified("node_modules/.package-lock.json");
  if (installed === undefined || installed < newestOf(["package-lock.json"])) {
    // npm would empty what is behind it, which is another checkout's.
    if (lstatSync(join(project, "node_modules"), { throwIfNoEntry: false })?.isSymbolicLink()) {
      throw new SetupError("node_modules is a symbolic link, and not up to date: remove the link");
    }
    console.log("setup: installing npm packages");
    run("npm ci", "npm", ["ci", "--no-fund", "--no-audit"]);
    // npm keeps the time of an unchanged tree's list, which would make every start install again.
    const list = join(project, "node_modules/.package-lock.json");
    writeFileSync(list, readFileSync(list));
  }
}

/** The directory above include/node when this Node brought its headers: then none are fetched. */
function ownHeaders() {
  for (const prefix of [dirname(dirname(process.execPath)), "/usr"]) {
    const header = join(prefix, "include/node/node_version.h");
    if (existsSync(header)) {
      const text = readFileSync(header, "utf8");
      const major = /^#define NODE_MAJOR_VERSION (\d+)/m.exec(text)?.[1];
      if (major === process.versions.node.split(".")[0]) {
        return prefix;
      }
    }
  }
  return undefined;
}

function gyp(args) {
  const headers = ownHeaders();
  const [command, ...others] = args;
  const options = ["--loglevel=warn", ...(headers === undefined ? [] : [`--nodedir=${headers}`])];
  const program = join(project, "node_modules/.bin/node-gyp");
  run("the build of the native addon", program, [command, ...options, ...others]);
}

function configure(mode) {
  gyp(["configure", "--", `-Dvprocfs_tests=${mode === "start" ? 0 : 1}`]);
}

/** The newest time of a directory at or below a path: when files last came or went. */
function newestDirectory(path) {
  const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return Math.max(
    statSync(path).mtimeMs,
    ...below.map((entry) => newestDirectory(join(path, entry.name))),
  );
}

/** The addon of the tests without optimisation: compiled in two thirds of the time. */
function ensureQuickAddon() {
  const makefile = modified("build/Makefile") ?? 0;
  const listed = existsSync(join(project, "build/vprocfs_testing.target.mk"));
  const changed = Math.max(newestOf(["binding.gyp"]), newestDirectory(join(project, "native")));
  if (!listed || makefile < changed) {
    configure("check");
  }
  const quick = outputOf("sh", ["-c", "command -v ccache"]) !== undefined;
  const env = quick && process.env.CXX === undefined ? { CC: "ccache gcc", CXX: "ccache g++" } : {};
  const jobs = `-j${availableParallelism()}`;
  run("make", "make", ["-s", "-C", "build", jobs, "BUILDTYPE=Debug", "vprocfs_testing"], env);
}

/** The native programs and addons; those of the tests only where they are asked for. */
function ensureAddon(mode) {
  const names = ["vprocfs.node", ...(mode === "test" ? ["vprocfs_testing.node"] : [])];
  const paths = names.map((name) => `build/Release/${name}`);
  const sources = newestOf(["native", "binding.gyp", "node_modules/node-addon-api/package.json"]);
  if (paths.every((path) => (modified(path) ?? 0) >= sources)) {
    return;
  }
  checkStaticLinking();
  console.log("setup: building the native addon");
  configure(mode);
  gyp(["build", "--jobs=max"]);
  // make leaves an addon alone when its sources only have newer times, not newer contents.
  for (const path of paths) {
    if (!existsSync(join(project, path))) {
      throw new SetupError(`the build of the native addon left no ${path}`);
    }
    touch(join(project, path));
  }
}

/**
 * The keeper and the helpers are static programs. Elsewhere than on Debian what those are linked with comes in packages
 * of its own, and the linker does not say in which.
 */
function checkStaticLinking() {
  const directory = mkdtempSync(join(tmpdir(), "vprocfs-setup-"));
  try {
    const [source, program] = [join(directory, "static.cc"), join(directory, "static")];
    writeFileSync(
      source,
      "#include <string>\nint main(int n, char**) { return std::to_string(n) == std::string(); }\n",
    );
    const { CXX: compiler = "g++", CPPFLAGS = "", CXXFLAGS = "", LDFLAGS = "" } = process.env;
    // With the flags that make takes from the environment: they may say where the libraries are.
    const link = `${compiler} ${CPPFLAGS} ${CXXFLAGS} ${LDFLAGS} -static -o "$1" "$2"`;
    if (outputOf("sh", ["-c", link, "sh", program, source]) === undefined) {
      throw new SetupError(
        `${compiler} cannot link static programs: install glibc-static and libstdc++-static (on Red Hat's systems from the repository CRB)`,
      );
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function touch(path) {
  run("touch", "touch", [path]);
}

async function ensureDist(mode) {
  await compile("dist", "cli.js");
  // For links to it, such as /usr/bin/vprocfs.
  chmodSync(join(project, "dist/cli.js"), 0o755);
  if (mode !== "start") {
    await compile("build/modules", "program.js");
  }
}

/** Compiles what a directory holds, when `program` in it is older than the sources. */
async function compile(directory, program) {
  const built = modified(`${directory}/${program}`);
  if (built !== undefined && built >= newestOf(["src", "packaging/bundle.mjs", "package.json"])) {
    return;
  }
  console.log(`setup: compiling TypeScript into ${directory}`);
  // It needs an npm package, which was not here when this program began.
  const { bundle } = await import("./bundle.mjs");
  await bundle(directory);
}

// --- main --------------------------------------------------------------------------------------

async function main(mode) {
  if (mode !== "start" && mode !== "test" && mode !== "check") {
    throw new SetupError("usage: node packaging/setup.mjs start|test|check");
  }
  if (process.platform !== "linux") {
    throw new SetupError("vprocfs runs on Linux only");
  }
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 17)) {
    throw new SetupError(`Node 20.17 or later is needed, this is ${process.versions.node}`);
  }
  const packages = [...(haveBuildTools() ? [] : startPackages)];
  await ensureSystemPackages(mode === "test" ? [...packages, ...testPackages] : packages);
  ensureNpmPackages();
  if (mode === "check") {
    ensureQuickAddon();
  }
  // What a few unit tests ask of the addon hardly ever changes: any will do.
  if (mode !== "check" || modified("build/Release/vprocfs.node") === undefined) {
    ensureAddon(mode === "check" ? "test" : mode);
  }
  await ensureDist(mode);
}

try {
  await main(process.argv[2]);
} catch (error) {
  const text = error instanceof SetupError ? error.message : String(error?.stack ?? error);
  console.error(`setup: ${text}`);
  process.exitCode = 1;
}
