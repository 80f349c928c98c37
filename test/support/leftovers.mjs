// Removes what test runs have left behind: processes, swap files, mounts, cgroups, directories. Only
// what carries a name made by testName() in a process that is gone, so that two runs at once leave
// each other alone.
//
// Vitest calls the default export before the tests that need a real machine. It cleans up after
// earlier runs, and starts a guard that does the same after this one, however it ends: workers that
// are killed close no scope.

import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const NAME = /vprocfs-(?:test|demo)-(\d+)(?=[-/]|$)/g;
/** In the environment of every process of a run; its value is the PID of Vitest. */
const MARK = "VPROCFS_TEST_RUN";
const POLL_MS = 100;
/** Daemons that are asked to end take their files back out of containers. */
const PATIENCE_MS = 8_000;
/** Vitest does not wait for its own workers, which take a moment to end on a busy machine. */
const FAREWELL_MS = 3_000;

/**
 * Whether a process has ended, reaped or not. One that has no memory any more has: the init of a PID
 * namespace waits then until everybody who was in there has been reaped by parents outside.
 */
function isGone(pid) {
  const status = textOf(`/proc/${pid}/status`);
  return status === "" || !/^VmSize:/m.test(status);
}

/** Whether `text` mentions a name made by testName() in a process that is gone. */
function mentionsLeftover(text) {
  return [...text.matchAll(NAME)].some(([, pid]) => isGone(pid));
}

/** True when `name` was made by testName() in a process that is gone. */
function isLeftover(name) {
  return /^vprocfs-(?:test|demo)-\d+(?:-|$)/.test(name) && mentionsLeftover(name);
}

function textOf(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function targetOf(path) {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function directoriesIn(path) {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
  } catch {
    return [];
  }
}

/** What tests start that a command line tells of; whoever reads a log of theirs is left alone. */
function isOurs(words) {
  return words.some((word) => /(?:^|\/)(?:vprocfs[^/]*|cli\.js|boot\.sh|lxc-[a-z]+)$/.test(word));
}

/**
 * Processes of runs that are over: by their mark, or by a left-over name in their cgroups, their root
 * or the command line of one of our programs.
 */
function leftoverProcesses() {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      const at = `/proc/${pid}`;
      const mark = new RegExp(`(?:^|\0)${MARK}=(\\d+)(?:\0|$)`).exec(textOf(`${at}/environ`))?.[1];
      if (mark !== undefined && isGone(mark)) {
        return true;
      }
      const line = textOf(`${at}/cmdline`);
      const texts = [textOf(`${at}/cgroup`), targetOf(`${at}/root`)];
      return [...texts, ...(isOurs(line.split("\0")) ? [line] : [])].some(mentionsLeftover);
    })
    .filter((pid) => !isGone(pid))
    .map(Number);
}

function signal(pids, name) {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended.
    }
  }
}

async function endProcesses() {
  for (const path of cgroups()) {
    thaw(path);
  }
  for (const end = Date.now() + FAREWELL_MS; Date.now() < end; await pause(POLL_MS)) {
    if (leftoverProcesses().length === 0) {
      return [];
    }
  }
  const found = leftoverProcesses();
  const named = found.map((pid) => `process ${pid} (${textOf(`/proc/${pid}/comm`).trim()})`);
  signal(found, "SIGTERM");
  for (const end = Date.now() + PATIENCE_MS; ; await pause(POLL_MS)) {
    const alive = leftoverProcesses();
    if (alive.length === 0) {
      return named;
    }
    if (Date.now() > end) {
      signal(alive, "SIGKILL");
    }
    if (Date.now() > end + PATIENCE_MS) {
      return named;
    }
  }
}

function removeSwap() {
  const lines = textOf("/proc/swaps").split("\n").slice(1);
  const names = lines.map((line) => line.split(/\s/)[0] ?? "");
  const found = names.filter((path) => isLeftover(basename(path)));
  for (const path of found) {
    spawnSync("swapoff", [path]);
  }
  return found.map((path) => `swap ${path}`);
}

function unmountAll() {
  // The fifth word of each line; spaces in it are written as \040, which no name of ours has.
  const points = textOf("/proc/self/mountinfo")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "");
  const isOurs = (point) =>
    point.split("/").some(isLeftover) ||
    (point.startsWith("/run/vprocfs-poll/") && mentionsLeftover(basename(point)));
  const found = points.filter(isOurs).reverse();
  for (const point of found) {
    spawnSync("umount", ["--lazy", point]);
  }
  return found.map((point) => `mount ${point}`);
}

/** A frozen process does not even end when it is killed. */
function thaw(path) {
  for (const [name, word] of [
    ["freezer.state", "THAWED"],
    ["cgroup.freeze", "0"],
  ]) {
    try {
      writeFileSync(join(path, name), word, { flag: "r+" });
    } catch {
      // The hierarchy has no such file.
    }
  }
}

function removeCgroup(path) {
  for (const child of directoriesIn(path)) {
    removeCgroup(child);
  }
  thaw(path);
  const pids = textOf(join(path, "cgroup.procs")).split("\n").map(Number);
  signal(
    pids.filter((pid) => pid > 0),
    "SIGKILL",
  );
  try {
    rmdirSync(path);
  } catch {
    // Its processes need a moment to end.
  }
}

function cgroups() {
  const root = "/sys/fs/cgroup";
  const hierarchies = existsSync(join(root, "cgroup.procs")) ? [root] : directoriesIn(root);
  // A hierarchy of several controllers has links to it, which are no directories here.
  return hierarchies
    .flatMap((hierarchy) => directoriesIn(hierarchy))
    .filter((path) => mentionsLeftover(basename(path)));
}

async function removeCgroups() {
  const found = cgroups();
  for (let left = found, tries = 0; left.length > 0 && tries < 50; left = cgroups(), tries += 1) {
    for (const path of left) {
      removeCgroup(path);
    }
    await pause(tries === 0 ? 0 : POLL_MS);
  }
  return found.map((path) => `cgroup ${path}`);
}

/** What a test has set for all of the host: printAllFaults() keeps what it found in a file. */
const RATE_LIMIT = "/proc/sys/kernel/printk_ratelimit";
const KEPT_RATE_LIMIT = "ratelimit";

function restoreRateLimit(path) {
  if (basename(path).endsWith(`-${KEPT_RATE_LIMIT}`)) {
    writeFileSync(RATE_LIMIT, textOf(path));
  }
}

function removeFiles() {
  const found = [...new Set([tmpdir(), "/var/tmp", "/run/vprocfs", "/run/vprocfs-poll"])]
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => readdirSync(directory).map((name) => join(directory, name)))
    .filter((path) => mentionsLeftover(basename(path)));
  for (const path of found) {
    restoreRateLimit(path);
    rmSync(path, { recursive: true, force: true });
  }
  return found;
}

/** Removes all that runs which are over have left, and returns what there was. */
async function removeLeftovers() {
  return [
    ...(await endProcesses()),
    ...removeSwap(),
    ...unmountAll(),
    ...(await removeCgroups()),
    ...removeFiles(),
  ];
}

/** Waits for the end of the run that holds the other end of our stdin, and cleans up after it. */
async function guard() {
  const runner = Number(process.env.VPROCFS_TEST_RUNNER ?? 0);
  const watch = setInterval(() => {
    // Whoever started Vitest was killed and could not stop it.
    if (runner > 0 && !existsSync(`/proc/${runner}`)) {
      signal([process.ppid], "SIGTERM");
    }
  }, 500);
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.once("end", resolve).once("error", resolve));
  clearInterval(watch);
  // Workers that outlive Vitest would go on making things.
  const isWorker = (pid) => textOf(`/proc/${pid}/cmdline`).includes("vitest");
  for (let tries = 0; tries < 20; tries += 1) {
    const workers = leftoverProcesses().filter(isWorker);
    if (workers.length === 0) {
      break;
    }
    signal(workers, tries < 5 ? "SIGTERM" : "SIGKILL");
    await pause(POLL_MS);
  }
  const found = await removeLeftovers();
  if (found.length > 0) {
    console.log(`cleaned up after the tests:\n  ${found.join("\n  ")}`);
  }
  const report = process.env.VPROCFS_TEST_REPORT;
  if (report !== undefined && existsSync(report)) {
    appendFileSync(report, found.map((left) => `${JSON.stringify({ left })}\n`).join(""));
  }
}

export default async function setup() {
  if (process.getuid?.() !== 0) {
    return;
  }
  await removeLeftovers();
  const file = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [file, "guard"], {
    detached: true,
    stdio: ["pipe", "inherit", "inherit"],
  });
  // Only after it has started, so that it does not carry the mark itself.
  process.env[MARK] = `${process.pid}`;
  child.unref();
  child.stdin.unref();
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === "guard") {
  // Ctrl-C is for the tests; what they leave is for us.
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(name, () => {});
  }
  await guard();
}
