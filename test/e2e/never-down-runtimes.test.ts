// Bind mounts that LXC and runc made stay good while workers come and go.

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { finished, output } from "../support/command.js";
import { Daemon, temporaryDirectory, vprocfs, withStandby } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter, statusOf } from "./never-down-support.js";

withStandby();

const MEMORY = 64 * 2 ** 20;
const FILES = ["meminfo", "stat", "uptime"] as const;

/** Reads what is bound until it is told to stop, and prints what is not as it should be. */
const READ_ON = `
while [ ! -e /tmp/stop ]; do
  text=$(cat /proc/meminfo) || echo "meminfo failed"
  case "$text" in "MemTotal:"*" 65536 kB"*) ;; *) echo "not ours: $text" ;; esac
  cat /proc/stat /proc/uptime >/dev/null || echo "stat failed"
done
echo done`;

/** The command line that runs a program in a running container. */
type Enter = (argv: readonly string[]) => string[];

async function busyboxRoot(root: string): Promise<void> {
  for (const name of ["bin", "proc", "sys", "dev", "tmp"]) {
    mkdirSync(join(root, name), { recursive: true });
  }
  await output(["cp", "/bin/busybox", join(root, "bin/busybox")]);
  await output(["chroot", root, "/bin/busybox", "--install", "/bin"]);
}

async function startRunc(scope: Scope, daemon: Daemon): Promise<Enter> {
  const bundle = temporaryDirectory(scope, "nd-runc");
  await busyboxRoot(join(bundle, "rootfs"));
  await output(["runc", "spec", "--bundle", bundle]);
  const name = testName("nd");
  const path = join(bundle, "config.json");
  const config = JSON.parse(readFileSync(path, "utf8"));
  config.process.terminal = false;
  config.process.args = ["sleep", "600"];
  config.root.readonly = false;
  config.linux.cgroupsPath = `/${name}`;
  config.linux.resources = { ...config.linux.resources, memory: { limit: MEMORY } };
  for (const file of FILES) {
    const source = daemon.path("proc", file);
    config.mounts.push({ destination: `/proc/${file}`, type: "bind", source, options: ["bind"] });
  }
  writeFileSync(path, JSON.stringify(config));
  scope.defer(() => output(["runc", "delete", "--force", name]));
  const child = spawn("runc", ["run", "--detach", "--bundle", bundle, name], { stdio: "ignore" });
  const { status } = await finished(child);
  expect(status).toBe(0);
  return (argv) => ["runc", "exec", name, ...argv];
}

async function startLxc(scope: Scope, daemon: Daemon): Promise<Enter> {
  const home = temporaryDirectory(scope, "nd-lxc");
  const name = testName("nd");
  await output(["lxc-create", "-P", home, "-n", name, "-t", "busybox"]);
  const lines = [
    "lxc.net.0.type = empty",
    `lxc.cgroup.memory.limit_in_bytes = ${MEMORY}`,
    `lxc.cgroup2.memory.max = ${MEMORY}`,
    ...FILES.map((file) => {
      return `lxc.mount.entry = ${daemon.path("proc", file)} proc/${file} none bind 0 0`;
    }),
  ];
  const path = join(home, name, "config");
  const kept = readFileSync(path, "utf8").replace(/^lxc\.net\..*$/gm, "");
  writeFileSync(path, `${kept}\n${lines.join("\n")}\n`);
  scope.defer(() => output(["lxc-stop", "-P", home, "-n", name, "--kill"]));
  await output(["lxc-start", "-P", home, "-n", name]);
  await output(["lxc-wait", "-P", home, "-n", name, "-s", "RUNNING", "-t", "30"]);
  return (argv) => ["lxc-attach", "-P", home, "-n", name, "--", ...argv];
}

async function comesAndGoes(scope: Scope, daemon: Daemon, enter: Enter): Promise<void> {
  const [command = "", ...args] = enter(["/bin/sh", "-c", READ_ON]);
  const reader = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  scope.defer(() => reader.kill("SIGKILL"));
  const outcome = finished(reader);
  for (let round = 0; round < 3; round += 1) {
    await pause(Math.random() * 300);
    const { workerPid, generation } = await statusOf(daemon);
    process.kill(workerPid, "SIGKILL");
    await servingAfter(daemon, generation);
    const reload = await vprocfs("reload", "--mountpoint", daemon.mountpoint);
    expect(reload.stdout.toString()).toBe("reloaded\n");
  }
  await output(enter(["/bin/touch", "/tmp/stop"]));
  expect((await outcome).stdout.toString()).toBe("done\n");
  const mounts = await output(enter(["/bin/cat", "/proc/mounts"]));
  expect(mounts).toMatch(/^vprocfs \/proc\/meminfo fuse\.lxcfs /m);
}

describeLive("with runc", ["runc", "busybox"], () => {
  it("existing bind mounts stay good", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    await comesAndGoes(scope, daemon, await startRunc(scope, daemon));
  });
});

describeLive("with LXC", ["lxc-create", "lxc-attach", "busybox"], () => {
  it("existing bind mounts stay good", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const enter = await startLxc(scope, daemon);
    await until("its tools are there", async () => {
      return (await output(enter(["/bin/cat", "/proc/uptime"])).catch(() => "")) !== "";
    });
    await comesAndGoes(scope, daemon, enter);
  });
});
