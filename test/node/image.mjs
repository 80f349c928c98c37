// The disks of nodes and their state with running containers, kept outside of the checkout.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Machine, MachineError } from "./machine.mjs";
import { CPUS, MEMORY_MIB } from "./nodes.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const DAYS = 24 * 3600 * 1000;
/** Images that nobody has used for so long go. */
const KEPT = 7 * DAYS;
/** Seconds that the build of an image may take. */
const BUILD = 1800;

const cache = process.env.VPROCFS_NODE_CACHE ?? join(homedir(), ".cache/vprocfs/nodes");

/** What builds images and runs them. */
const PROGRAMS = ["mmdebstrap", "mke2fs", "ssh-keygen", "qemu-img", "setpriv"];

const have = (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;

function digest(...parts) {
  const hash = createHash("sha256");
  for (const part of parts) {
    hash.update(part).update("\0");
  }
  return hash.digest("hex").slice(0, 12);
}

function imageName(kind) {
  return `${kind.name}-${digest(readFileSync(join(here, "build-image.sh")))}`;
}

/** Why this machine cannot run such a node; undefined if it can. */
export function unavailable(kind) {
  const foreign = kind.arch === process.arch ? [] : [`${kind.tools}g++`];
  // Its packages configure themselves when the image is built.
  const builds = foreign.length > 0 && !existsSync(join(cache, imageName(kind)));
  const programs = [...PROGRAMS, kind.qemu[0], ...foreign, ...(builds ? ["arch-test"] : [])];
  const missing = programs.filter((name) => !have(name));
  if (missing.length > 0) {
    return `no ${missing.join(", no ")}`;
  }
  if (builds && spawnSync("arch-test", [kind.architecture]).status !== 0) {
    return `programs for ${kind.architecture} do not run here (qemu-user-static, binfmt_misc)`;
  }
  return process.getuid?.() === 0 ? undefined : "not root";
}

/** Removes what nobody has used for a while, of the entries whose names begin like that. */
function removeOld(directory, start, most) {
  for (const name of readdirSync(directory).filter((file) => file.startsWith(start))) {
    const path = join(directory, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > most) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

/** Runs a program with its output in a file, for at most so many seconds. */
function logged(argv, log, seconds) {
  const output = openSync(log, "w");
  // A group of its own, so that what it has started ends with it.
  const child = spawn(argv[0], argv.slice(1), {
    stdio: ["ignore", output, output],
    detached: true,
  });
  closeSync(output);
  const end = () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {}
  };
  process.once("exit", end);
  return new Promise((resolve) => {
    const timer = setTimeout(end, seconds * 1000);
    const over = (status) => {
      clearTimeout(timer);
      process.off("exit", end);
      resolve(status);
    };
    child.on("error", () => over(1)).on("exit", (status) => over(status ?? 1));
  });
}

/**
 * The image of a node, built when it is not there. `log` gets what the build writes.
 *
 * @returns {Promise<{kind: import("./nodes.mjs").NodeKind, directory: string}>}
 */
export async function imageOf(kind, log, tell) {
  mkdirSync(cache, { recursive: true });
  removeOld(cache, "", KEPT);
  removeOld(cache, "unfinished-", DAYS / 4);
  const directory = join(cache, imageName(kind));
  if (existsSync(directory)) {
    utimesSync(directory, new Date(), new Date());
    return { kind, directory };
  }
  const begin = Date.now();
  tell(`building the image of ${kind.name}, which takes some minutes`);
  const work = mkdtempSync(join(cache, "unfinished-"));
  const remove = () => rmSync(work, { recursive: true, force: true });
  process.once("exit", remove);
  try {
    const argv = [join(here, "build-image.sh"), work, kind.suite, kind.architecture, "systemd"];
    if ((await logged(argv, log, BUILD)) !== 0) {
      throw new MachineError(`the image of ${kind.name} does not build, see ${log}`);
    }
    // Somebody else may have built it in the meantime.
    if (!existsSync(directory)) {
      renameSync(work, directory);
    }
  } finally {
    remove();
    process.off("exit", remove);
  }
  tell(`built the image in ${seconds(begin)} s`);
  return { kind, directory };
}

export const seconds = (since) => Math.round((Date.now() - since) / 1000);

/** A state depends on QEMU, the machine and what was done in it. To be raised with the machine. */
const MACHINE = 1;

function stateName(kind) {
  const version = spawnSync(kind.qemu[0], ["--version"], { encoding: "utf8" }).stdout;
  const hardware = JSON.stringify([MACHINE, kind.qemu, kind.console, CPUS, MEMORY_MIB]);
  const files = ["guest/lib.sh", "guest/populate.sh"];
  const texts = files.map((name) => readFileSync(join(here, name)));
  return `state-${digest(version, hardware, ...texts)}`;
}

/**
 * The state of a node that has booted and runs a container of each runtime, without vprocfs. It is
 * made when it is not there.
 */
export async function populated(image, work, tell) {
  const directory = join(image.directory, stateName(image.kind));
  const from = {
    disk: join(directory, "disk.qcow2"),
    format: "qcow2",
    state: join(directory, "memory"),
  };
  if (existsSync(directory)) {
    utimesSync(directory, new Date(), new Date());
    return from;
  }
  tell(`booting ${image.kind.name}`);
  let begin = Date.now();
  const disk = { disk: join(image.directory, "disk.img"), format: "raw" };
  const machine = await Machine.start(image, disk, join(work, "boot"));
  try {
    tell(`booted in ${seconds(begin)} s; starting containers`);
    begin = Date.now();
    await machine.copy(
      ["lib.sh", "populate.sh"].map((name) => join(here, "guest", name)),
      "/root/bed",
    );
    const settle = "systemctl is-system-running --wait >/dev/null; /root/bed/populate.sh";
    const { status, stdout, stderr } = await machine.run(settle, { seconds: 1200 });
    if (status !== 0) {
      const why = /^FAIL: .*$/m.exec(stderr)?.[0] ?? (stderr || stdout).trim().split("\n").pop();
      throw new MachineError(`${image.kind.name} does not get its containers: ${why}`);
    }
    tell(`started containers in ${seconds(begin)} s`);
    const unfinished = mkdtempSync(join(image.directory, "unfinished-"));
    await machine.freeze(join(unfinished, "memory"));
    renameSync(join(work, "boot/disk.qcow2"), join(unfinished, "disk.qcow2"));
    renameSync(unfinished, directory);
    removeOld(image.directory, "state-", DAYS);
  } finally {
    machine.kill();
  }
  return from;
}
