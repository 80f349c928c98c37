// sysinfo(2) in containers says what their files say, whatever happens to the worker.

import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, type Socket } from "node:net";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { callFiles } from "../../src/attach/call-files.js";
import { MARK } from "../../src/attach/hook-files.js";
import {
  CALL_KINDS,
  type CallNode,
  itOfWay,
  socketsDirectory,
  startCallNode,
  startIn,
  titleOf,
} from "../support/call-node.js";
import {
  asService,
  CALLS,
  type Caller,
  emptyRestGroups,
  type Kind,
  LIMITS,
  MIB,
  REST_GROUP,
  SYSLOG,
  serviceProcesses,
  startCaller,
  sysinfoOf,
  watched,
} from "../support/calls.js";
import { removeCgroup } from "../support/cgroups.js";
import { background, finished, haveProgram, output, outputSync } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, temporaryDirectory, vprocfs } from "../support/daemon.js";
import { LxcContainer } from "../support/lxc.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { OciContainer } from "../support/oci.js";
import {
  isTraced,
  killUnlessEnded,
  openFilesOf,
  textOf,
  threadsOf,
  writersOf,
} from "../support/proc.js";
import { program } from "../support/programs.js";
import { project } from "../support/project.js";
import { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { swapOn } from "../support/swapfile.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter, standbyOf, statusOf, stopped } from "./never-down-support.js";

/** For tests whose workers end or are replaced. */
const STANDBY = ["--standby", "on"] as const;

/** Longer than anybody would wait who could do without an answer. */
const KEEPER_PAUSE_MS = 3_000;
/** The documented time after which a call that nobody can answer fails. */
const PATIENCE_MS = 10_000;

/** The counters of the agent, which the worker logs when it is asked to. */
async function countersOf(daemon: Daemon): Promise<Readonly<Record<string, number>>> {
  const seen = daemon.logs.length;
  const { workerPid } = await statusOf(daemon);
  process.kill(workerPid, "SIGUSR2");
  let found: RegExpMatchArray | undefined;
  await until("it logs its counters", () => {
    const lines = daemon.logs.slice(seen).matchAll(/"calls":(\{[^}]*\})/g);
    found = [...lines].at(-1);
    return found !== undefined;
  });
  return JSON.parse(found?.[1] ?? "{}");
}

/** So many writers are killed under calls. */
const WRITER_KILLS = inLong(30, 1_000);

/** So many workers are killed under calls, each some milliseconds after it began to serve. */
const WORKER_KILLS = inLong(6, 1_000);
/** Of each kind of container. */
const KILLS_AND_RELOADS = inLong(1, 3);

/** How many descriptors a writer has that waits for work. */
const WRITER_DESCRIPTORS = 7;

/**
 * Kills the worker while it answers a monitor of LXC, which has its answer by then: the worker has not come to know
 * that it was sent.
 */
async function killWhileItAnswers(scope: Scope, daemon: Daemon, sockets: string) {
  const script = join(project, "test/support/native/answered_monitor.py");
  const monitor = background(scope, ["python3", script, join(sockets, "lxc.sock")]);
  let said = "";
  monitor.stdout?.on("data", (text: Buffer) => {
    said += text;
  });
  const ask = () => monitor.stdin?.write("\n");
  await until("it is connected", async () => (await countersOf(daemon)).listeners === 1);
  const { workerPid } = await statusOf(daemon);
  const late = ["-e", "trace=sendto", "-e", "inject=sendto:delay_exit=60000000"];
  const to = ["-p", `${workerPid}`];
  const tracer = spawn("strace", ["-qq", "-f", "-o", "/dev/null", ...late, ...to]);
  scope.defer(() => tracer.kill("SIGKILL"));
  await until("it is traced", () =>
    threadsOf(workerPid).every((thread) => textOf(`${thread}/status`) === "" || isTraced(thread)),
  );
  ask();
  await until("it has an answer", () => said === "answer\n");
  process.kill(workerPid, "SIGKILL");
  // It ends only when nobody traces it.
  tracer.kill("SIGKILL");
  return { ask, said: () => said };
}

/** Waits until runtimes find both sockets, and nobody waits for his place with them. */
async function onlySockets(directory: string): Promise<void> {
  await until("both sockets are all there is", () => {
    return readdirSync(directory).sort().join() === "lxc.sock,oci.sock";
  });
}

const MONITOR_TOOLS = ["python3", "mkfs.ext4", "losetup", "fsfreeze"];

/** A file system in which writing waits while it is frozen. */
async function freezable(scope: Scope) {
  const directory = temporaryDirectory(scope, "freezable");
  const [image, path] = [join(directory, "image"), join(directory, "mounted")];
  mkdirSync(path);
  await output(["truncate", "--size=16M", image]);
  await output(["mkfs.ext4", "-q", image]);
  await output(["mount", "-o", "loop", image, path]);
  scope.defer(() => output(["umount", path]).then(() => undefined));
  let isFrozen = false;
  const thaw = () => {
    if (isFrozen) {
      outputSync(["fsfreeze", "--unfreeze", path]);
    }
    isFrozen = false;
  };
  scope.defer(thaw);
  const freeze = () => {
    outputSync(["fsfreeze", "--freeze", path]);
    isFrozen = true;
  };
  return { path, freeze, thaw };
}

/** The PID of a process in its own PID namespace. */
function innerPid(pid: string): string | undefined {
  return /^NSpid:.*\s(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
}

function meminfoOf(text: string): (label: string) => number {
  return (label) => Number(new RegExp(`^${label}: +(\\d+) kB`, "m").exec(text)?.[1] ?? -1) * 1024;
}

/** Figures that nothing in the container changes between two readings are equal, others close. */
async function expectAgreement(caller: Caller): Promise<void> {
  // In one go: a program of its own costs the container memory.
  const script = `cat /proc/meminfo /proc/uptime /proc/loadavg; ${CALLS} show; cat /proc/uptime`;
  const text = await caller.output(["/bin/sh", "-c", script]);
  const [line = "", upAfter = ""] = text.trim().split("\n").slice(-2);
  const told: Awaited<ReturnType<typeof sysinfoOf>> = JSON.parse(line);
  const meminfo = meminfoOf(text);
  expect(told.total).toBe(LIMITS.memory);
  expect(told.total).toBe(meminfo("MemTotal"));
  expect(told.swapTotal).toBe(meminfo("SwapTotal"));
  expect(told.swapFree).toBe(meminfo("SwapFree"));
  expect(told.buffers).toBe(0);
  expect(told.unit).toBe(1);
  expect(Math.abs(told.free - meminfo("MemFree"))).toBeLessThan(8 * MIB);
  expect(Math.abs(told.shared - meminfo("Shmem"))).toBeLessThan(MIB);
  const [, up = "", loads = ""] =
    /^([\d.]+) [\d.]+\n([\d.]+ [\d.]+ [\d.]+) \d+\/\d+ \d+$/m.exec(text) ?? [];
  expect(told.uptime).toBeGreaterThanOrEqual(Number(up));
  // The call rounds up, and files round down.
  expect(told.uptime).toBeLessThanOrEqual(Math.floor(Number.parseFloat(upAfter)) + 1);
  // A sample may have been taken in between.
  for (const [at, load] of loads.split(" ").entries()) {
    expect(Math.abs((told.loads[at] ?? -1) / 65_536 - Number(load))).toBeLessThan(0.2);
  }
  // The read of the file has them counted again, and a container that starts has more of them then.
  await until("both tell as many tasks", async () => {
    const [file = "", call = ""] = (
      await caller.output(["/bin/sh", "-c", `cat /proc/loadavg; ${CALLS} show`])
    ).split("\n");
    const [, tasks] = /\/(\d+) \d+$/.exec(file) ?? [];
    const again: Awaited<ReturnType<typeof sysinfoOf>> = JSON.parse(call);
    return Math.abs(again.tasks - Number(tasks)) <= 3;
  });
}

const ofFile = fileScope();
// Containers have no more swap than the node.
beforeAll(() => void swapOn(ofFile, 192));

for (const one of CALL_KINDS) {
  const { kind, mapped, needs } = one;
  const itWay = itOfWay(one);
  describeLive(titleOf(one), ["busybox", ...needs], () => {
    const scope = fileScope();
    let started: Promise<{ node: CallNode; caller: Caller }> | undefined;
    const ready = () => {
      started ??= (async () => {
        const node = await startCallNode(scope, ...STANDBY);
        const caller = await startCaller(scope, kind, { ...node, mapped });
        return { node, caller };
      })();
      return started;
    };

    it("sysinfo(2) says what the files say", async () => {
      const { caller } = await ready();
      await expectAgreement(caller);
    });

    it.runIf(process.arch === "x64")("programs of 32 bits get theirs", async () => {
      const { caller } = await ready();
      const told = await sysinfoOf(caller, "show32");
      expect([told.total, told.swapTotal]).toEqual([LIMITS.memory, LIMITS.swap]);
    });

    itWay("pointers to nowhere are EFAULT", async () => {
      const { caller } = await ready();
      const told = await caller.output([CALLS, "fault"]);
      expect(told).toBe("-1 EFAULT\n".repeat(5));
    });

    itWay("busybox's free and uptime are the container's", async () => {
      const { caller } = await ready();
      const free = await caller.output(["busybox", "free", "-m"]);
      const [, total = "", used = ""] = /^Mem: +(\d+) +(\d+)/m.exec(free) ?? [];
      expect(Number(total)).toBe(256);
      expect(Number(used)).toBeLessThan(64);
      expect(free).toMatch(/^Swap: +128 +0 +128$/m);
      expect(await caller.output(["busybox", "uptime"])).toMatch(/up [0-5] min/);
    });

    itWay.runIf(haveProgram("python3") && kind !== "lxc")("Python and getconf agree", async () => {
      const { caller } = await ready();
      const script =
        "import os; print(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')," +
        " os.getloadavg()[0], open('/proc/loadavg').read().split()[0])";
      const [bytes, load, file] = (await caller.output(["python3", "-c", script])).split(" ");
      expect(Number(bytes)).toBe(LIMITS.memory);
      expect(Math.abs(Number(load) - Number(file))).toBeLessThan(0.2);
      const pages = Number(await caller.output(["getconf", "_PHYS_PAGES"]));
      const size = Number(await caller.output(["getconf", "PAGE_SIZE"]));
      expect(pages * size).toBe(LIMITS.memory);
    });

    itWay("calls that are not ours are the kernel's", async () => {
      const { caller } = await ready();
      expect(Number(await caller.output([CALLS, "other"]))).toBeGreaterThan(0);
      const [mask = "", refused = ""] = (await caller.output([CALLS, "affinity"])).split("\n");
      const own = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"));
      expect(mask.split(" ").length - 1).toBe(
        (own?.[1] ?? "").split(",").reduce((sum, range) => {
          const [from = 0, to = from] = range.split("-").map(Number);
          return sum + to - from + 1;
        }, 0),
      );
      expect(refused).toBe("22");
    });

    itWay("callers that die in the middle of it harm nobody", async () => {
      const { caller } = await ready();
      const call = async () => {
        const told = await watched(caller, "", 1000);
        expect(told).toMatchObject({ calls: 1000, wrong: 0 });
        return { longestMs: told.longestUs / 1000, allMs: (told.calls * told.meanUs) / 1000 };
      };
      const before = await call();
      expect(await caller.output([CALLS, "doomed", "200"])).toBe("killed\n");
      const after = await call();
      // Nobody waits for an answer to one that is gone, all of them together neither.
      expect(after.longestMs).toBeLessThan(PATIENCE_MS);
      expect(after.allMs).toBeLessThan(before.allMs + PATIENCE_MS);
    });

    itWay("kills and reloads of the worker cost a pause and nothing else", async () => {
      const { node, caller } = await ready();
      const stop = join(caller.rootfs, "tmp/stop");
      const outcome = watched(caller, "/tmp/stop");
      const { daemon } = node;
      for (let round = 0; round < KILLS_AND_RELOADS; round += 1) {
        const { workerPid, generation } = await statusOf(daemon);
        process.kill(workerPid, "SIGKILL");
        await servingAfter(daemon, generation);
        const reload = await vprocfs("reload", "--mountpoint", daemon.mountpoint);
        expect(reload.stdout.toString()).toBe("reloaded\n");
      }
      writeFileSync(stop, "");
      const { calls, wrong } = await outcome;
      rmSync(stop);
      expect(wrong).toBe(0);
      expect(calls).toBeGreaterThan(100);
      await expectAgreement(caller);
    });

    itWay("the keeper that executes itself again keeps them", async () => {
      const { node, caller } = await ready();
      const { keeperPid, workerPid, generation } = await statusOf(node.daemon);
      process.kill(keeperPid, "SIGUSR2");
      await until("it goes on", () =>
        node.daemon.logs.includes(`continuing with worker ${workerPid}`),
      );
      process.kill(workerPid, "SIGKILL");
      await servingAfter(node.daemon, generation);
      expect(await watched(caller, "", 1000)).toMatchObject({ calls: 1000, wrong: 0 });
    });
  });
}

describeLive("the agent", ["runc", "busybox"], () => {
  it("a container that floods slows only itself", async () => {
    const scope = testScope();
    // A rate that any machine can have, however busy it is.
    const node = await startCallNode(scope, "--calls-per-second", "200");
    const flooding = await startCaller(scope, "runc", node);
    const other = await startCaller(scope, "runc", node);
    const flood = [1, 2, 3].map(() => watched(flooding, "", 400));
    const quiet = await watched(other, "", 50);
    const [one] = await Promise.all(flood);
    expect(quiet).toMatchObject({ calls: 50, wrong: 0 });
    // Three callers share what one container may have: 5 ms for each call.
    expect(one?.meanUs).toBeGreaterThan(7500);
    expect(quiet.meanUs).toBeLessThan(one?.meanUs ?? 0);
    expect((await countersOf(node.daemon)).paced).toBeGreaterThan(500);
  });

  it.runIf(process.arch === "x64")(
    "a container that floods with calls of two kinds in turn is slowed as much",
    async () => {
      const scope = testScope();
      const node = await startCallNode(scope, "--calls-per-second", "200");
      const flooding = await startCaller(scope, "runc", node);
      // The first calls are its burst.
      expect(Number(await flooding.output([CALLS, "mixed", "200"]))).toBeGreaterThan(2500);
    },
  );

  it("a call that is made while another one is resumed is not lost", async () => {
    const scope = testScope();
    const node = await startCallNode(scope, ...STANDBY);
    const caller = await startCaller(scope, "runc", node);
    const stop = join(caller.rootfs, "tmp/stop");
    // One makes the next call as soon as the last worker's is answered; the other one's is resumed.
    const outcomes = [watched(caller, "/tmp/stop"), watched(caller, "/tmp/stop")];
    for (let kill = 0; kill < WORKER_KILLS; kill += 1) {
      const { workerPid, generation } = await statusOf(node.daemon);
      // At any moment of its work.
      await sleep((kill * 7) % 60);
      process.kill(workerPid, "SIGKILL");
      await servingAfter(node.daemon, generation);
    }
    writeFileSync(stop, "");
    for (const { calls, wrong } of await Promise.all(outcomes)) {
      expect(wrong).toBe(0);
      expect(calls).toBeGreaterThan(0);
    }
  });

  it("answers sched_getaffinity(2) with the CPUs shown, where it is told to", async () => {
    const scope = testScope();
    const node = await startCallNode(scope, "--affinity", "on");
    const caller = await startCaller(scope, "runc", node);
    const online = (await caller.output(["cat", "/sys/devices/system/cpu/online"])).trim();
    expect(online).toMatch(/^\d+$/);
    for (const argv of [
      [CALLS, "affinity"],
      [CALLS, "affinity", "self"],
    ]) {
      const [mask = "", refused = ""] = (await caller.output(argv)).split("\n");
      expect(mask).toMatch(new RegExp(`^\\d+ ${online}$`));
      expect(refused).toBe("22");
    }
    expect((await caller.output(["nproc"])).trim()).toBe("1");
    if (haveProgram("python3")) {
      // It asks with less room than the kernel would fill.
      const script = "import os; print(*os.sched_getaffinity(0))";
      expect((await caller.output(["python3", "-c", script])).trim()).toBe(online);
    }
    if (process.arch === "x64") {
      // Less than a word of the kernel's is enough for its CPUs.
      expect(await caller.output([CALLS, "affinity32", "4"])).toBe(`4 ${online}\n`);
      expect(await caller.output([CALLS, "affinity32", "128"])).toMatch(
        new RegExp(`^\\d+ ${online}\n$`),
      );
      expect(await caller.output([CALLS, "affinity32", "3"])).toBe("-22\n");
    }
    // Who binds itself is told the truth.
    const bound = await caller.output(["taskset", "-c", "0", CALLS, "affinity"]);
    expect(bound).toMatch(/^\d+ 0\n/);
  });

  it("leaves calls to the kernel where it cannot have the listener for its writer", async () => {
    const scope = testScope();
    const node = await startCallNode(scope);
    const caller = await startCaller(scope, "runc", node);
    expect((await sysinfoOf(caller)).total).toBe(LIMITS.memory);
    const writers = writersOf((await statusOf(node.daemon)).workerPid);
    expect(writers).not.toEqual([]);
    const allow = (descriptors: number) =>
      Promise.all(
        writers.map((pid) => output(["prlimit", `--pid=${pid}`, `--nofile=${descriptors}:`])),
      );
    // As where the kernel has no pidfd_getfd(2), or Yama refuses it: with room for the caller's
    // memory, and without.
    const kernels = meminfoOf(readFileSync("/proc/meminfo", "utf8"))("MemTotal");
    for (const room of [1, 0]) {
      await allow(WRITER_DESCRIPTORS + room);
      expect((await sysinfoOf(caller)).total).toBe(kernels);
    }
    await allow(1024);
    expect((await sysinfoOf(caller)).total).toBe(LIMITS.memory);
  });

  it("answers the calls of two containers whose writers are killed all the time", async () => {
    const scope = testScope();
    const node = await startCallNode(scope, "--calls-per-second", "0");
    const callers = [
      await startCaller(scope, "runc", node),
      await startCaller(scope, "runc", node),
    ] as const;
    const stops = callers.map(({ rootfs }) => join(rootfs, "tmp/stop"));
    const outcomes = callers.flatMap((caller) => [
      watched(caller, "/tmp/stop"),
      watched(caller, "/tmp/stop"),
    ]);
    const { workerPid } = await statusOf(node.daemon);
    const killed = new Set<number>();
    await until(
      "many writers were killed",
      () => {
        for (const pid of writersOf(workerPid)) {
          if (killUnlessEnded(pid)) {
            killed.add(pid);
          }
        }
        return killed.size >= WRITER_KILLS;
      },
      WRITER_KILLS * 1_000,
    );
    for (const stop of stops) {
      writeFileSync(stop, "");
    }
    for (const { calls, wrong } of await Promise.all(outcomes)) {
      expect(wrong).toBe(0);
      expect(calls).toBeGreaterThan(0);
    }
    expect(await statusOf(node.daemon)).toMatchObject({ workerPid, restarts: 0 });
    expect((await countersOf(node.daemon)).passed).toBe(0);
  });

  const PIDS = "/sys/fs/cgroup/pids";
  /** Has a worker start writers only while it may, and end those that it has. */
  function boundWriters(scope: Scope, workerPid: number) {
    const full = join(PIDS, testName("full"));
    mkdirSync(full);
    scope.defer(() => removeCgroup(full));
    const before = readFileSync(`/proc/${workerPid}/cgroup`, "utf8");
    const home = join(PIDS, /:pids:(.*)/.exec(before)?.[1] ?? "");
    const endWriters = async () => {
      for (const pid of writersOf(workerPid)) {
        killUnlessEnded(pid);
        await until("it is gone", () => !existsSync(`/proc/${pid}`));
      }
    };
    writeFileSync(join(full, "cgroup.procs"), String(workerPid));
    scope.defer(endWriters);
    scope.defer(() => writeFileSync(join(home, "cgroup.procs"), String(workerPid)));
    const allow = (processes: string) => writeFileSync(join(full, "pids.max"), processes);
    return { allow, endWriters };
  }

  it.runIf(existsSync(PIDS))("has calls wait while no writer can be started", async () => {
    const scope = testScope();
    const node = await startCallNode(scope, "--patience-ms", "5000");
    const caller = await startCaller(scope, "runc", node);
    const { workerPid } = await statusOf(node.daemon);
    const { allow, endWriters } = boundWriters(scope, workerPid);
    allow("1");
    await endWriters();
    const waited = watched(caller, "", 10);
    await until("one waits", async () => (await countersOf(node.daemon)).waited === 1);
    allow("max");
    expect(await waited).toMatchObject({ calls: 10, wrong: 0 });
    allow("1");
    await endWriters();
    const refused = await caller.run([CALLS, "show"]);
    expect(refused.stderr.toString()).toBe("sysinfo: Resource temporarily unavailable\n");
    allow("max");
    expect((await sysinfoOf(caller)).total).toBe(LIMITS.memory);
    expect(await countersOf(node.daemon)).toMatchObject({ waited: 2, failed: 1, passed: 0 });
  });

  it.runIf(existsSync(PIDS))("gives a log back for which no writer can be started", async () => {
    const scope = testScope();
    const node = await startCallNode(scope);
    const caller = await startCaller(scope, "runc", { ...node, capabilities: ["CAP_SYSLOG"] });
    const readAll = [SYSLOG, "call", "3", "65536"];
    const all = await caller.output(readAll);
    expect(all).toContain("Linux version");
    const { workerPid } = await statusOf(node.daemon);
    expect(writersOf(workerPid)).toHaveLength(1);
    const { allow, endWriters } = boundWriters(scope, workerPid);
    const staller = background(scope, [program("stall"), `${workerPid}`, "takes"]);
    let said = "";
    staller.stdout?.on("data", (text: Buffer) => {
      said += text;
    });
    await until("it has the threads", () => said === "ready\n");
    const taken = caller.run([SYSLOG, "call", "2", "65536"]);
    await until("one has a writer, and is about to take the text", () => said.includes("held 1"));
    allow("1");
    await endWriters();
    staller.stdin?.end();
    await until("the call waits", async () => (await countersOf(node.daemon)).waited === 1);
    allow("max");
    expect(`${(await taken).stdout}`).toBe(all);
    expect(await caller.output([SYSLOG, "call", "9", "0"])).toBe("0 -\n");
  });

  it("calls that a hanging worker has are answered by the next one", async () => {
    const scope = testScope();
    const node = await startCallNode(scope, ...STANDBY, "--watchdog-ms", "2000");
    const caller = await startCaller(scope, "runc", node);
    const { workerPid, generation } = await statusOf(node.daemon);
    await stopped(workerPid);
    const outcome = watched(caller, "", 10);
    await servingAfter(node.daemon, generation);
    expect(await outcome).toMatchObject({ calls: 10, wrong: 0 });
  });

  it("a keeper that takes its time to give what it keeps is waited for", async () => {
    const scope = testScope();
    const node = await startCallNode(scope, ...STANDBY);
    const caller = await startCaller(scope, "runc", node);
    const standby = await standbyOf(node.daemon);
    const { keeperPid, workerPid, generation } = await statusOf(node.daemon);
    const goOn = (pid: number) => process.kill(pid, "SIGCONT");
    // Stopped one after the other, so that the next worker asks when the keeper cannot answer.
    scope.defer(() => existsSync(`/proc/${standby}`) && goOn(standby));
    await stopped(standby);
    process.kill(workerPid, "SIGKILL");
    await until("the next one is to take over", async () => {
      return (await statusOf(node.daemon)).workerPid === standby;
    });
    scope.defer(() => existsSync(`/proc/${keeperPid}`) && goOn(keeperPid));
    await stopped(keeperPid);
    const outcome = watched(caller, "", 10);
    goOn(standby);
    // Files do not wait for it.
    expect(await node.daemon.read("proc/meminfo")).toMatch(/^MemTotal:/);
    await sleep(KEEPER_PAUSE_MS);
    goOn(keeperPid);
    const after = await servingAfter(node.daemon, generation);
    expect(after).toMatchObject({ workerPid: standby, restarts: 1 });
    expect(await outcome).toMatchObject({ calls: 10, wrong: 0 });
  });

  it("survives whatever is said on its sockets", async () => {
    const scope = testScope();
    const node = await startCallNode(scope);
    const caller = await startCaller(scope, "runc", node);
    const say = (text: string | Buffer) =>
      new Promise<void>((resolve) => {
        const socket = connect(join(node.sockets, "oci.sock"), () => socket.write(text));
        socket.on("close", () => resolve()).on("error", () => resolve());
      });
    await say("garbage");
    await say('{"fds":["seccompFd"]}');
    await say(`{"fds":["seccompFd"],"a":"${"x".repeat(2 ** 20)}"}`);
    await say(Buffer.alloc(4096, 0xff));
    expect((await countersOf(node.daemon)).malformed).toBe(4);
    // Runtimes that say nothing: the oldest are dropped.
    const silent: Socket[] = [];
    scope.defer(() => {
      for (const socket of silent) {
        socket.destroy();
      }
    });
    // EAGAIN: as many wait to be accepted as may.
    const isQueued = () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(join(node.sockets, "oci.sock"), () => {
          silent.push(socket);
          resolve(true);
        });
        socket.on("error", () => resolve(false));
      });
    while (silent.length < 1_200) {
      await until("there is room for one more", isQueued);
    }
    await until("some are dropped", () => silent.some((socket) => socket.readyState !== "open"));
    expect(await watched(caller, "", 100)).toMatchObject({ calls: 100, wrong: 0 });
  });

  it.runIf(haveProgram("python3") && process.arch === "x64")(
    "writes nothing for forged ids, and drops monitors that say what none says",
    async () => {
      const scope = testScope();
      const node = await startCallNode(scope);
      const caller = await startCaller(scope, "runc", node);
      const memory = join(temporaryDirectory(scope, "memory"), "memory");
      const script = join(project, "test/support/native/monitor.py");
      const told = JSON.parse(
        await output(["python3", script, join(node.sockets, "lxc.sock"), `${caller.init}`, memory]),
      );
      // 1: the kernel is to run the call.
      expect(told).toMatchObject({ forged: 1, unknown: 1, written: 0 });
      for (const what of ["garbage", "cut", "bare", "few", "many", "long"]) {
        expect(told[what], what).toMatch(/closed|ConnectionReset|BrokenPipe/);
      }
      expect(told.deaf).toMatch(/BrokenPipe|ConnectionReset/);
      expect(await watched(caller, "", 100)).toMatchObject({ calls: 100, wrong: 0 });
    },
  );

  it.runIf(MONITOR_TOOLS.every(haveProgram) && process.arch === "x64")(
    "gives a monitor one answer, the kernel's, where the memory of its caller blocks",
    async () => {
      const scope = testScope();
      const node = await startCallNode(scope);
      const memory = await freezable(scope);
      const container = await Container.start(scope, { memory: 64 * MIB });
      const script = join(project, "test/support/native/late_monitor.py");
      const argv = ["python3", script, join(node.sockets, "lxc.sock"), join(memory.path, "memory")];
      const monitor = container.start(scope, argv);
      const told: string[] = [];
      monitor.stdout?.on("data", (text: Buffer) => told.push(`${text}`));
      const ended = finished(monitor);
      const inner = await until("it has a caller", () => /^\d+$/m.exec(told.join(""))?.[0]);
      const pids = container.cgroup.read("memory", "cgroup.procs").trim().split("\n");
      const caller = pids.find((pid) => innerPid(pid) === inner);
      memory.freeze();
      monitor.stdin?.write(`${caller}\n`);
      await until("it is late", async () => (await countersOf(node.daemon)).late === 1);
      memory.thaw();
      const { stderr } = await ended;
      expect(stderr).toBe("");
      const found = JSON.parse(told.join("").split("\n")[1] ?? "");
      // 1: the kernel is to run the call.
      expect(found.told).toEqual([
        [found.asked, 0, 0, 1],
        [4711, 0, 0, 1],
        [4712, 0, 0, 1],
      ]);
    },
  );

  it.runIf(haveProgram("python3") && process.arch === "x64")(
    "disconnects a monitor that has given up a question meanwhile, and answers one that has not",
    async () => {
      const scope = testScope();
      const { daemon, sockets } = await startCallNode(scope, ...STANDBY);
      const script = join(project, "test/support/native/outage_monitor.py");
      const monitors = background(scope, ["python3", script, join(sockets, "lxc.sock")]);
      const said: string[] = [];
      monitors.stdout?.on("data", (text: Buffer) => said.push(...`${text}`.trim().split("\n")));
      const say = async () => {
        const { length } = said;
        monitors.stdin?.write("\n");
        return await until("the monitors are heard", () => said[length]);
      };
      const areConnected = () =>
        until("they are connected", async () => (await countersOf(daemon)).listeners === 3);
      const expectInStep = async () => {
        const { silent, talking, patient, asked } = JSON.parse(await say());
        expect(silent).toMatch(/closed|ConnectionReset/);
        expect(talking).toMatch(/closed|ConnectionReset/);
        expect(patient).toBe(asked);
      };
      await areConnected();
      const { workerPid, generation } = await statusOf(daemon);
      // A thread that has not stopped yet would answer at once.
      await stopped(workerPid);
      expect(await say()).toBe("asked");
      process.kill(workerPid, "SIGKILL");
      await servingAfter(daemon, generation);
      await expectInStep();
      // The same of the process that lets calls through where there is no worker any more.
      await areConnected();
      await daemon.stop();
      expect(await say()).toBe("asked");
      await expectInStep();
    },
  );

  const canKillWhileItAnswers =
    haveProgram("python3") && haveProgram("strace") && process.arch === "x64";

  it.runIf(canKillWhileItAnswers)(
    "gives a monitor no second answer when it is not known whether it has the first",
    async () => {
      const scope = testScope();
      const { daemon, sockets } = await startCallNode(scope, ...STANDBY);
      const { generation } = await statusOf(daemon);
      const monitor = await killWhileItAnswers(scope, daemon, sockets);
      await servingAfter(daemon, generation);
      await until("it hears no more", () => monitor.said().split("\n").length > 2);
      expect(monitor.said()).toMatch(/^answer\n(closed|ConnectionResetError)\n$/);
    },
  );

  it.runIf(canKillWhileItAnswers)(
    "nor when vprocfs is stopped after that, and answers its next question",
    async () => {
      const scope = testScope();
      const config = join(temporaryDirectory(scope, "stopped"), "vprocfs.toml");
      writeFileSync(config, "patience-ms = 1000\n");
      const flags = ["--config", config, "--standby", "off"];
      const { daemon, sockets } = await startCallNode(scope, ...flags);
      writeFileSync(config, "no-such-key = 1\n");
      const monitor = await killWhileItAnswers(scope, daemon, sockets);
      await until("no worker serves", async () => (await statusOf(daemon)).state === "refusing");
      await daemon.stop();
      monitor.ask();
      await until("it has an answer", () => monitor.said().split("\n").length > 2);
      expect(monitor.said()).toBe("answer\nanswer\n");
    },
  );

  it("does not take the sockets of another one", async () => {
    const scope = testScope();
    const node = await startCallNode(scope);
    const second = await Daemon.start(scope, "--calls-directory", node.sockets);
    await until("it says so", () =>
      second.logs.includes("not answering system calls of containers"),
    );
    expect(second.logs).toContain("Address already in use");
    const caller = await startCaller(scope, "runc", node);
    await expectAgreement(caller);
  });

  it("forgets containers that ended", async () => {
    const scope = testScope();
    const node = await startCallNode(scope);
    const before = await statusOf(node.daemon);
    const inner = new Scope();
    await startCaller(inner, "runc", node);
    expect((await countersOf(node.daemon)).listeners).toBe(1);
    await inner.close();
    await until("it forgets", async () => (await countersOf(node.daemon)).listeners === 0);
    await until("and their descriptors", async () => {
      return (await statusOf(node.daemon)).descriptors === before.descriptors;
    });
  });
});

describeLive("what install-hooks --sysinfo writes", ["podman", "runc", "lxc-create"], () => {
  /** The files with the policy of LXC where it is here. */
  function write(scope: Scope, sockets: string): { conf: string; profile: string } {
    const directory = temporaryDirectory(scope, "installed");
    const names = ["sysinfo", "syslog", "sched_getaffinity"];
    const files = callFiles({ directory: sockets, names, mark: MARK, root: "/" }, "chosen");
    const paths = files.map(({ path, content }) => {
      const here = join(directory, basename(path));
      writeFileSync(here, content.replaceAll("/etc/vprocfs/", `${directory}/`));
      return here;
    });
    const find = (name: string) => paths.find((path) => path.endsWith(name)) ?? "";
    return { conf: find("lxc-calls.conf"), profile: find("vprocfs-seccomp.json") };
  }

  it("works with LXC", async () => {
    const scope = testScope();
    const { daemon, sockets } = await startCallNode(scope);
    const lines = [`lxc.include = ${write(scope, sockets).conf}`];
    const tree = daemon.mountpoint;
    const container = await LxcContainer.start(scope, { ...LIMITS, tree, lines });
    expect(await container.output(["/bin/busybox", "free", "-m"])).toMatch(/^Mem: +256 /m);
  });

  it("works with podman", async () => {
    const scope = testScope();
    const { daemon, sockets } = await startCallNode(scope);
    const podmanRun = ["--security-opt", `seccomp=${write(scope, sockets).profile}`];
    const container = await OciContainer.podman(scope, "runc", daemon, LIMITS, { podmanRun });
    expect(await container.output(["busybox", "free", "-m"])).toMatch(/^Mem: +256 /m);
  });
});

/** The processes that let calls through and wait for a successor at this socket. */
function restsAt(socket: string): number[] {
  const lines = readFileSync("/proc/net/unix", "utf8").split("\n");
  const inode = lines.find((line) => line.endsWith(` ${socket}`))?.split(/ +/)[6];
  return serviceProcesses(REST_GROUP).filter((pid) =>
    openFilesOf(pid).includes(`socket:[${inode}]`),
  );
}

describeLive("when vprocfs is stopped", ["runc", "lxc-create", "busybox"], () => {
  it.each<Kind>(["runc", "lxc"])("%s containers get the kernel's answers", async (kind) => {
    const scope = testScope();
    const sockets = socketsDirectory(scope);
    const daemon = await startIn(scope, sockets, ...STANDBY);
    const caller = await startCaller(scope, kind, { daemon, sockets });
    expect((await sysinfoOf(caller)).total).toBe(LIMITS.memory);
    await standbyOf(daemon);
    await daemon.stop();
    const node = meminfoOf(readFileSync("/proc/meminfo", "utf8"))("MemTotal");
    for (let i = 0; i < 3; i += 1) {
      expect((await sysinfoOf(caller)).total).toBe(node);
    }
    // Runtimes find somebody who listens, too.
    const late = await startCaller(scope, kind, { daemon, sockets, plain: true });
    expect((await sysinfoOf(late)).total).toBe(node);
    const again = await startIn(scope, sockets, ...STANDBY);
    await until("the next one has taken them", () => !existsSync(join(sockets, "rest.sock")));
    expect((await sysinfoOf(caller)).total).toBe(LIMITS.memory);
    expect((await sysinfoOf(late)).total).toBe(LIMITS.memory);
    // Kept like any other.
    const { workerPid, generation } = await statusOf(again);
    process.kill(workerPid, "SIGKILL");
    await servingAfter(again, generation);
    expect(await watched(caller, "", 100)).toMatchObject({ calls: 100, wrong: 0 });
  });

  it.runIf(haveProgram("python3"))(
    "nothing is lost with a worker that is killed while it takes them",
    async () => {
      const scope = testScope();
      const sockets = socketsDirectory(scope);
      const daemon = await startIn(scope, sockets);
      const caller = await startCaller(scope, "runc", { daemon, sockets });
      await daemon.stop();
      const successor = ["python3", join(project, "test/support/native/successor.py")];
      const rest = join(sockets, "rest.sock");
      // Both sockets and the listener.
      expect(Number(await output([...successor, rest, "dies"]))).toBeGreaterThanOrEqual(3);
      const node = meminfoOf(readFileSync("/proc/meminfo", "utf8"))("MemTotal");
      expect((await sysinfoOf(caller)).total).toBe(node);
      // Other versions need no receipt, and give none.
      const earlier = background(scope, [...successor, rest, "earlier"]);
      let said = "";
      earlier.stdout?.on("data", (text: Buffer) => {
        said += text;
      });
      await until("it has taken them", () => said === "ready\n");
      await startIn(scope, sockets);
      await until("the next one has taken them", () => !existsSync(rest));
      expect((await sysinfoOf(caller)).total).toBe(LIMITS.memory);
    },
  );

  it.runIf(haveProgram("python3") && process.arch === "x64")(
    "monitors that say what none says are dropped",
    async () => {
      const scope = testScope();
      const sockets = socketsDirectory(scope);
      const daemon = await startIn(scope, sockets);
      const caller = await startCaller(scope, "runc", { daemon, sockets });
      await daemon.stop();
      const memory = join(temporaryDirectory(scope, "memory"), "memory");
      const script = join(project, "test/support/native/monitor.py");
      const told = JSON.parse(
        await output(["python3", script, join(sockets, "lxc.sock"), `${caller.init}`, memory]),
      );
      // 1: the kernel is to run the call.
      expect(told).toMatchObject({ forged: 1, unknown: 1, written: 0 });
      for (const what of ["garbage", "cut", "long", "deaf"]) {
        expect(told[what], what).toMatch(/closed|ConnectionReset|BrokenPipe/);
      }
    },
  );

  it("another one that runs beside it takes its place", async () => {
    const scope = testScope();
    const sockets = socketsDirectory(scope);
    const daemon = await startIn(scope, sockets);
    const caller = await startCaller(scope, "runc", { daemon, sockets });
    const other = await startCaller(scope, "lxc", { daemon, sockets });
    const beside = await Daemon.start(scope, "--log-format", "json", "--calls-directory", sockets);
    await until("it says why it cannot", () => beside.logs.includes("Address already in use"));
    // Nobody sees the node's figures meanwhile.
    const outcomes = [caller, other].map((inside) => watched(inside, "/tmp/stop"));
    await daemon.stop();
    await until("it says that it answers", () => beside.logs.includes("from now on"));
    for (const inside of [caller, other]) {
      await inside.output(["busybox", "touch", "/tmp/stop"]);
    }
    for (const { calls, wrong } of await Promise.all(outcomes)) {
      expect(wrong).toBe(0);
      expect(calls).toBeGreaterThan(0);
    }
    expect((await sysinfoOf(caller)).total).toBe(LIMITS.memory);
    const late = await startCaller(scope, "runc", { daemon: beside, sockets });
    expect((await sysinfoOf(late)).total).toBe(LIMITS.memory);
    await onlySockets(sockets);
  });

  it("runtimes find somebody at any time until another one has taken its place", async () => {
    const scope = testScope();
    const sockets = socketsDirectory(scope);
    const daemon = await startIn(scope, sockets);
    const beside = await Daemon.start(scope, "--log-format", "json", "--calls-directory", sockets);
    await until("it waits", () => readdirSync(sockets).includes("awaited"));
    // It asks less often with time.
    await sleep(2000);
    await daemon.stop();
    expect(readdirSync(sockets)).toEqual(expect.arrayContaining(["lxc.sock", "oci.sock"]));
    const late = await startCaller(scope, "runc", { daemon: beside, sockets });
    expect((await sysinfoOf(late)).total).toBe(LIMITS.memory);
    await onlySockets(sockets);
  });

  it("another one that waited for its place leaves nothing behind", async () => {
    const scope = testScope();
    const sockets = socketsDirectory(scope);
    const daemon = await startIn(scope, sockets);
    const beside = await Daemon.start(scope, "--log-format", "json", "--calls-directory", sockets);
    await until("it waits", () => readdirSync(sockets).includes("awaited"));
    await beside.stop();
    await onlySockets(sockets);
    await daemon.stop();
    expect(readdirSync(sockets)).toEqual([]);
  });

  it.runIf(haveProgram("strace"))(
    "one that ends takes nobody's file who begins to wait meanwhile",
    async () => {
      const scope = testScope();
      const sockets = socketsDirectory(scope);
      const awaited = join(sockets, "awaited");
      const daemon = await startIn(scope, sockets);
      const { keeperPid } = await statusOf(daemon);
      // What one has left that waited and was killed.
      writeFileSync(awaited, "");
      const slow = ["-e", "trace=flock", "-e", "inject=flock:delay_enter=1000000:when=1"];
      const tracer = spawn("strace", ["-qq", "-o", "/dev/null", ...slow, "-p", `${keeperPid}`]);
      scope.defer(() => tracer.kill("SIGKILL"));
      await until("it is slow", () => isTraced(`/proc/${keeperPid}`));
      const stopped = daemon.stop();
      await until("it looks who waits", () => openFilesOf(keeperPid).includes(awaited));
      rmSync(awaited);
      const waiter = spawn("flock", ["--shared", "--no-fork", awaited, "sleep", "60"]);
      scope.defer(() => waiter.kill("SIGKILL"));
      await stopped;
      expect(readdirSync(sockets).sort()).toEqual(["awaited", "lxc.sock", "oci.sock", "rest.sock"]);
      waiter.kill("SIGKILL");
      await until("nothing is left", () => readdirSync(sockets).length === 0);
    },
  );

  it("what lets calls through is in no service's cgroup", async () => {
    const scope = testScope();
    const sockets = socketsDirectory(scope);
    const daemon = await startIn(scope, sockets);
    const service = testName("service");
    asService(scope, service, daemon.processes);
    const caller = await startCaller(scope, "runc", { daemon, sockets });
    // As systemd stops one: SIGTERM for its main process, then SIGKILL for what is left.
    await daemon.stop();
    for (const pid of serviceProcesses(service)) {
      killUnlessEnded(pid);
    }
    await until("the service has ended", () => serviceProcesses(service).length === 0);
    const rest = [...new Set(restsAt(join(sockets, "rest.sock")))];
    expect(rest.map((pid) => readFileSync(`/proc/${pid}/comm`, "utf8"))).toEqual([
      "vprocfs-rest\n",
    ]);
    const node = meminfoOf(readFileSync("/proc/meminfo", "utf8"))("MemTotal");
    expect((await sysinfoOf(caller)).total).toBe(node);
    await startIn(scope, sockets);
    expect((await sysinfoOf(caller)).total).toBe(LIMITS.memory);
    await until("it has ended", () => !existsSync(`/proc/${rest[0]}`));
    await until("no group is left", () => emptyRestGroups().length === 0);
  });

  it("what lets calls through keeps nothing else open, without close_range(2) either", async () => {
    const scope = testScope();
    const sockets = socketsDirectory(scope);
    const flags = ["--calls-directory", sockets];
    const daemon = await Daemon.startUnder(scope, [program("older")], ...flags);
    await startCaller(scope, "runc", { daemon, sockets });
    await daemon.stop();
    const [rest = 0] = restsAt(join(sockets, "rest.sock"));
    // Else the mount would not end, in which reads would wait for ever.
    expect(openFilesOf(rest)).not.toContain("/dev/fuse");
    await startIn(scope, sockets);
    await until("it has ended", () => !existsSync(`/proc/${rest}`));
    await until("no group is left", () => emptyRestGroups().length === 0);
  });

  it("nothing is left when the last container has ended", async () => {
    const scope = testScope();
    const sockets = socketsDirectory(scope);
    const daemon = await startIn(scope, sockets);
    const inner = new Scope();
    try {
      await startCaller(inner, "runc", { daemon, sockets });
      await daemon.stop();
      await until("somebody lets calls through", () => existsSync(join(sockets, "rest.sock")));
    } finally {
      await inner.close();
    }
    await until("it ends", () => !existsSync(join(sockets, "rest.sock")));
    expect(readdirSync(sockets)).toEqual([]);
    await until("its cgroup is gone", () => emptyRestGroups().length === 0);
  });
});

describe("the sockets", () => {
  it("are root's, and gone when it stops", async () => {
    const scope = testScope();
    const { daemon, sockets } = await startCallNode(scope);
    for (const name of ["lxc.sock", "oci.sock"]) {
      expect(statSync(join(sockets, name)).mode & 0o777).toBe(0o600);
    }
    await daemon.stop();
    expect(existsSync(join(sockets, "oci.sock"))).toBe(false);
    expect(existsSync(join(sockets, "lxc.sock"))).toBe(false);
  });
});
