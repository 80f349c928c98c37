#!/usr/bin/env node
// What the hook adds to the start of a container: containers of an OCI runtime that end at once, in
// turn without a hook, with one that does nothing (/bin/true), and with vprocfs's: its helper alone, and
// as install-hooks has it started.
//
//   node bench/start-cost.mjs [--runtime runc] [--rounds 60]
//
// Starts a vprocfs of its own; must be root. Needs busybox. Prints medians and their differences.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
  options: {
    runtime: { type: "string", default: "runc" },
    rounds: { type: "string", default: "60" },
  },
});
const rounds = Number(values.rounds);
const directory = mkdtempSync(join(tmpdir(), "vprocfs-start-"));
const mountpoint = join(directory, "mnt");
const helper = join(project, "build/Release/vprocfs-attach");
const starter = join(project, "build/Release/vprocfs-hook");

function bundle(name, hook) {
  const path = join(directory, name);
  const rootfs = join(path, "rootfs");
  for (const part of ["bin", "proc", "sys", "dev"]) {
    mkdirSync(join(rootfs, part), { recursive: true });
  }
  copyFileSync("/bin/busybox", join(rootfs, "bin/busybox"));
  const spec = {
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: ["/bin/busybox", "true"], env: [], cwd: "/" },
    root: { path: rootfs },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
    ],
    ...(hook === undefined ? {} : { hooks: { createRuntime: [hook] } }),
    linux: {
      cgroupsPath: `/vprocfs-start-${process.pid}-${name}`,
      namespaces: ["pid", "mount", "ipc", "uts", "network", "cgroup"].map((type) => ({ type })),
      resources: { memory: { limit: 64 << 20 } },
    },
  };
  writeFileSync(join(path, "config.json"), JSON.stringify(spec));
  return path;
}

function start(path, name) {
  const begin = process.hrtime.bigint();
  const argv = ["--root", join(directory, "state"), "run", "--bundle", path, name];
  const result = spawnSync(values.runtime, argv, { stdio: ["ignore", "ignore", "pipe"] });
  if (result.status !== 0) {
    throw new Error(`${values.runtime}: ${result.error?.message ?? result.stderr}`);
  }
  return Number(process.hrtime.bigint() - begin) / 1e6;
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

const flags = ["--watch", "off", "--metrics", "off", "--calls", "off", mountpoint];
mkdirSync(mountpoint);
const daemon = spawn(process.execPath, [join(project, "dist/cli.js"), "run", ...flags], {
  stdio: "ignore",
});
try {
  while (!existsSync(join(mountpoint, "proc/meminfo"))) {
    if (daemon.exitCode !== null) {
      throw new Error(`vprocfs ended with ${daemon.exitCode}`);
    }
    await sleep(20);
  }
  const settings = `/run/vprocfs/${encodeURIComponent(mountpoint.slice(1))}.attach`;
  const args = [helper, "--mountpoint", mountpoint, "--settings", settings, "--hook", "oci"];
  const kinds = new Map([
    ["no hook", bundle("none", undefined)],
    ["/bin/true", bundle("true", { path: "/bin/true", args: ["true"] })],
    ["vprocfs-attach", bundle("attach", { path: helper, args })],
    ["as installed", bundle("hook", { path: starter, args: ["vprocfs-hook", ...args] })],
  ]);
  const times = new Map([...kinds.keys()].map((kind) => [kind, []]));
  for (let round = -3; round < rounds; round += 1) {
    // What one leaves to the kernel to clean up falls to the next: each comes after each other.
    const order = [...kinds];
    for (let i = order.length - 1; i > 0; i -= 1) {
      const other = Math.floor(Math.random() * (i + 1));
      [order[i], order[other]] = [order[other], order[i]];
    }
    for (const [kind, path] of order) {
      const ms = start(path, `vprocfs-start-${process.pid}`);
      // The first ones only fill caches.
      if (round >= 0) {
        times.get(kind).push(ms);
      }
    }
  }
  const base = median(times.get("no hook"));
  console.log(`${values.runtime}, ${rounds} starts each; milliseconds`);
  for (const [kind, list] of times) {
    const own = median(list);
    console.log(
      `${kind.padEnd(22)} median ${own.toFixed(1).padStart(6)}   more than without: ${(own - base).toFixed(1)}`,
    );
  }
} finally {
  const ended = new Promise((resolve) => daemon.once("exit", resolve));
  daemon.kill("SIGTERM");
  await ended;
  spawnSync("umount", ["--lazy", mountpoint], { stdio: "ignore" });
  rmSync(directory, { recursive: true, force: true });
  for (const name of ["none", "true", "attach", "hook"]) {
    const pattern = `vprocfs-start-${process.pid}-${name}`;
    execFileSync("find", ["/sys/fs/cgroup", "-depth", "-type", "d", "-name", pattern, "-delete"], {
      stdio: "ignore",
    });
  }
}
