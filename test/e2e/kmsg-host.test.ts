// What containers' kernel logs tell where the host's own is not as it should be.

import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readStatus } from "../../src/keeper-status.js";
import { report } from "../support/attach.js";
import { MIB, removeCgroup } from "../support/cgroups.js";
import { output } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, temporaryDirectory, vprocfs, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { program, withPreload } from "../support/programs.js";
import { serveMetrics } from "../support/prometheus.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { stopped } from "./never-down-support.js";

withStandby();

const BANNER = 4;
const LIMITS = { memory: 64 * MIB, swap: 0 };

async function attached(scope: Scope, daemon: Daemon): Promise<Container> {
  const container = await Container.start(scope, LIMITS);
  await report(daemon, container.init);
  return container;
}

/** Starts something whose system calls do not do what they did. */
function where<T>(environment: Readonly<Record<string, string>>, start: () => Promise<T>) {
  return withPreload("nolog", environment, start);
}

/** Has one use more memory than its container has; returns its PID there. */
async function starve(container: Container): Promise<string> {
  const outcome = await container.run(["sh", "-c", "echo $$; exec tail /dev/zero"]);
  expect(outcome.status).not.toBe(0);
  return `${outcome.stdout}`.trim();
}

const linesOf = async (container: Container): Promise<string[]> =>
  (await container.output(["dmesg"]))
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^\[.*?\] /, ""));

/** Waits until its log has a line with this text, and returns all after the banner. */
function told(container: Container, text: string): Promise<string[]> {
  return until(`it is told of ${text}`, async () => {
    const lines = (await linesOf(container)).slice(BANNER);
    return lines.some((line) => line.includes(text)) && lines;
  });
}

async function rejectFork(container: Container): Promise<void> {
  writeFileSync(join(container.cgroup.directory("pids"), "pids.max"), "8");
  await container.run([program("fault"), "forks", "forks", "20"]);
}

let faults = 0;

/** Has a process crash until the kernel lets that through: ten in five seconds, of the whole node. */
function fault(container: Container): Promise<{ name: string; pid: string }> {
  faults += 1;
  const name = `bad${process.pid % 1000}x${faults}`;
  return until("the kernel tells of it", async () => {
    const pid = `${(await container.run([program("fault"), name, "segfault"])).stdout}`.trim();
    return (await output(["dmesg"])).includes(`${name}[`) && { name, pid };
  });
}

describeLive("kernel logs of containers", ["dmesg"], () => {
  it.each(["EPERM", "ENOENT"])(
    "have their first lines, and what is written, where the host's log fails with %s",
    async (error) => {
      const scope = testScope();
      const daemon = await where({ VPROCFS_TEST_KMSG: error }, () => Daemon.start(scope));
      const container = await attached(scope, daemon);
      await starve(container);
      await container.shell("echo written >/dev/kmsg");
      const lines = await linesOf(container);
      expect(lines[0]).toContain("Linux version");
      expect(lines.slice(BANNER)).toEqual(["written"]);
      const said = daemon.logs.match(/containers' kernel logs get no events/g);
      expect(said).toHaveLength(1);
      expect(daemon.logs).toMatch(/\/dev\/kmsg: (Operation not permitted|No such file)/);
    },
  );

  it("are whole where records between are lost, cut off, foreign or parts of others", async () => {
    const scope = testScope();
    const { daemon, scrape } = await where({ VPROCFS_TEST_KMSG: "bad" }, () => serveMetrics(scope));
    const container = await attached(scope, daemon);
    const other = await attached(scope, daemon);
    const kill = `Killed process ${await starve(container)} (tail)`;
    const lines = await told(container, kill);
    expect(lines[0]).toMatch(/^tail invoked oom-killer: /);
    expect(lines).toContain("Memory cgroup stats for /:");
    const { name, pid } = await fault(container);
    await told(container, `${name}[${pid}]: segfault at 8`);
    await rejectFork(container);
    const all = await told(container, "fork rejected by pids controller in /");
    expect(all.filter((line) => line.includes(kill))).toHaveLength(1);
    expect(all.join("\n")).not.toMatch(/goes on|cut off|of another log/);
    expect(await linesOf(other)).toHaveLength(BANNER);
    const overruns = /^vprocfs_kernel_log_overruns_total (\d+)$/m.exec(await scrape())?.[1];
    expect(Number(overruns)).toBeGreaterThan(0);
  });

  it.each([
    ["auto", "", ["process connector: Protocol not supported"]],
    ["off", "", ["process connector: Protocol not supported"]],
    ["auto", "bpf perf_event_open", ["process connector", "bpf", "perf_event_open: Operation not"]],
  ])(
    "tell of nobody else without the process connector, with bpf %s, without %j, and say so",
    async (bpf, refused, missing) => {
      const scope = testScope();
      const environment = { VPROCFS_TEST_CONNECTOR: "none", VPROCFS_TEST_REFUSED: refused };
      const daemon = await where(environment, () => Daemon.start(scope, "--bpf", bpf));
      const container = await attached(scope, daemon);
      const other = await attached(scope, daemon);
      const isProven = bpf === "auto" && refused === "";
      let crash = await fault(container);
      // What crashes in the moment in which a daemon begins to look is proven of nobody.
      if (isProven) {
        await until("it is told of a crash", async () => {
          const isTold = (await linesOf(container)).some((line) =>
            line.startsWith(`${crash.name}[`),
          );
          crash = isTold ? crash : await fault(container);
          return isTold;
        });
      }
      const victim = await starve(container);
      await told(container, "(tail) total-vm:");
      await rejectFork(container);
      const lines = await told(container, "fork rejected by pids controller in /");
      const crashes = lines.filter((line) => line.includes("segfault at"));
      // Without any of them, who was gone before it could be looked up is not proven.
      const isTold = crashes.some((line) => line.startsWith(`${crash.name}[${crash.pid}]`));
      expect(isTold || (!isProven && crashes.length === 0)).toBe(true);
      const killed = isProven ? victim : `(${victim}|0)`;
      expect(lines.join("\n")).toMatch(new RegExp(`Killed process ${killed} \\(tail\\)`));
      expect(await linesOf(other)).toHaveLength(BANNER);
      const said = daemon.logs
        .split("\n")
        .filter((line) => line.includes("because a source is missing"));
      expect(said).toHaveLength(missing.length);
      const doctor = `${(await vprocfs("doctor", "--mountpoint", daemon.mountpoint)).stdout}`;
      for (const reason of missing) {
        expect(said.join("\n")).toContain(reason);
        expect(doctor).toContain(reason);
      }
    },
  );

  it("have all proofs as soon as a shortage has passed, and name them until then", async () => {
    const scope = testScope();
    const short = join(temporaryDirectory(scope, "short"), "short");
    writeFileSync(short, "");
    const environment = { VPROCFS_TEST_SHORT: short };
    const daemon = await where(environment, () => Daemon.start(scope, "--bpf", "off"));
    const problems = async () => {
      const { stdout } = await vprocfs("doctor", "--mountpoint", daemon.mountpoint);
      return `${stdout}`.match(/(process connector|perf_event_open): Too many open files/g) ?? [];
    };
    // Kernels before 5.19 tell of no printers.
    expect(await problems()).toContain("process connector: Too many open files");
    rmSync(short);
    await until("all are there", async () => (await problems()).length === 0);
  });

  it("tell nobody of one that is gone before the host's log is read", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--watchdog-ms", "60000");
    const gone = await attached(scope, daemon);
    const other = await attached(scope, daemon);
    await told(gone, `Killed process ${await starve(gone)} (tail)`);
    const { workerPid } = await readStatus(daemon.mountpoint);
    await stopped(workerPid);
    try {
      await starve(gone);
      await fault(gone);
      await gone.kill();
      for (const directory of gone.cgroup.directories) {
        await removeCgroup(directory);
      }
    } finally {
      process.kill(workerPid, "SIGCONT");
    }
    await rejectFork(other);
    const lines = await told(other, "fork rejected by pids controller in /");
    expect(lines).toHaveLength(1);
  });
});
