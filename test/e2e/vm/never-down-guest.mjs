// Runs in the virtual machine: kills workers under readers on a kernel that cannot resend requests.
// Prints what the readers found, and the last status, as JSON.
//
//   node never-down-guest.mjs PROJECT STORM KILLS

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const [project, program, kills] = process.argv.slice(2);
const { readStatus } = await import(join(project, "build/modules/keeper-status.js"));
const MOUNTPOINT = "/tmp/vprocfs-test-nd";
const CGROUP = "/sys/fs/cgroup/vprocfs-test-nd";
const TOTAL_KIB = 64 * 1024;

async function serving(after) {
  for (;;) {
    const status = await readStatus(MOUNTPOINT).catch(() => undefined);
    if (status?.state === "serving" && status.generation > after) {
      return status;
    }
    await pause(50);
  }
}

mkdirSync(MOUNTPOINT);
mkdirSync(CGROUP);
writeFileSync(join(CGROUP, "memory.max"), String(TOTAL_KIB * 1024));
// Everything takes many times longer here: nothing but a hang may end the patience.
const times = ["--patience-ms", "300000", "--watchdog-ms", "60000"];
const daemon = spawn(
  process.execPath,
  [
    join(project, "dist/cli.js"),
    "run",
    MOUNTPOINT,
    "--watch",
    "off",
    "--log-level",
    "warn",
    ...times,
  ],
  { stdio: ["ignore", "inherit", "inherit"] },
);
await serving(0);
const enter = `echo $$ >${CGROUP}/cgroup.procs; exec unshare -p -f -C --mount-proc "$@"`;
const storm = spawn("sh", ["-c", enter, "sh", program, MOUNTPOINT, String(TOTAL_KIB), "4"], {
  stdio: ["pipe", "pipe", "inherit"],
});
let output = "";
const ready = new Promise((resolve) => storm.stdout.once("data", resolve));
storm.stdout.setEncoding("utf8").on("data", (text) => {
  output += text;
});
const ended = new Promise((resolve) => storm.once("close", resolve));
await ready;
for (let i = 0; i < Number(kills); i += 1) {
  await pause(500 + Math.random() * 1000);
  const { workerPid, generation } = await readStatus(MOUNTPOINT);
  storm.stdin.write("before\n");
  process.kill(workerPid, "SIGKILL");
  // The last process to close its descriptors fails what it held.
  await pause(200);
  storm.stdin.write("after\n");
  await serving(generation);
}
await pause(2000);
storm.stdin.end();
await ended;
const later = readFileSync(join(MOUNTPOINT, "proc/meminfo"), "utf8").startsWith("MemTotal:");
const status = await readStatus(MOUNTPOINT);
console.log(JSON.stringify({ ...JSON.parse(output.replace("ready\n", "")), later, status }));
const stopped = new Promise((resolve) => daemon.once("exit", resolve));
daemon.kill("SIGTERM");
await stopped;
