// Workers that hang, do not start, or find damaged state; reloads that fail; stopping.

import { spawn } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { errnoOf } from "../../src/errors.js";
import { askFigures } from "../../src/figures.js";
import { socketOf } from "../../src/keeper.js";
import { readMounts } from "../../src/mountinfo.js";
import { polledMountpointOf } from "../../src/polled.js";
import { stoppedProcess } from "../../src/processes.js";
import { asService, emptyRestGroups, serviceProcesses } from "../support/calls.js";
import { Cgroup, removeCgroup } from "../support/cgroups.js";
import { background, haveProgram, output, outputSync, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, temporaryDirectory, vprocfs, withStandby } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { isTraced } from "../support/proc.js";
import { project } from "../support/project.js";
import { inLong, itLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import {
  FREEZER,
  makeFreezer,
  QUICK_WATCHDOG,
  QUICK_WATCHDOG_MS,
  servingAfter,
  standbyOf,
  standingBy,
  statusOf,
  stopped,
  WATCHDOG_MS,
  workersOf,
} from "./never-down-support.js";

withStandby();

/** What comes on top of the documented times: starting Node, and a machine that does other work too. */
function graceMs(daemon: Daemon): number {
  return Math.max(4_000, 4 * daemon.startedInMs);
}

const PATIENCE_MS = 1_500;

/** So many workers cannot be killed, one after the other. */
const UNDYING = inLong(2, 3);

/** For tests that see how long readers wait, however long a worker takes to start. */
const LONG_PATIENCE = ["--patience-ms", "60000"] as const;

/** How often a process has slept. */
function sleepsOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
}

async function timed<T>(work: Promise<T>): Promise<{ result: T | string; ms: number }> {
  const begin = Date.now();
  const result = await work.catch((error: unknown) => errnoOf(error) ?? String(error));
  return { result, ms: Date.now() - begin };
}

/** Has its stderr be a terminal, tells a file which one and who reads it, and becomes a program. */
const TERMINAL = join(project, "test/support/native/terminal.py");

/** Writes to a terminal or a pipe until there is no room. */
function fill(terminal: string): void {
  const fd = openSync(terminal, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    for (;;) {
      writeSync(fd, " ".repeat(4096));
    }
  } catch (error) {
    expect(errnoOf(error)).toBe("EAGAIN");
  } finally {
    closeSync(fd);
  }
}

/** All that is in a pipe. */
function drain(pipe: number): string {
  const chunk = Buffer.alloc(65_536);
  let text = "";
  try {
    for (;;) {
      text += chunk.toString("latin1", 0, readSync(pipe, chunk));
    }
  } catch (error) {
    expect(errnoOf(error)).toBe("EAGAIN");
  }
  return text;
}

/** What the keeper logs when it cannot fork, for example. */
const CANNOT_START = "cannot start a worker";

describeLive("a worker in trouble", [], () => {
  it("is replaced when it is stopped", async () => {
    const daemon = await Daemon.start(testScope());
    const { workerPid, generation } = await statusOf(daemon);
    await stopped(workerPid);
    const read = await timed(readFile(daemon.path("proc/meminfo"), "utf8"));
    expect(read.result).toMatch(/^MemTotal:.*\n$/s);
    expect(read.ms).toBeLessThan(WATCHDOG_MS + graceMs(daemon));
    const status = await servingAfter(daemon, generation);
    expect(status.reasons).toEqual(["watchdog: it stopped serving"]);
    // Readers do not wait for that.
    await until("it has ended", () => !existsSync(`/proc/${workerPid}`));
  });

  it.runIf(existsSync(FREEZER))("is replaced when it cannot even be killed", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, ...QUICK_WATCHDOG);
    const freezer = makeFreezer(scope, join(FREEZER, testName("nd")));
    const { workerPid, generation } = await statusOf(daemon);
    const service = testName("service");
    asService(scope, service, daemon.processes);
    freezer.freeze(workerPid);
    const read = await timed(readFile(daemon.path("proc/meminfo"), "utf8"));
    expect(read.result).toMatch(/^MemTotal:.*\n$/s);
    expect(read.ms).toBeLessThan(QUICK_WATCHDOG_MS + 1_000 + graceMs(daemon));
    expect((await servingAfter(daemon, generation)).workerPid).not.toBe(workerPid);
    // A service manager would wait for its end before it starts another keeper.
    expect(serviceProcesses(service)).not.toContain(workerPid);
    freezer.thaw();
    await until("it has ended", () => !existsSync(`/proc/${workerPid}`));
    await until("its cgroup is gone", () => emptyRestGroups().length === 0);
    expect((await statusOf(daemon)).restarts).toBe(1);
    await removeCgroup(join(FREEZER, freezer.name));
  });

  it.runIf(existsSync(FREEZER))("is replaced as often as it cannot be killed", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--watchdog-ms", "1000");
    const freezer = makeFreezer(scope, join(FREEZER, testName("nd")));
    const frozen: number[] = [];
    for (let i = 0; i < UNDYING; i += 1) {
      const { workerPid, generation } = await standingBy(daemon);
      freezer.freeze(workerPid);
      frozen.push(workerPid);
      const read = await timed(readFile(daemon.path("proc/meminfo"), "utf8"));
      expect(read.result).toMatch(/^MemTotal:.*\n$/s);
      expect(read.ms).toBeLessThan(2_000 + graceMs(daemon));
      await servingAfter(daemon, generation);
    }
    expect(await standingBy(daemon)).toMatchObject({ undying: UNDYING });
    freezer.thaw();
    await until("they have ended", () => frozen.every((pid) => !existsSync(`/proc/${pid}`)));
    expect(await statusOf(daemon)).toMatchObject({ undying: 0, restarts: UNDYING });
    await removeCgroup(join(FREEZER, freezer.name));
  });

  // Until shortly after it was to say that it is well, and until long after that.
  it.each([1_200, 3_000])(
    "is not killed for %i ms in which its keeper did not run either",
    async (ms) => {
      const daemon = await Daemon.start(testScope(), "--watchdog-ms", "1000");
      const { keeperPid, workerPid } = await standingBy(daemon);
      const processes = daemon.processes;
      for (const pid of processes) {
        process.kill(pid, "SIGSTOP");
      }
      await pause(ms);
      // The keeper first: it finds nobody who has said anything.
      for (const pid of [keeperPid, ...processes]) {
        process.kill(pid, "SIGCONT");
      }
      expect(await readFile(daemon.path("proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
      expect(await standingBy(daemon)).toMatchObject({ workerPid, restarts: 0, generation: 1 });
      expect(daemon.logs).not.toContain("watchdog");
    },
  );

  it("leaves readers an error in time when it does not start, and recovers", async () => {
    const scope = testScope();
    const config = join(temporaryDirectory(scope, "nd"), "vprocfs.toml");
    writeFileSync(config, `patience-ms = ${PATIENCE_MS}\n`);
    const daemon = await Daemon.start(scope, "--config", config);
    const good = await statusOf(daemon);
    writeFileSync(config, "no-such-key = 1\n");

    const refused = await vprocfs("reload", "--mountpoint", daemon.mountpoint);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toMatch(/not reloaded: .*unknown key 'no-such-key'/);
    expect(await statusOf(daemon)).toMatchObject({ state: "serving", workerPid: good.workerPid });

    const id = await (await Container.start(scope)).id(daemon);
    const held = await open(daemon.path("containers", id, "proc/meminfo"));
    const openFiles = async () => (await askFigures(daemon.mountpoint))?.resources.open_files?.used;
    expect(await openFiles()).toBe(1);
    // As runtimes mask directories.
    const cpu = daemon.path("containers", id, "sys/devices/system/cpu/cpu0");
    const masked = join(cpu, "topology");
    outputSync(["mount", "-t", "tmpfs", "vprocfs-test", masked]);
    scope.defer(() => outputSync(["umount", masked]));
    process.kill(good.workerPid, "SIGKILL");
    const first = await timed(readFile(daemon.path("proc/meminfo"), "utf8"));
    expect(first.result).toBe("ENOMEM");
    const again = await timed(readFile(`/proc/self/fd/${held.fd}`, "utf8"));
    expect(again.result).toBe("EIO");
    await held.close();
    const slackMs = Math.max(1_000, daemon.startedInMs);
    expect(first.ms).toBeLessThan(PATIENCE_MS + slackMs);
    await expect(readFile(join(cpu, "uevent"))).rejects.toThrow("ENOMEM");
    const second = await timed(readFile(daemon.path("proc/meminfo"), "utf8"));
    expect(second.result).toBe("ENOMEM");
    expect(second.ms).toBeLessThan(slackMs);
    expect(readFileSync("/proc/self/mounts", "utf8")).toContain(` ${masked} `);
    const failing = await until("it has failed a few times", async () => {
      const status = await statusOf(daemon);
      return status.failuresInARow > 2 && status;
    });
    expect(failing.state).toBe("refusing");
    expect(failing.failuresInARow).toBeLessThan(12);

    writeFileSync(config, `patience-ms = ${PATIENCE_MS}\n`);
    // The one that is just starting may find it.
    await servingAfter(daemon, failing.generation - 1);
    expect(await readFile(daemon.path("proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
    await until("what was closed meanwhile is known", async () => (await openFiles()) === 0);
    await until("it is trusted again", async () => {
      return (await statusOf(daemon)).failuresInARow === 0;
    });
  });

  it("keeps its worker, its figures and its readers when the keeper becomes another", async () => {
    const daemon = await Daemon.start(testScope());
    const first = await statusOf(daemon);
    process.kill(first.workerPid, "SIGKILL");
    const before = await servingAfter(daemon, first.generation);
    process.kill(daemon.pid, "SIGUSR2");
    await until("it has executed itself", () => daemon.logs.includes("continuing with worker"));
    const after = await until("it answers", () => statusOf(daemon).catch(() => undefined));
    const { generation, restarts, workerPid, keeperPid, state } = before;
    expect(after).toMatchObject({ generation, restarts, workerPid, keeperPid, state });
    expect(after.uptimeMs).toBeGreaterThanOrEqual(before.uptimeMs);
    process.kill(workerPid, "SIGKILL");
    await servingAfter(daemon, generation);
    expect(await readFile(daemon.path("proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
  });

  it("becomes another as soon as a worker serves when it is told so before", async () => {
    const daemon = await Daemon.start(testScope(), "--standby", "off");
    const { workerPid, generation } = await statusOf(daemon);
    process.kill(workerPid, "SIGKILL");
    await until("it has seen that", async () => (await statusOf(daemon)).state !== "serving");
    process.kill(daemon.pid, "SIGUSR2");
    await until("it has executed itself", () => daemon.logs.includes("continuing with worker"));
    expect(await servingAfter(daemon, generation)).toMatchObject({ generation: generation + 1 });
  });
});

describeLive("a worker that stands by", [], () => {
  it("takes over when the worker dies, and another one stands by", async () => {
    const daemon = await Daemon.start(testScope());
    const standby = await standbyOf(daemon);
    const { workerPid, generation } = await statusOf(daemon);
    process.kill(workerPid, "SIGKILL");
    const after = await servingAfter(daemon, generation);
    expect(after).toMatchObject({ workerPid: standby, generation: generation + 1, restarts: 1 });
    expect(await standbyOf(daemon)).not.toBe(standby);
    expect(await readFile(daemon.path("proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
  });

  it.each([
    ["killed", "SIGKILL"],
    ["stopped", "SIGSTOP"],
  ] as const)("is replaced when it is %s, unseen by readers", async (_, signal) => {
    const daemon = await Daemon.start(testScope(), "--watchdog-ms", "1000");
    const standby = await standbyOf(daemon);
    process.kill(standby, signal);
    await until("it is gone", () => !existsSync(`/proc/${standby}`));
    expect(await standbyOf(daemon)).not.toBe(standby);
    expect(await statusOf(daemon)).toMatchObject({ generation: 1, restarts: 0 });
    expect(daemon.logs).toContain("the standby ended");
  });

  it("is replaced ever later when each one dies once it is ready", async () => {
    const daemon = await Daemon.start(testScope());
    for (const laterMs of inLong([1_000, 2_000], [1_000, 2_000, 4_000])) {
      const standby = await standbyOf(daemon);
      const killed = performance.now();
      process.kill(standby, "SIGKILL");
      await until("it is gone", () => !existsSync(`/proc/${standby}`));
      await standbyOf(daemon);
      expect(performance.now() - killed).toBeGreaterThanOrEqual(laterMs);
    }
  });

  it("dies together with the worker, and a third one takes over", async () => {
    const daemon = await Daemon.start(testScope());
    const standby = await standbyOf(daemon);
    const { workerPid } = await statusOf(daemon);
    process.kill(standby, "SIGKILL");
    process.kill(workerPid, "SIGKILL");
    expect(await readFile(daemon.path("proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
    const after = await standingBy(daemon);
    expect([workerPid, standby]).not.toContain(after.workerPid);
  });

  it("costs readers no error when it stops right before it is to take over", async () => {
    const daemon = await Daemon.start(testScope(), ...QUICK_WATCHDOG, ...LONG_PATIENCE);
    const standby = await standbyOf(daemon);
    const { workerPid } = await statusOf(daemon);
    await stopped(standby);
    process.kill(workerPid, "SIGKILL");
    const read = await timed(readFile(daemon.path("proc/meminfo"), "utf8"));
    expect(read.result).toMatch(/^MemTotal:/);
    expect(read.ms).toBeLessThan(QUICK_WATCHDOG_MS + graceMs(daemon));
    expect(daemon.logs).not.toContain("no worker serves");
  });

  it("has another tried from time to time where none can be started beside it", async () => {
    const scope = testScope();
    const full = Cgroup.create(scope, testName("nd"));
    const daemon = await Daemon.start(scope, "--standby", "off");
    const { workerPid, keeperPid, generation } = await statusOf(daemon);
    process.kill(workerPid, "SIGKILL");
    const starting = await until("another one starts", () =>
      workersOf(keeperPid).find((pid) => pid !== workerPid),
    );
    await stopped(starting);
    full.write("pids", "pids.max", 1);
    full.write("pids", "cgroup.procs", keeperPid);
    await until("none can be started", () => daemon.logs.includes(CANNOT_START));
    process.kill(starting, "SIGCONT");
    expect((await servingAfter(daemon, generation)).workerPid).toBe(starting);
    // It would be tried again after seconds.
    expect(daemon.logs.split(CANNOT_START).length - 1).toBeLessThan(4);
  });

  it("takes over as soon as it is ready where no other can be started meanwhile", async () => {
    const scope = testScope();
    const full = Cgroup.create(scope, testName("nd"));
    const daemon = await Daemon.start(scope);
    await standbyOf(daemon);
    const first = await statusOf(daemon);
    process.kill(first.workerPid, "SIGKILL");
    const { workerPid, keeperPid, generation } = await servingAfter(daemon, first.generation);
    const starting = await until("another one starts", () =>
      workersOf(keeperPid).find((pid) => pid !== workerPid && pid !== first.workerPid),
    );
    await stopped(starting);
    expect((await statusOf(daemon)).standby).toBe("starting");
    await until("it is trusted", async () => (await statusOf(daemon)).failuresInARow === 0);
    full.write("pids", "pids.max", 1);
    full.write("pids", "cgroup.procs", keeperPid);
    process.kill(workerPid, "SIGKILL");
    await until("none can be started", () => daemon.logs.includes(CANNOT_START));
    // Which is no failure of the one that starts.
    expect((await statusOf(daemon)).failuresInARow).toBe(1);
    process.kill(starting, "SIGCONT");
    const now = await until("it is ready", async () => {
      const status = await statusOf(daemon);
      return (status.standby === "ready" || status.workerPid === starting) && status;
    });
    expect(now.workerPid).toBe(starting);
    full.write("pids", "pids.max", "max");
    await servingAfter(daemon, generation);
  });

  it("is not waited for when it stopped while it started", async () => {
    const daemon = await Daemon.start(testScope(), ...LONG_PATIENCE);
    await standbyOf(daemon);
    const first = await statusOf(daemon);
    process.kill(first.workerPid, "SIGKILL");
    const { workerPid, keeperPid } = await servingAfter(daemon, first.generation);
    const starting = await until("another one starts", () =>
      workersOf(keeperPid).find((pid) => pid !== workerPid && pid !== first.workerPid),
    );
    await stopped(starting);
    expect((await statusOf(daemon)).standby).toBe("starting");
    process.kill(workerPid, "SIGKILL");
    const read = await timed(readFile(daemon.path("proc/meminfo"), "utf8"));
    expect(read.result).toMatch(/^MemTotal:/);
    expect(read.ms).toBeLessThan(WATCHDOG_MS + graceMs(daemon));
    expect([workerPid, starting]).not.toContain((await statusOf(daemon)).workerPid);
    expect(daemon.logs).not.toContain("no worker serves");
  });

  it("does not take over when it has stopped", async () => {
    const daemon = await Daemon.start(testScope(), ...QUICK_WATCHDOG);
    const standby = await standbyOf(daemon);
    const { workerPid } = await statusOf(daemon);
    await stopped(standby);
    await stopped(workerPid);
    const read = await timed(readFile(daemon.path("proc/meminfo"), "utf8"));
    expect(read.result).toMatch(/^MemTotal:/);
    expect(read.ms).toBeLessThan(QUICK_WATCHDOG_MS + graceMs(daemon));
    expect([workerPid, standby]).not.toContain((await statusOf(daemon)).workerPid);
  });

  it("is made anew by a reload, from what is there then", async () => {
    const daemon = await Daemon.start(testScope());
    const standby = await standbyOf(daemon);
    const outcome = await vprocfs("reload", "--mountpoint", daemon.mountpoint);
    expect(outcome.status).toBe(0);
    const after = await standingBy(daemon);
    expect(after.generation).toBe(2);
    expect(after.workerPid).not.toBe(standby);
    await until("the old one is gone", () => !existsSync(`/proc/${standby}`));
  });

  it("is reloaded when it serves, though it was asked for while it started", async () => {
    const daemon = await Daemon.start(testScope());
    const standby = await standbyOf(daemon);
    const { workerPid } = await statusOf(daemon);
    process.kill(standby, "SIGKILL");
    process.kill(workerPid, "SIGKILL");
    await until("another one starts", async () => (await statusOf(daemon)).state === "starting");
    process.kill(daemon.pid, "SIGHUP");
    expect((await servingAfter(daemon, 2)).generation).toBe(3);
    expect(daemon.logs).not.toContain("not reloading");
  });

  it("is started once more when the first one of a reload fails", async () => {
    const daemon = await Daemon.start(testScope());
    const { workerPid, keeperPid } = await standingBy(daemon);
    const old = workersOf(keeperPid);
    const reload = vprocfs("reload", "--mountpoint", daemon.mountpoint);
    const first = await until("the first one starts", () =>
      workersOf(keeperPid).find((pid) => !old.includes(pid)),
    );
    process.kill(first, "SIGKILL");
    expect((await reload).stdout.toString()).toBe("reloaded\n");
    expect(daemon.logs).toContain("the new worker failed (signal 9): trying once more");
    const { generation, workerPid: now, restarts } = await statusOf(daemon);
    expect({ generation, restarts }).toEqual({ generation: 2, restarts: 0 });
    expect([workerPid, first]).not.toContain(now);
  });

  itLong("is given up for another one when the first one of a reload hangs", async () => {
    const daemon = await Daemon.start(testScope());
    const { keeperPid } = await standingBy(daemon);
    const old = workersOf(keeperPid);
    const reload = vprocfs("reload", "--mountpoint", daemon.mountpoint);
    const first = await until("the first one starts", () =>
      workersOf(keeperPid).find((pid) => !old.includes(pid)),
    );
    await stopped(first);
    expect((await reload).stdout.toString()).toBe("reloaded\n");
    expect(await statusOf(daemon)).toMatchObject({ generation: 2, restarts: 0 });
  });

  itLong("has as long as any to start when the one that a reload was to replace ends", async () => {
    const scope = testScope();
    const full = Cgroup.create(scope, testName("nd"));
    const daemon = await Daemon.start(scope, "--standby", "off");
    const { keeperPid, workerPid, generation } = await statusOf(daemon);
    process.kill(keeperPid, "SIGHUP");
    const starting = await until("another one starts", () =>
      workersOf(keeperPid).find((pid) => pid !== workerPid),
    );
    await stopped(starting);
    // Nor could one be started beside it.
    full.write("pids", "pids.max", 1);
    full.write("pids", "cgroup.procs", keeperPid);
    process.kill(workerPid, "SIGKILL");
    // As long as a reload gives the first one, or as six starts.
    await pause(Math.max(10_000, 6 * daemon.startedInMs) + 1_000);
    expect(workersOf(keeperPid)).toEqual([starting]);
    process.kill(starting, "SIGCONT");
    expect((await servingAfter(daemon, generation)).workerPid).toBe(starting);
    full.write("pids", "pids.max", "max");
  });

  it("is not there when it is switched off", async () => {
    const daemon = await Daemon.start(testScope(), "--standby", "off");
    const { workerPid, generation } = await statusOf(daemon);
    process.kill(workerPid, "SIGKILL");
    const after = await servingAfter(daemon, generation);
    expect(after.standby).toBe("off");
    expect(daemon.processes.sort()).toEqual([after.keeperPid, after.workerPid].sort());
  });

  it("ends when the keeper is killed; the worker serves on and says so", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const standby = await standbyOf(daemon);
    const { workerPid } = await statusOf(daemon);
    process.kill(daemon.pid, "SIGKILL");
    await until("the standby ended", () => !existsSync(`/proc/${standby}`));
    await until("it is said", () => daemon.logs.includes("the keeper is gone"));
    expect(await readFile(daemon.path("proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
    process.kill(workerPid, "SIGKILL");
    await until("it has ended", () => !existsSync(`/proc/${workerPid}`));
    rmSync(socketOf(daemon.mountpoint));
  });
});

describeLive("the keeper", ["busybox"], () => {
  it("is not woken by what readers ask", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own);
    const { keeperPid } = await statusOf(daemon);
    const before = sleepsOf(keeperPid);
    const again = 'for i in $(busybox seq 2000); do read -r line <"$1"; done';
    await output(["busybox", "sh", "-c", again, "sh", daemon.path("proc/uptime")]);
    // It has its timers, and workers that report.
    expect(sleepsOf(keeperPid) - before).toBeLessThan(500);
  });

  it.each(["status", "reload"])(
    "%s does not wait for a keeper that is stopped",
    async (command) => {
      const scope = testScope();
      const daemon = await Daemon.start(scope);
      const { keeperPid } = await statusOf(daemon);
      scope.defer(() => process.kill(keeperPid, "SIGCONT"));
      await stopped(keeperPid);
      const { result, ms } = await timed(vprocfs(command, "--mountpoint", daemon.mountpoint));
      const why = `its keeper does not answer: process ${keeperPid} is stopped (SIGCONT resumes it)`;
      expect(result).toMatchObject({
        status: 1,
        stderr: `vprocfs: ${daemon.mountpoint}: ${why}\n`,
      });
      expect(ms).toBeLessThan(30_000);
    },
  );

  it("refuses to start beside another one that was started at the same time", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const program = join(project, "build/Release/vprocfs-keeper");
    // Both have found that nothing is mounted there.
    const { mountpoint } = daemon;
    const polled = polledMountpointOf(mountpoint);
    const mounts = () =>
      readMounts().filter((one) => [mountpoint, polled].includes(one.mountpoint));
    const before = mounts();
    const beside = await run([
      ...["timeout", "10", program, "--mountpoint", mountpoint, "--polled", polled],
      ...["--socket", socketOf(mountpoint), "--", "false"],
    ]);
    expect(beside.status).toBe(1);
    expect(`${beside.stderr}`).toContain(
      `${mountpoint}: another vprocfs is started or serves here`,
    );
    expect(mounts()).toEqual(before);
    const { keeperPid } = await statusOf(daemon);
    expect(keeperPid).toBe(daemon.pid);
    // It keeps its place when it executes itself again.
    process.kill(keeperPid, "SIGUSR2");
    await until("it has", () => daemon.logs.includes("continuing with worker"));
    await statusOf(daemon);
    const lock = `${socketOf(mountpoint)}.lock`;
    expect((await run(["flock", "--nonblock", lock, "true"])).status).toBe(1);
    await daemon.stop();
    expect(existsSync(lock)).toBe(false);
  });

  it("has its control socket later where it cannot be made at first", async () => {
    const scope = testScope();
    const mountpoint = temporaryDirectory(scope, "mnt");
    const socket = socketOf(mountpoint);
    mkdirSync(socket, { recursive: true });
    const starting = Daemon.startAt(scope, mountpoint);
    await until("a worker answers", () =>
      readdir(join(mountpoint, "proc")).then(
        (names) => names.length > 0,
        () => false,
      ),
    );
    rmdirSync(socket);
    expect(await statusOf(await starting)).toMatchObject({ state: "serving", restarts: 0 });
  });

  it("takes no process of a container for one that is stopped", async () => {
    const scope = testScope();
    const container = await Container.start(scope);
    const socket = join("/run/vprocfs", testName("forged"));
    const likeOne = (name: string): string =>
      `exec sh -c 'kill -STOP $$; :' sh --socket ${name} --`;
    // Whoever entered for it is one of ours, and stops with it.
    const child = container.start(scope, ["sh", "-c", `read -r name; ${likeOne('"$name"')}`]);
    child.stdin?.write(`${socket}\n`);
    const isIt = (pid: number): boolean =>
      readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`\0--socket\0${socket}\0--\0`) &&
      /^State:\tT/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    const forged = await until("one looks like a keeper that is stopped", () =>
      container.cgroup.read("memory", "cgroup.procs").trim().split("\n").map(Number).find(isIt),
    );
    scope.defer(() => process.kill(forged, "SIGCONT"));
    expect(stoppedProcess("--socket", socket)).toBeUndefined();
    const ours = background(scope, ["sh", "-c", likeOne(socket)]);
    await until("one of ours is stopped", () => stoppedProcess("--socket", socket) === ours.pid);
  });

  it.runIf(haveProgram("strace"))("refuses nobody because it is slow itself", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--standby", "off");
    const { keeperPid, workerPid, generation } = await statusOf(daemon);
    // It learns of the worker's end early in a round that takes it long.
    const slow = ["trace=openat,clone", "inject=openat:delay_enter=50000"];
    const slower = [...slow, "inject=clone:delay_enter=800000"].flatMap((each) => ["-e", each]);
    const tracer = spawn("strace", ["-qq", "-o", "/dev/null", ...slower, "-p", `${keeperPid}`]);
    scope.defer(() => tracer.kill("SIGKILL"));
    await until("it is slow", () => isTraced(`/proc/${keeperPid}`));
    process.kill(workerPid, "SIGKILL");
    expect(await readFile(daemon.path("proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
    await servingAfter(daemon, generation);
    expect(daemon.logs).not.toContain("no worker serves");
  });

  it("is hardly woken while nobody asks, and still sees both workers stop", async () => {
    const daemon = await Daemon.start(testScope(), ...QUICK_WATCHDOG);
    const standby = await standbyOf(daemon);
    const { keeperPid, workerPid, generation } = await statusOf(daemon);
    await until("they rest", async () => {
      const [before, at] = [sleepsOf(keeperPid), performance.now()];
      await pause(3_000);
      // Of workers that are merely quiet it hears more than once a second.
      return sleepsOf(keeperPid) - before < (performance.now() - at) / 1_000;
    });
    await Promise.all([stopped(standby), stopped(workerPid)]);
    const read = await timed(readFile(daemon.path("proc/meminfo"), "utf8"));
    expect(read.result).toMatch(/^MemTotal:.*\n$/s);
    expect(read.ms).toBeLessThan(QUICK_WATCHDOG_MS + graceMs(daemon));
    expect((await servingAfter(daemon, generation)).workerPid).not.toBe(standby);
  });
});

describeLive("a keeper whose log goes to a terminal that has stopped", ["python3"], () => {
  it("is not held up", async () => {
    const scope = testScope();
    const told = join(temporaryDirectory(scope, "terminal"), "told");
    const daemon = await Daemon.startUnder(scope, ["python3", TERMINAL, told]);
    const [terminal = "", reader] = readFileSync(told, "utf8").split(" ");
    const { generation, workerPid } = await standingBy(daemon);
    process.kill(Number(reader), "SIGSTOP");
    // Before the end, or workers could not say what they do, and would wait.
    scope.defer(() => void process.kill(Number(reader), "SIGCONT"));
    fill(terminal);
    process.kill(workerPid, "SIGKILL");
    expect(await readFile(daemon.path("proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
    expect(await servingAfter(daemon, generation)).toMatchObject({ restarts: 1 });
  });
});

describeLive("a keeper whose log goes to a pipe that nobody empties", ["mkfifo"], () => {
  it("is not held up, and says later how many lines were dropped", async () => {
    const scope = testScope();
    const pipe = join(temporaryDirectory(scope, "pipe"), "log");
    outputSync(["mkfifo", pipe]);
    const reader = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    scope.defer(() => closeSync(reader));
    const daemon = await Daemon.startUnder(scope, ["sh", "-c", `exec "$@" 2>${pipe}`, "sh"]);
    const { generation, workerPid } = await standingBy(daemon);
    // Before the end, or workers could not say what they do, and would wait.
    scope.defer(() => void drain(reader));
    fill(pipe);
    process.kill(workerPid, "SIGKILL");
    expect(await readFile(daemon.path("proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
    expect(await servingAfter(daemon, generation)).toMatchObject({ restarts: 1 });
    let logs = drain(reader);
    // What it says next.
    process.kill((await standingBy(daemon)).workerPid, "SIGKILL");
    await servingAfter(daemon, generation + 1);
    await until("it says so", () => {
      logs += drain(reader);
      return /lines dropped before: [1-9]/.test(logs);
    });
    expect(logs).not.toContain(`serves, generation ${generation + 1}`);
    expect(logs.match(/lines dropped before/g)).toHaveLength(1);
  });
});

describeLive("stopping", [], () => {
  it("names who keeps the mount busy, and leaves nothing", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const holder = spawn("sleep", ["600"], { cwd: daemon.mountpoint, stdio: "ignore" });
    scope.defer(() => holder.kill("SIGKILL"));
    expect(await daemon.stop()).toBe(0);
    expect(daemon.logs).toContain("unmounted lazily");
    expect(daemon.logs).toContain(`sleep (${holder.pid})`);
  });

  it("ends in time when the worker does not answer", async () => {
    const daemon = await Daemon.start(testScope(), "--watchdog-ms", "1000");
    await stopped((await statusOf(daemon)).workerPid);
    const { ms } = await timed(daemon.stop());
    expect(ms).toBeLessThan(10_000 + graceMs(daemon));
  });

  it("ends what an open file gives, not who holds it", async () => {
    const daemon = await Daemon.start(testScope());
    const file = await open(daemon.path("proc/meminfo"));
    await daemon.stop();
    const { ms } = await timed(file.read());
    expect(ms).toBeLessThan(1_000);
    await file.close().catch(() => {});
  });
});
