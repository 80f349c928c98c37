// Bounds of docs/design/threats.md that no flood reaches by itself: one tenant comes up to each of them,
// and another one gets all that is its own.

import { spawn } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createConnection, type Socket } from "node:net";
import { cpus } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { logSocketOf } from "../../src/klog/protocol.js";
import { Surveys } from "../../src/metrics/survey.js";
import { loadAddon } from "../../src/native/addon.js";
import { polledMountpointOf } from "../../src/polled.js";
import { statusOf } from "../e2e/never-down-support.js";
import { Cgroup, MIB } from "../support/cgroups.js";
import { background, outputSync } from "../support/command.js";
import { Container } from "../support/container.js";
import { counters } from "../support/counters.js";
import { Daemon, vprocfs } from "../support/daemon.js";
import { follow } from "../support/follow.js";
import { describeLive } from "../support/needs.js";
import { textOf, threadsOf } from "../support/proc.js";
import { uptime } from "../support/procfile.js";
import { program } from "../support/programs.js";
import { freePort, serveMetrics } from "../support/prometheus.js";
import { Scope } from "../support/scope.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

/** What identifies our mounts. */
const OURS = { fsType: "fuse.lxcfs", source: "vprocfs" };
/** Of one container, each while the notice of the one before is held. */
const LIMIT_CHANGES = 100;

/** A search that takes longer is remembered, and how often it is asked for here. */
const LONG_SEARCH_MS = 2;
const SEARCHES = 200;
const EMPTY_CGROUPS = 500;
/** Eight threads ask for the size of what stdin is, without end; none is told. */
const ASK_ON = `
import os, threading
def ask():
    while True:
        try:
            os.fstat(0)
            os._exit(1)
        except OSError:
            pass
for _ in range(8):
    threading.Thread(target=ask).start()
`;
/** PID namespaces of one cgroup that have an age of their own. */
const LIVES = 16;
const WAITING_READERS = 256;
/** Cgroups of its own that the init of a container goes to. */
const MOVES = 40;
const OPERATORS = 64;

/** CPU time that all threads of a process have had, ms. */
function cpuMsOf(pid: number): number {
  const ns = threadsOf(pid).map((thread) => Number(textOf(`${thread}/schedstat`).split(" ")[0]));
  return ns.reduce((sum, one) => sum + one, 0) / 1e6;
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** How many lines say so. */
function linesOf(text: string, line: string): number {
  return text.split("\n").filter((one) => one === line).length;
}

/** So many PID namespaces with cgroups of their own in `outer`. */
async function nest(scope: Scope, outer: Container, count: number): Promise<void> {
  outer.cgroup.delegate();
  const argv = [program("nests"), `${count}`, "0", "/dev/null", ...outer.cgroup.directories];
  const nests = follow(scope, outer, argv);
  await until("all are there", () => nests.text.includes("\n"));
  expect(nests.text).toBe(`${count} 0 0 0\n`);
}

/** This process may have so many descriptors until the scope ends. */
function limitDescriptors(scope: Scope, count: number): void {
  const limit = (soft: string) =>
    outputSync(["prlimit", `--pid=${process.pid}`, `--nofile=${soft}:`]);
  const before = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  scope.defer(() => {
    limit(before ?? "1024");
  });
  limit(`${count}`);
}

describeLive("a tenant at a bound", ["prlimit"], () => {
  const scope = fileScope();
  let daemon: Daemon;

  beforeAll(async () => {
    daemon = await Daemon.start(scope, "--no-keeper", "--log-format", "json");
  });

  it("has cgroups without processes searched once, and not again at once", async () => {
    const own = testScope();
    const hostile = await Container.start(own, { name: "hostile", memory: 64 * MIB });
    const hidden = hostile.cgroup.child(own, "hidden");
    // A name tells in which hierarchy it is.
    const [, kind = "", number] = /^([a-z]?)(\d+)$/.exec(await hostile.id(daemon)) ?? [];
    const inode = (directory: string) => `${statSync(directory).ino}`;
    const of = hostile.cgroup.directories.findIndex((directory) => inode(directory) === number);
    const directory = hidden.directories[of] ?? "";
    const path = daemon.path("containers", `${kind}${inode(directory)}`);
    const empty = Array.from({ length: EMPTY_CGROUPS }, (_, i) => join(directory, `empty${i}`));
    own.defer(() => {
      for (const one of empty) {
        rmdirSync(one);
      }
    });
    for (const one of empty) {
      mkdirSync(one);
    }
    const search = (times: number): number => {
      const before = cpuMsOf(daemon.pid);
      for (let count = 0; count < times; count += 1) {
        expect(isThere(path)).toBe(false);
      }
      return cpuMsOf(daemon.pid) - before;
    };
    const first = search(1);
    expect(first).toBeGreaterThan(LONG_SEARCH_MS);
    // All of them searched would be 200 times as much, and a rest of 50 times as long allows a few.
    expect(search(SEARCHES)).toBeLessThan((SEARCHES / 4) * first);
    // Whoever comes to live there is found all the same.
    const inside = await Container.startIn(hostile, own, { cgroup: hidden });
    expect(inside.isAlive).toBe(true);
    await until("it is found", () => isThere(path));
  });

  it("has one such search at a time, however many of its threads ask", async () => {
    const own = testScope();
    const hostile = await Container.start(own, { name: "hostile", memory: 64 * MIB });
    const cgroup = hostile.cgroup.child(own, "ended");
    const ended = new Scope();
    const inner = await Container.startIn(hostile, ended, { cgroup });
    const file = openSync(daemon.path("containers", await inner.id(daemon), "proc/stat"), "r");
    own.defer(() => closeSync(file));
    await ended.close();
    const empty = cgroup.directories.flatMap((directory) =>
      Array.from({ length: EMPTY_CGROUPS }, (_, i) => join(directory, `empty${i}`)),
    );
    own.defer(() => {
      for (const one of empty) {
        rmdirSync(one);
      }
    });
    for (const one of empty) {
      mkdirSync(one);
    }
    /** Requests that had to wait for their tenant's turn, and not for its budget of CPU time. */
    const waited = async (): Promise<number> => {
      const { deferred, paced } = await counters(daemon);
      return deferred - paced;
    };
    const before = await waited();
    const [command = "", ...argv] = hostile.command(["python3", "-c", ASK_ON]);
    const asking = spawn(command, argv, { stdio: [file, "ignore", "inherit"] });
    own.defer(() => {
      asking.kill("SIGKILL");
    });
    await until("they wait for each other", async () => (await waited()) > before);
    expect(await hostile.read(daemon.path("self/proc/uptime"))).toMatch(/^\d/);
  });

  it("has as many ages as there are PID namespaces in its cgroup, up to 16", async () => {
    const own = testScope();
    const cgroup = Cgroup.create(own, `vprocfs-test-${process.pid}-lives`);
    const ages: number[] = [];
    const kernels: number[] = [];
    const now = () => uptime(readFileSync("/proc/uptime", "utf8")).up;
    const begun: number[] = [];
    const lives: Container[] = [];
    for (let life = 0; life <= LIVES; life += 1) {
      lives.push(await Container.start(own, { cgroup }));
      const text = readFileSync(`/proc/${lives.at(-1)?.init}/stat`, "utf8");
      begun.push(Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]) / 100);
      // Each asks while it is the last one, so that they are known in this order.
      await lives.at(-1)?.read(daemon.path("proc/uptime"));
    }
    for (const life of lives) {
      const before = now();
      const { up } = uptime(await life.read(daemon.path("proc/uptime")));
      ages.push(up - before);
      kernels.push(now() - before);
    }
    const [first = 0, ...others] = begun;
    const expected = [first, ...others.slice(0, LIVES - 1), first];
    for (const [life, since] of expected.entries()) {
      // Its age, as it was at some moment of the reading.
      const age = (ages[life] ?? 0) + since;
      expect([life, age >= -0.03 && age <= (kernels[life] ?? 0) + 0.03]).toEqual([life, true]);
    }
    expect((others.at(-1) ?? 0) - first).toBeGreaterThan(0.1);
  });

  it.each([
    ["all", 1024, 40, 32],
    ["its share of them", 4096, 70, 64],
  ])(
    "is told of in a survey up to %s, and everybody else is told of",
    async (_, n, count, most) => {
      const own = testScope();
      const hostile = await Container.start(own, { name: "hostile", memory: 256 * MIB });
      await nest(own, hostile, count);
      const victim = await Container.start(own, { name: "victim", memory: 64 * MIB });
      limitDescriptors(own, n);
      const { containers, leftOut } = await new Surveys(loadAddon(), OURS).take();
      const [attackers, victims] = [hostile, victim].map(({ cgroup: { name } }) =>
        containers.filter(({ cgroup }) => `${cgroup}/`.includes(`/${name}/`)),
      );
      expect(victims).toHaveLength(1);
      // Whoever was there first, of other tests too, has its place already.
      expect(attackers?.length).toBeLessThanOrEqual(most);
      expect((attackers?.length ?? 0) + leftOut).toBeGreaterThanOrEqual(count + 1);
    },
  );

  it("is not blamed for what an operator asks of more containers than it may have", async () => {
    const own = testScope();
    const hostile = await Container.start(own, { name: "hostile", memory: 256 * MIB });
    await nest(own, hostile, 20);
    const under = ["prlimit", "--nofile=512"];
    const address = `127.0.0.1:${await freePort()}`;
    const flags = ["--no-keeper", "--log-format", "json", "--metrics", address];
    const few = await Daemon.startUnder(own, under, ...flags);
    await until("metrics are served", () => few.logs.includes("serving metrics"));
    const page = await (await fetch(`http://${address}/metrics`)).text();
    const idsOf = (metric: string): string[] => {
      const lines = page
        .split("\n")
        .filter((line) => line.startsWith(`vprocfs_container_${metric}{`));
      return lines.map((line) => /\bid="(.*?)"/.exec(line)?.[1] ?? "");
    };
    // More are told of than may be known. Of those that are known there are requests.
    const its = loadAddon()
      .locateContainers()
      .filter(({ cgroup }) => `${cgroup}/`.includes(`/${hostile.cgroup.name}/`));
    const told = its.filter(({ id }) => idsOf("info").includes(id));
    expect(told.length).toBeGreaterThan(8);
    const [unknown] = told.filter(({ id }) => !idsOf("requests_total").includes(id));
    const log = await vprocfs("dmesg", `${unknown?.id}`, "--mountpoint", few.mountpoint);
    expect(log.stderr.toString()).toContain("cannot get the kernel log (ENFILE)");
    const of = (await counters(few)).resources.containers;
    expect(of?.tenantLimit).toBe(8);
    expect(of?.refused).toBe(0);
  });

  it.each([
    ["what is nested in it", "nested"],
    ["each cgroup of its own", "beside"],
  ])("pays for %s, wherever its init goes", async (_, which) => {
    const own = testScope();
    const flags = ["--no-keeper", "--log-format", "json"];
    const few = await Daemon.startUnder(own, ["prlimit", "--nofile=512"], ...flags);
    const hostile = await Container.start(own, { name: "hostile", cgroupNamespace: false });
    hostile.cgroup.delegate();
    const file = few.path("proc/meminfo");
    const enter = 'for to; do echo $$ >"$to/cgroup.procs"; done; exec cat "$0"';
    for (let n = 0; n < 12; n += 1) {
      for (const directory of hostile.cgroup.child(own, `x${n}`).directories) {
        writeFileSync(join(directory, "cgroup.procs"), `${hostile.init}`);
      }
      const { directories } = hostile.cgroup.child(own, `n${n}`);
      if (which === "nested") {
        const nests = follow(own, hostile, [program("nests"), "1", "1", file, ...directories]);
        await until("it has asked", () => nests.text.includes("\n"));
      } else {
        await hostile.run(["/bin/sh", "-c", enter, file, ...directories]);
      }
    }
    const of = (await counters(few)).resources.containers;
    expect(of?.tenantLimit).toBe(8);
    expect(of?.used).toBe(8);
    expect(of?.refused).toBeGreaterThan(0);
  });

  it("is one for surveys and kernel logs, wherever its init goes", async () => {
    const own = testScope();
    const { daemon: measured, scrape } = await serveMetrics(own);
    const hostile = await Container.start(own, { name: "hostile", cgroupNamespace: false });
    hostile.cgroup.delegate();
    limitDescriptors(own, 1024);
    const surveys = new Surveys(loadAddon(), OURS);
    const log = join(polledMountpointOf(measured.mountpoint), "dev/kmsg");
    const opens: string[] = [];
    let told = 0;
    for (let n = 0; n < MOVES; n += 1) {
      for (const directory of hostile.cgroup.child(own, `x${n}`).directories) {
        writeFileSync(join(directory, "cgroup.procs"), `${hostile.init}`);
      }
      const { directories } = hostile.cgroup.child(own, `n${n}`);
      const nests = follow(own, hostile, [program("nests"), "1", "1", log, ...directories]);
      await until("it has asked", () => nests.text.includes("\n"));
      opens.push(nests.text);
      const { containers } = await surveys.take();
      told = containers.filter(({ cgroup }) =>
        `${cgroup}/`.includes(`/${hostile.cgroup.name}/`),
      ).length;
    }
    expect(told).toBeLessThanOrEqual(1024 / 32);
    expect(opens).toEqual(Array(MOVES).fill("1 1 0 0\n"));
    const page = await scrape();
    const all = Number(/^vprocfs_container_logs_bytes (.*)$/m.exec(page)?.[1]);
    const refused = Number(/^vprocfs_kernel_log_refused_total (.*)$/m.exec(page)?.[1]);
    expect(all).toBeLessThanOrEqual(MIB / 4);
    expect(refused).toBe(MOVES - 256 / 8);
  });

  it("has 256 readers of its kernel log wait, and no more", async () => {
    const own = testScope();
    const hostile = await Container.start(own, { name: "hostile", memory: 256 * MIB });
    const victim = await Container.start(own, { name: "victim", memory: 64 * MIB });
    const logOf = async (one: Container): Promise<string> => {
      const place = join("containers", await one.id(daemon), "dev/kmsg");
      return join(polledMountpointOf(daemon.mountpoint), place);
    };
    const files = [await logOf(hostile), await logOf(victim)] as const;
    const more = 40;
    const wait = (from: Container, count: number, file: string) =>
      follow(own, from, [program("hold"), "readers", `${count}`, file]);
    const many = wait(hostile, WAITING_READERS + more, files[0]);
    await until("the others are refused", () => linesOf(many.text, "refused") === more);
    const one = wait(victim, 1, files[1]);
    await until("the victim's reader is there", () => one.text.includes("ready"));
    await victim.shell('echo hello >"$1"', files[1]);
    await until("the victim reads on", () => linesOf(one.text, "read") === 1);
    expect(linesOf(many.text, "read")).toBe(0);
    await hostile.shell('echo hello >"$1"', files[0]);
    await until("all that wait are told", () => linesOf(many.text, "read") >= WAITING_READERS);
    expect(linesOf(many.text, "read")).toBe(WAITING_READERS);
    expect([linesOf(many.text, "refused"), linesOf(many.text, "failed")]).toEqual([more, 0]);
  });

  it.runIf(cpus().length > 1)("has one notice of a file wait at most", async () => {
    const own = testScope();
    const { daemon: served, scrape } = await serveMetrics(own);
    const hostile = await Container.start(own, { name: "hostile", quota: 1 });
    const processors = async () =>
      linesOf((await hostile.read(served.path("proc/cpuinfo"))).replace(/\t.*/g, ""), "processor");
    expect(await processors()).toBe(1);
    const { workerPid } = await statusOf(served);
    const staller = background(own, [program("stall"), `${workerPid}`, "answers"]);
    let said = "";
    staller.stdout?.on("data", (text: Buffer) => {
      said += text;
    });
    await until("its threads are traced", () => said === "ready\n");
    const waiting: number[] = [];
    for (let change = 0; change < LIMIT_CHANGES; change += 1) {
      hostile.cgroup.limit({ quota: change % 2 === 0 ? 2 : 1 });
      waiting.push(Number(/^vprocfs_pending_notices (\d+)$/m.exec(await scrape())?.[1]));
    }
    // One that is being sent, and one that tells of all that has changed meanwhile.
    expect(Math.max(...waiting)).toBe(2);
    staller.stdin?.end();
    for (const quota of [1, 2]) {
      hostile.cgroup.limit({ quota });
      await until("it has the last", async () => (await processors()) === quota);
    }
  });

  it("has its log read by 64 operators at a time, and by more when these go", async () => {
    const own = testScope();
    const victim = await Container.start(own, { name: "victim", memory: 64 * MIB });
    const id = await victim.id(daemon);
    const sockets: Socket[] = [];
    own.defer(() => {
      for (const socket of sockets) {
        socket.destroy();
      }
    });
    const ask = async (): Promise<"told" | "refused"> => {
      const socket = createConnection(logSocketOf(daemon.mountpoint));
      sockets.push(socket);
      socket.write(`${JSON.stringify({ id, from: 0, follow: true })}\n`);
      return new Promise((resolve) => {
        socket.once("data", (text) => resolve(`${text}`.includes("EBUSY") ? "refused" : "told"));
        socket.once("error", () => resolve("refused"));
        socket.once("close", () => resolve("refused"));
      });
    };
    for (let count = 0; count < OPERATORS; count += 1) {
      expect(await ask()).toBe("told");
    }
    expect(await ask()).toBe("refused");
    for (const socket of sockets) {
      socket.destroy();
    }
    await until("there is room again", async () => (await ask()) === "told");
    const told = await vprocfs("dmesg", id, "--mountpoint", daemon.mountpoint);
    expect([told.status, `${told.stderr}`]).toEqual([0, ""]);
  });
});
