// A container that asks for too much, or whose sources block, has only itself to wait for.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, existsSync, openSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, expect, it } from "vitest";
import { polledMountpointOf } from "../../src/polled.js";
import { MIB } from "../support/cgroups.js";
import { finished, output, outputSync, run } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { counters } from "../support/counters.js";
import { Daemon, temporaryDirectory } from "../support/daemon.js";
import { follow } from "../support/follow.js";
import { describeLive } from "../support/needs.js";
import { textOf, threadsOf, waitsInKernel } from "../support/proc.js";
import { program } from "../support/programs.js";
import { attackFrom, pulseOf } from "../support/pulse.js";
import type { Scope } from "../support/scope.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { ticksOfProcess } from "../support/ticks.js";
import { DEADLINE_MS, until } from "../support/wait.js";
import { statusOf } from "./never-down-support.js";

/** How many threads of a process wait for somebody else to open a FIFO. */
function opening(pid: number): number {
  const places = threadsOf(pid).map((thread) => textOf(`${thread}/wchan`));
  return places.filter((place) => place === "wait_for_partner").length;
}

function start(scope: Scope, ...args: readonly string[]): Promise<Daemon> {
  return Daemon.start(scope, "--no-keeper", "--log-format", "json", ...args);
}

/** Names in a directory, and nothing more about a file than that in the end. */
const LOOK_UP = 'test -d "$1/cpu0" && echo "$1"/*';

/** The autogroup of a process, and its nice; undefined where the kernel makes none. */
function shareOf(pid: number | "self"): string | undefined {
  const path = `/proc/${pid}/autogroup`;
  return (existsSync(path) && readFileSync(path, "utf8")) || undefined;
}

it.skipIf(shareOf("self") === undefined)(
  "a worker has a share of the CPUs of its own",
  async () => {
    const { keeperPid, workerPid } = await statusOf(await Daemon.start(testScope()));
    expect(shareOf(workerPid)).toMatch(/ nice -10\n$/);
    expect(shareOf(keeperPid)).toBe(shareOf("self"));
  },
);

describeLive("the budget of open files", ["busybox"], () => {
  it("is one container's own", async () => {
    const scope = testScope();
    const daemon = await start(scope, "--max-open-per-container", "20");
    const [greedy, modest] = [
      await Container.start(scope, { name: "greedy", memory: 64 * MIB }),
      await Container.start(scope, { name: "modest", memory: 64 * MIB }),
    ];
    const file = daemon.path("containers", await greedy.id(daemon), "proc/stat");
    const hoard = spawn(program("hoard"), ["30", file], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(hoard, "exit");
    scope.defer(async () => {
      hoard.stdin.end();
      await ended;
    });
    const [tally] = await once(hoard.stdout, "data");
    expect(`${tally}`).toBe("20 10 0 0\n");
    // From whichever side it is asked, and for each of its files.
    const refused = await greedy.run(["cat", daemon.path("proc/uptime")]);
    expect(refused.stderr).toContain("Too many open files in system");
    expect(await modest.read(daemon.path("proc/stat"))).toMatch(/^cpu /);
    expect(await daemon.read("proc/stat")).toMatch(/^cpu /);
    expect(await counters(daemon)).toMatchObject({ refusedOpens: 11, openFiles: 20 });
    hoard.stdin.end();
    await ended;
    await until("it may open files again", async () => {
      return (await greedy.run(["cat", daemon.path("proc/uptime")])).status === 0;
    });
    expect((await counters(daemon)).openFiles).toBe(0);
  });

  it("counts files that the kernel caches where an older copy is still being read", async () => {
    const scope = testScope();
    const daemon = await start(scope, "--max-open-per-container", "20");
    const greedy = await Container.start(scope, { memory: 64 * MIB });
    const own = daemon.path("containers", await greedy.id(daemon));
    const file = join(own, "sys/devices/system/cpu/online");
    const hoard = async (expected: string): Promise<void> => {
      const child = spawn(program("hoard"), ["30", file], { stdio: ["pipe", "pipe", "inherit"] });
      const ended = once(child, "exit");
      expect(`${(await once(child.stdout, "data"))[0]}`).toBe(expected);
      child.stdin.end();
      await ended;
    };
    const held = openSync(file, "r");
    scope.defer(() => closeSync(held));
    const before = readFileSync(held, "utf8");
    // All of them read what the kernel has: nothing is held here.
    await hoard("30 0 0 0\n");
    greedy.cgroup.limit({ quota: 1 });
    await until("it shows one CPU", () => readFileSync(file, "utf8") !== before);
    await hoard("20 10 0 0\n");
    await until("nothing is held", async () => (await counters(daemon)).openFiles === 0);
    expect((await counters(daemon)).refusedOpens).toBe(10);
    expect(readFileSync(file, "utf8")).not.toBe(before);
  });
});

describeLive("the budget of renders", ["busybox"], () => {
  /** Readers without end; counts the bytes that they got. */
  class Readers {
    bytes = 0;
    readonly #children: readonly ChildProcess[];

    constructor(scope: Scope, count: number, file: string) {
      const argv = ["read", "100000000", file];
      const stdio = ["ignore", "pipe", "inherit"] as const;
      this.#children = Array.from({ length: count }, () =>
        spawn(program("drain"), argv, { stdio: [...stdio] }),
      );
      for (const { stdout } of this.#children) {
        stdout?.on("data", (bytes: Buffer) => {
          this.bytes += bytes.length;
        });
      }
      scope.defer(() => this.stop());
    }

    async stop(): Promise<void> {
      const ends = this.#children.map((child) => child.exitCode ?? once(child, "close"));
      for (const child of this.#children) {
        child.kill("SIGKILL");
      }
      await Promise.all(this.#children.some((child) => child.signalCode === null) ? ends : []);
    }
  }

  it("is the same for one reader and for many: who hammers has no more of it", async () => {
    const scope = testScope();
    const daemon = await start(scope, "--renders-per-second", "200");
    const [greedy, modest] = [
      await Container.start(scope, { name: "greedy", memory: 64 * MIB }),
      await Container.start(scope, { name: "modest", memory: 64 * MIB }),
    ];
    const meminfo = async (container: Container): Promise<string> =>
      daemon.path("containers", await container.id(daemon), "proc/meminfo");
    const many = new Readers(scope, 8, await meminfo(greedy));
    await until("the greedy one is paced", async () => (await counters(daemon)).paced > 50);
    const one = new Readers(scope, 1, await meminfo(modest));
    await until("the modest one reads", () => one.bytes > 0);
    const begin = [many.bytes, one.bytes] as const;
    const enough = 300 * (await output(["cat", await meminfo(modest)])).length;
    await until("the modest one has read enough", () => one.bytes > begin[1] + enough);
    const [theirs, its] = [many.bytes - begin[0], one.bytes - begin[1]];
    // Eight times the readers, and no more than its share; output comes in pieces of 64 KiB.
    expect(theirs / its).toBeLessThan(2);
    expect((await counters(daemon)).paced).toBeGreaterThan(100);
    expect(await daemon.isServing()).toBe(true);
    // Those that wait for their budget can be killed.
    await many.stop();
    await one.stop();
  });

  it("is waited for by callers that get signals, unseen by them", async () => {
    const scope = testScope();
    const daemon = await start(scope, "--renders-per-second", "100");
    const container = await Container.start(scope, { memory: 64 * MIB });
    const file = daemon.path("containers", await container.id(daemon), "proc/meminfo");
    const before = await counters(daemon);
    const told = await output([program("alarmed"), "50", file]);
    const [done, interrupted, failed, alarms = 0] = told.split(" ").map(Number);
    // As of a file of proc, which no signal interrupts.
    expect([done, interrupted, failed]).toEqual([50, 0, 0]);
    expect(alarms).toBeGreaterThan(50);
    const after = await counters(daemon);
    expect(after.paced - before.paced).toBeGreaterThan(50);
    expect(after.errors).toBe(before.errors);
  });

  it.each(["exact", "tick"])(
    "is not waited for in a directory that all share, in contract %s",
    async (contract) => {
      const scope = testScope();
      const flags = ["--renders-per-second", "1", "--consistency", contract];
      const daemon = await start(scope, ...flags);
      const shared = temporaryDirectory(scope, "shared");
      daemon.bindFromHost(scope, "sys/devices/system/cpu", shared);
      const container = await Container.start(scope, { memory: 64 * MIB });
      const other = await Container.start(scope, { memory: 64 * MIB });
      const file = daemon.path("containers", await container.id(daemon), "proc/meminfo");
      const readers = 2 * (DEADLINE_MS / 1000);
      const { deferred } = await counters(daemon);
      await attackFrom(scope, container, [program("flood"), "fstat", `${readers}`, file]);
      await until(
        "they wait",
        async () => (await counters(daemon)).deferred > deferred + readers / 2,
      );
      // Others that look the same up would wait as long, and nothing could end them.
      container.start(scope, ["stat", join(shared, "online")]);
      const own = follow(scope, container, ["sh", "-c", LOOK_UP, "sh", shared]);
      await until("it is told", () => own.text.includes("/possible"));
      const others = follow(scope, other, [
        "ls",
        "-d",
        join(shared, "cpu0"),
        join(shared, "online"),
      ]);
      await until("others are told", () => others.text.includes("/online"));
      expect([own.errors, others.errors]).toEqual(["", ""]);
    },
  );

  it("is not waited for by callers that are killed, also after other signals", async () => {
    const scope = testScope();
    const daemon = await start(scope, "--renders-per-second", "1");
    const container = await Container.start(scope, { memory: 64 * MIB });
    const file = daemon.path("containers", await container.id(daemon), "proc/meminfo");
    // The turns of most would come after longer than any deadline here.
    const readers = Array.from({ length: 2 * (DEADLINE_MS / 1000) }, () =>
      spawn(program("alarmed"), ["1", file], { stdio: "ignore" }),
    );
    scope.defer(() => {
      for (const reader of readers) {
        reader.kill("SIGKILL");
      }
    });
    // Once a signal has come they wait for no others than such as end them.
    const isInterrupted = ({ pid, exitCode }: ChildProcess): boolean =>
      exitCode === null && /^State:\tD/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    const waiting = await until("they wait", () => {
      const those = readers.filter(isInterrupted);
      return those.length > 0.9 * readers.length && those;
    });
    for (const reader of waiting) {
      reader.kill("SIGKILL");
    }
    await until("they end", () => waiting.every(({ signalCode }) => signalCode === "SIGKILL"));
    expect(await daemon.isServing()).toBe(true);
  });
});

/** CPU time that a process has used, ms. */
function cpuMsOf(pid: number): number {
  const MS_PER_TICK = 10;
  return MS_PER_TICK * ticksOfProcess(pid);
}

describeLive("the budget of CPU time", ["busybox"], () => {
  const PERCENT = 10;
  const MEASURED_MS = 1000;

  it.each(["lookup", "stat", "pread", "read", "signals", "readdir"])(
    "bounds what one container takes by %s, and others read on",
    async (what) => {
      const scope = testScope();
      const flags = ["--max-cpu-per-container", `${PERCENT}`, "--renders-per-second", "0"];
      const daemon = await start(scope, ...flags);
      const hostile = await Container.start(scope, { name: "hostile", memory: 64 * MIB });
      const modest = await Container.start(scope, { name: "modest", memory: 64 * MIB });
      const stat = async (one: Container): Promise<string> =>
        daemon.path("containers", await one.id(daemon), "proc/stat");
      const file = await stat(modest);
      const polled = join(polledMountpointOf(daemon.mountpoint), "containers");
      // One after the other, by whoever has the tenant's turn.
      const log = join(polled, await hostile.id(daemon), "dev/kmsg");
      const target = what === "read" ? log : await stat(hostile);
      await attackFrom(scope, hostile, [program("flood"), what, "8", target]);
      await until("it is paced", async () => (await counters(daemon)).paced > 100);
      const before = cpuMsOf(daemon.pid);
      const begun = performance.now();
      expect((await pulseOf(modest, MEASURED_MS, file)).failed).toBe(0);
      const share = (cpuMsOf(daemon.pid) - before) / (performance.now() - begun);
      // The other one reads as fast as it can, too; and the daemon has a life of its own.
      expect(share).toBeLessThan((3.5 * PERCENT) / 100);
    },
  );

  it("is a quarter of the node's for all containers together while others want the CPUs", async () => {
    const scope = testScope();
    const daemon = await start(scope);
    const contain = async (name: string): Promise<Container> =>
      await Container.start(scope, { name, memory: 64 * MIB });
    const cpus = availableParallelism();
    const all = Math.max(0.5, cpus / 4);
    for (let number = 0; number < 8 * all; number += 1) {
      const hostile = await contain(`hostile${number}`);
      const file = daemon.path("containers", await hostile.id(daemon), "proc/stat");
      await attackFrom(scope, hostile, [program("flood"), "stat", "8", file]);
    }
    const hog = await contain("hog");
    const idle = daemon.path("containers", await hog.id(daemon), "proc/stat");
    await attackFrom(scope, hog, [program("pages"), "0", `${2 * cpus}`, idle]);
    await until("all together have their part", async () => {
      const before = cpuMsOf(daemon.pid);
      const begun = performance.now();
      await pause(MEASURED_MS);
      return (cpuMsOf(daemon.pid) - before) / (performance.now() - begun) < 1.3 * all;
    });
    const before = cpuMsOf(daemon.pid);
    const begun = performance.now();
    await pause(3 * MEASURED_MS);
    const share = (cpuMsOf(daemon.pid) - before) / (performance.now() - begun);
    // None of them has as much as it had beside others that ask for nothing.
    expect(share).toBeLessThan(1.3 * all);
    expect(share).toBeGreaterThan(0.4 * all);
  });
});

for (const consistency of ["exact", "tick"] as const) {
  describeLive(`a source that blocks, in ${consistency},`, ["busybox"], () => {
    const scope = fileScope();
    const READERS = 40;
    let daemon: Daemon;
    let stalled: Container;
    let other: Container;
    let file: string;
    let uncover: () => void;
    let readers: ChildProcess[];

    /** Reads that a container does while the other one's wait. */
    async function readsOn(container: Container): Promise<void> {
      for (let round = 0; round < 10; round += 1) {
        const texts = await container.output(["cat", "/proc/meminfo", "/proc/stat"]);
        expect(texts).toMatch(/^MemTotal[\s\S]*\ncpu /);
      }
    }

    beforeAll(async () => {
      // Fewer threads than readers: if each of these took one, nobody else would be served.
      const flags = ["--consistency", consistency, "--max-threads", "8"];
      daemon = await start(scope, ...flags, "--renders-per-second", "200");
      other = await Container.start(scope, {
        name: "other",
        memory: 64 * MIB,
        binds: bindsOf(daemon),
      });
      stalled = await Container.start(scope, { name: "stalled", memory: 64 * MIB });
      const id = await stalled.id(daemon);
      file = daemon.path("containers", id, "proc/meminfo");
      // Beyond its budget already, so that what will block comes from those that were paced.
      const uptime = join(file, "../uptime");
      const hammer = spawn(program("drain"), ["read", "100000000", uptime], { stdio: "ignore" });
      scope.defer(() => hammer.kill("SIGKILL"));
      if (consistency === "exact") {
        await until("it is paced", async () => (await counters(daemon)).paced > 20);
      }
      // Opening a FIFO that nobody writes to waits, like a cgroup file whose lock is taken.
      const fifo = join(temporaryDirectory(scope, "fifo"), "fifo");
      outputSync(["mkfifo", fifo]);
      const target = join(stalled.cgroup.directory("memory"), "memory.stat");
      outputSync(["mount", "--bind", fifo, target]);
      let isCovered = true;
      uncover = () => {
        if (isCovered) {
          isCovered = false;
          outputSync(["umount", "--lazy", target]);
          // Lets go whoever waits.
          closeSync(openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK));
        }
      };
      scope.defer(uncover);
      readers = Array.from({ length: READERS }, () =>
        spawn("cat", [file], { stdio: ["ignore", "pipe", "pipe"] }),
      );
      scope.defer(() => {
        for (const reader of readers) {
          reader.kill("SIGKILL");
        }
      });
      // In tick all but one wait for the first look-up.
      await until("they wait", () => readers.every(({ pid }) => waitsInKernel(pid)));
      if (consistency === "exact") {
        await until("they wait here", async () => {
          return (await counters(daemon)).deferred >= READERS - 1;
        });
      }
    });

    it("holds one worker, and the others go on", async () => {
      await readsOn(other);
      expect(await daemon.isServing()).toBe(true);
      expect(opening(daemon.pid)).toBe(1);
    });

    it("lets its readers be killed, also the one in whose turn it blocks", async () => {
      const ends = readers.map((reader) => finished(reader));
      for (const reader of readers) {
        reader.kill("SIGKILL");
      }
      const outcomes = await Promise.all(ends);
      expect(outcomes.every(({ signal }) => signal === "SIGKILL")).toBe(true);
      await readsOn(other);
    });

    it("makes its container wait only for as long as it blocks", async () => {
      // A file that does not depend on what blocks waits for its turn nevertheless.
      const waiting = Array.from({ length: 5 }, () =>
        spawn("cat", [join(file, "../uptime")], { stdio: ["ignore", "pipe", "pipe"] }),
      );
      const outcomes = waiting.map((reader) => finished(reader));
      await until("they wait", () => waiting.every(({ pid }) => waitsInKernel(pid)));
      // The kernel may resend requests that wait for their turn: then each of them waits twice,
      // or three times, and the kernel takes the answer to the last copy only.
      for (let times = 0; times < 2; times += 1) {
        await run([program("resend"), `${daemon.pid}`]);
      }
      expect(await other.read(daemon.path("proc/uptime"))).toMatch(/^\d+\.\d\d /);
      uncover();
      for (const { stdout } of await Promise.all(outcomes)) {
        expect(`${stdout}`).toMatch(/^\d+\.\d\d /);
      }
      expect(await stalled.read(daemon.path("proc/uptime"))).toMatch(/^\d+\.\d\d /);
    });
  });
}
