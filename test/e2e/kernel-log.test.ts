// What containers' own kernel logs tell, and to whom.

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { readStatus } from "../../src/keeper-status.js";
import { readKernelLog } from "../../src/klog/client.js";
import { logSocketOf } from "../../src/klog/protocol.js";
import type { KernelLogRecord } from "../../src/native/session.js";
import { Cgroup, isV2, MIB } from "../support/cgroups.js";
import { background, finished, haveProgram, output, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { cli, Daemon, temporaryDirectory, vprocfs } from "../support/daemon.js";
import { kernelLogOf } from "../support/kernel-log.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { isTraced, threadsOf } from "../support/proc.js";
import { program } from "../support/programs.js";
import { serveMetrics } from "../support/prometheus.js";
import { Scope } from "../support/scope.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { statusOf } from "./never-down-support.js";

const BANNER = 4;

function logOf(daemon: Daemon, { init }: Container): Promise<KernelLogRecord[]> {
  return kernelLogOf(daemon, init);
}

/** What comes after the banner. */
async function textsOf(daemon: Daemon, container: Container): Promise<string[]> {
  return (await logOf(daemon, container)).slice(BANNER).map(({ text }) => text);
}

/** Waits for a line, and returns all that come after the banner. */
function told(daemon: Daemon, container: Container, line: RegExp): Promise<string[]> {
  return until(`the log has ${line}`, async () => {
    const texts = await textsOf(daemon, container);
    return texts.some((text) => line.test(text)) && texts;
  });
}

/** Has a process of a container end by a fault of its own; returns its PID there. */
async function fault(container: Container, name: string, what: string): Promise<string> {
  const outcome = await container.run([program("fault"), name, what]);
  expect(outcome.status).not.toBe(0);
  return `${outcome.stdout}`.trim();
}

/** Has one use more memory than its container has; returns its PID there. */
async function starve(container: Container): Promise<string> {
  const outcome = await container.run(["sh", "-c", "echo $$; exec tail /dev/zero"]);
  expect(outcome.status).not.toBe(0);
  return `${outcome.stdout}`.trim();
}

/** Has processes make the kernel print of them by name, without a PID. */
function printing() {
  const tag = `${process.pid % 10_000}`;
  const leftover = (name: string) => [program("fault"), name, "netlink"];
  const says = (name: string) => `parsing attributes in process \`${name}'.`;
  // The kernel lets ten through in five seconds, of the whole node.
  const print = (who: string, from: (name: string) => Promise<unknown>) => {
    let tries = 0;
    return until(`the kernel tells of ${who}`, async () => {
      tries += 1;
      const name = `${who}${tag}x${tries}`;
      await from(name);
      return (await output(["dmesg"])).includes(says(name)) && name;
    });
  };
  // What is printed in the moment in which a daemon begins to look is proven of nobody.
  const printedIn = (daemon: Daemon, who: string, of: Container) =>
    until(`${who} is told of it`, async () => {
      const name = await print(who, (one) => of.run(leftover(one)));
      const lines = await textsOf(daemon, of);
      return lines.some((line) => line.includes(says(name))) && lines;
    });
  return { leftover, print, printedIn };
}

/** Our path in v1's hierarchy for memory; undefined without one, or at its root. */
const ownMemoryPath = /^\d+:memory:\/(.+)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1];

describeLive("a container's kernel log", [], () => {
  const ofAll = fileScope();
  let daemon: Daemon;

  beforeAll(async () => {
    daemon = await Daemon.start(ofAll);
  });

  it("tells of a kill with the PID and the path that the container knows, and nobody else", async () => {
    const own = testScope();
    const container = await Container.start(own, { memory: 64 * MIB, swap: 0 });
    const other = await Container.start(own, { memory: 64 * MIB, swap: 0 });
    const banner = await logOf(daemon, container);
    expect(banner.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3]);
    expect(banner[0]?.text).toMatch(/^Linux version /);
    expect(banner[2]?.text).toBe(`Memory: ${64 * 1024}K/${64 * 1024}K available`);
    const pid = await starve(container);
    const lines = await told(daemon, container, /^Memory cgroup out of memory: Killed process/);
    expect(lines[0]).toMatch(/^tail invoked oom-killer: /);
    expect(lines).toContain("Memory cgroup stats for /:");
    expect(
      lines.some((line) =>
        line.startsWith(`Memory cgroup out of memory: Killed process ${pid} (tail)`),
      ),
    ).toBe(true);
    expect(lines.some((line) => /oom_memcg=\/,task_memcg=\/,task=tail,/.test(line))).toBe(true);
    expect(lines.join("\n")).not.toContain(container.cgroup.name);
    expect((await logOf(daemon, other)).length).toBe(BANNER);
    // Neither has the files: its log is the operator's, and nothing inside is another than before.
    expect(readFileSync(`/proc/${container.init}/mountinfo`, "utf8")).not.toMatch(/kmsg/);
    const sequences = (await logOf(daemon, container)).map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.map((_, i) => i));
  });

  it("is printed by the command, an object a line", async () => {
    const own = testScope();
    const container = await Container.start(own);
    const place = ["--mountpoint", daemon.mountpoint];
    const { stdout, stderr } = await vprocfs("dmesg", `${container.init}`, "--json", ...place);
    expect(stderr).toBe("");
    const records = await logOf(daemon, container);
    expect(records).toHaveLength(BANNER);
    const printed = `${stdout}`.trimEnd().split("\n");
    expect(printed.map((line) => JSON.parse(line))).toEqual(
      records.map(({ sequence, timeUs, priority, text }) => {
        const level = { 5: "notice", 6: "info" }[priority];
        return { sequence, seconds: timeUs / 1e6, level, facility: 0, text };
      }),
    );
  });

  it("tells of faults, system calls that kill, and rejected forks", async () => {
    const own = testScope();
    const container = await Container.start(own);
    const pids = join(container.cgroup.directory("pids"), "pids.max");
    const name = "a\nb[1]: x;";
    const pid = await fault(container, name, "segfault");
    const lines = await told(daemon, container, /segfault at 8/);
    expect(lines[0]).toMatch(new RegExp(`^a\\\\x0ab\\[1\\]: x;\\[${pid}\\]: segfault at 8 ip `));
    expect(lines[0]).not.toContain("CPU");
    expect(lines[1]).toMatch(/^Code: /);
    const trapped = await fault(container, "traps", "trap");
    await told(daemon, container, new RegExp(`^traps: traps\\[${trapped}\\] trap invalid opcode `));
    writeFileSync(pids, "8");
    await container.run([program("fault"), "forks", "forks", "20"]);
    await told(daemon, container, /^cgroup: fork rejected by pids controller in \/$/);
  });

  it("tells of what its own task had the kernel print that says no PID, and nobody else", async () => {
    const own = testScope();
    const container = await Container.start(own);
    const other = await Container.start(own);
    const { print, leftover, printedIn } = printing();
    await print("h", (name) => run(leftover(name)));
    await printedIn(daemon, "o", other);
    const ownLines = await printedIn(daemon, "c", container);
    const otherLines = await textsOf(daemon, other);
    // Nor how many of others' lines the kernel left out, which whoever comes next prints.
    expect(ownLines.filter((line) => !line.includes("`c"))).toEqual([]);
    expect(otherLines.filter((line) => !line.includes("`o"))).toEqual([]);
  });

  it("tells a container in another one, and the one around it, each in its own words", async () => {
    const own = testScope();
    const outer = await Container.start(own);
    const cgroup = outer.cgroup.child(own, "inner");
    const inner = await Container.startIn(outer, own, { cgroup, memory: 32 * MIB, swap: 0 });
    const other = await Container.start(own);
    const pid = await starve(inner);
    const summary = /^oom-kill:.*,task_memcg=([^,]*),task=tail,pid=(\d+),/;
    const found = async (container: Container) => {
      const lines = await told(daemon, container, summary);
      return summary.exec(lines.find((line) => summary.test(line)) ?? "")?.slice(1);
    };
    expect(await found(inner)).toEqual(["/", pid]);
    const [path, outerPid] = (await found(outer)) ?? [];
    expect(path).toBe("/inner");
    expect(Number(outerPid)).toBeGreaterThan(Number(pid));
    expect((await logOf(daemon, other)).length).toBe(BANNER);
  });

  it("tells one that began since the last look at all of them, and whose cgroup has processes", async () => {
    const own = testScope();
    const outer = await Container.start(own, { memory: 64 * MIB, swap: 0 });
    await starve(outer);
    await told(daemon, outer, /^Memory cgroup out of memory: Killed process/);
    const cgroup = outer.cgroup.child(own, "inner");
    // Whose cgroup is no container's has the daemon look at all.
    const name = `host${process.pid % 10_000}`;
    await run([program("fault"), name, "segfault"]);
    const inner = await Container.startIn(outer, own, { cgroup, memory: 32 * MIB, swap: 0 });
    const pid = await starve(inner);
    const kill = new RegExp(`^Memory cgroup out of memory: Killed process ${pid} \\(tail\\)`);
    await told(daemon, inner, kill);
  });

  it.runIf(!isV2 && ownMemoryPath !== undefined)(
    "tells a container without a memory cgroup of its own of no kill around it",
    async () => {
      const own = testScope();
      const around = Cgroup.create(own, testName("around"), { memory: `${ownMemoryPath}` });
      const container = await Container.start(own, { cgroup: around });
      const other = await Container.start(own, { memory: 64 * MIB, swap: 0 });
      expect((await logOf(daemon, container)).length).toBe(BANNER);
      const beside = around.child(own, testName("beside"));
      beside.limit({ memory: 32 * MIB, swap: 0 });
      const enter = `echo $$ >${beside.directory("memory")}/cgroup.procs && exec tail /dev/zero`;
      expect((await run(["sh", "-c", enter])).status).not.toBe(0);
      await starve(other);
      await told(daemon, other, /^Memory cgroup out of memory: Killed process/);
      expect(await textsOf(daemon, container)).toEqual([]);
    },
  );

  it("is followed until the container ends", async () => {
    const scope = testScope();
    const own = new Scope();
    let followed = "";
    let follower: ChildProcess;
    try {
      const container = await Container.start(own, { memory: 32 * MIB, swap: 0 });
      const argv = ["dmesg", `${container.init}`, "-w", "--mountpoint", daemon.mountpoint];
      follower = background(scope, [process.execPath, cli, ...argv]);
      follower.stdout?.on("data", (piece) => {
        followed += piece;
      });
      await starve(container);
      await until("the kill is told", () => followed.includes("Killed process"));
    } finally {
      await own.close();
    }
    await until("it has ended", () => follower.exitCode !== null);
    expect(follower.exitCode).toBe(0);
  });
});

describeLive("a container's kernel log, of a vprocfs of its own", [], () => {
  it.runIf(haveProgram("strace"))(
    "tells of what a task printed that ends while it is looked for",
    async () => {
      const own = testScope();
      const daemon = await Daemon.start(own);
      const container = await Container.start(own);
      const { print, leftover, printedIn } = printing();
      await printedIn(daemon, "k", container);
      const ends: ChildProcess[] = [];
      const { workerPid } = await statusOf(daemon);
      const slow = ["-e", "trace=readlinkat", "-e", "inject=readlinkat:delay_enter=1000000"];
      const tracer = background(own, [
        "strace",
        "-qq",
        "-f",
        "-o",
        "/dev/null",
        ...slow,
        "-p",
        `${workerPid}`,
      ]);
      await until("it is slow", () => threadsOf(workerPid).every(isTraced));
      const name = await print("e", async (one) => {
        const child = container.start(own, [...leftover(one), "wait"]);
        if (child.stdout !== null) {
          await once(child.stdout, "data");
        }
        ends.push(child);
      });
      for (const child of ends) {
        const gone = finished(child);
        child.stdin?.end();
        await gone;
      }
      tracer.kill("SIGKILL");
      await told(daemon, container, new RegExp(`process .${name}'`));
    },
  );

  it("tells nothing that is older than the container, whatever had its cgroup's name before", async () => {
    const scope = testScope();
    const name = testName("again");
    const before = new Scope();
    try {
      const cgroup = Cgroup.create(before, name);
      await starve(await Container.start(before, { cgroup, memory: 32 * MIB, swap: 0 }));
    } finally {
      await before.close();
    }
    const cgroup = Cgroup.create(scope, name);
    const container = await Container.start(scope, { cgroup, memory: 32 * MIB, swap: 0 });
    const daemon = await Daemon.start(scope);
    const kills = async () =>
      (await textsOf(daemon, container)).filter((text) => text.includes("Killed process")).length;
    expect(await kills()).toBe(0);
    await starve(container);
    await until("it is told of its own", async () => (await kills()) > 0);
    expect(await kills()).toBe(1);
  });

  it("goes on where it was with the next worker, and follows across it", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own, "--standby", "on");
    const container = await Container.start(own, { memory: 32 * MIB, swap: 0 });
    const argv = ["dmesg", `${container.init}`, "-w", "--mountpoint", daemon.mountpoint];
    const follower = background(own, [process.execPath, cli, ...argv]);
    let followed = "";
    follower.stdout?.setEncoding("utf8").on("data", (text: string) => {
      followed += text;
    });
    const kills = () => followed.match(/Killed process/g)?.length ?? 0;
    await starve(container);
    await until("the first kill is told", () => kills() === 1);
    const before = await logOf(daemon, container);
    const { workerPid, generation } = await readStatus(daemon.mountpoint);
    process.kill(workerPid, "SIGKILL");
    await until("the next worker serves", async () => {
      const status = await readStatus(daemon.mountpoint);
      return status.generation > generation && status.state === "serving";
    });
    await starve(container);
    await until("the second kill is told", () => kills() === 2);
    const after = await until("the log has it", async () => {
      const now = await logOf(daemon, container);
      return now.filter(({ text }) => text.includes("Killed process")).length === 2 && now;
    });
    expect(after.slice(0, before.length)).toEqual(before);
    expect(after.map(({ sequence }) => sequence)).toEqual(after.map((_, i) => i));
    expect(followed.trimEnd().split("\n")).toHaveLength(after.length);
  });

  it("leaves no socket of a worker that was killed before it had its name", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--standby", "on");
    const socket = logSocketOf(daemon.mountpoint);
    // No process has that number (PID_MAX_LIMIT).
    const left = `${socket}.4194304`;
    writeFileSync(left, "");
    scope.defer(() => rmSync(left, { force: true }));
    const { workerPid, generation } = await readStatus(daemon.mountpoint);
    process.kill(workerPid, "SIGKILL");
    await until("the next worker serves", async () => {
      const status = await readStatus(daemon.mountpoint);
      return status.generation > generation && status.state === "serving";
    });
    await until("it is gone", () => !existsSync(left));
    await until("there is its own", () => existsSync(socket));
  });

  it("is followed across a stop and a start, after which its numbers begin again", async () => {
    const own = testScope();
    const mountpoint = mkdtempSync(join(tmpdir(), `${testName("mnt")}-`));
    own.defer(() => rmdirSync(mountpoint));
    const first = await Daemon.startAt(own, mountpoint);
    const container = await Container.start(own, { memory: 32 * MIB, swap: 0 });
    const texts: string[] = [];
    // In this process: a daemon's end is waited for until no command has its mount point.
    const id = await container.id(first);
    readKernelLog(mountpoint, id, true, ({ text }) => texts.push(text)).catch(() => {
      // It gives up some time after the test, when nobody serves any more.
    });
    const kills = () => texts.filter((text) => text.includes("Killed process")).length;
    await starve(container);
    await until("the first kill is told", () => kills() === 1);
    await first.stop();
    await Daemon.startAt(own, mountpoint);
    const pid = await starve(container);
    await until("the second kill is told", () =>
      texts.some((text) => text.includes(`Killed process ${pid} (tail)`)),
    );
    // The first one is in the host's log still, and was told already.
    expect(kills()).toBe(2);
    expect(texts.filter((text) => text.startsWith("Linux version "))).toHaveLength(1);
  });

  it("is followed on from the last whole line when a worker goes away in the middle of one", async () => {
    const own = testScope();
    const mountpoint = temporaryDirectory(own, "half");
    const path = logSocketOf(mountpoint);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    own.defer(() => rmSync(path, { force: true }));
    const record = (sequence: number) => ({ sequence, timeUs: 1, priority: 6, text: "ümläut" });
    const line = (sequence: number) => `${JSON.stringify(record(sequence))}\n`;
    const answers = [
      Buffer.from(line(0) + line(1)).subarray(0, -8),
      Buffer.from(`${line(1)}{"end":true}\n`),
    ];
    const asked: string[] = [];
    const server = createServer(async (socket) => {
      asked.push(`${await once(socket, "data")}`);
      socket.end(answers.shift() ?? "");
    });
    own.defer(() => {
      server.close();
    });
    await once(server.listen(path), "listening");
    const records: unknown[] = [];
    await readKernelLog(mountpoint, "1", true, (one) => records.push(one));
    expect(records).toEqual([record(0), record(1)]);
    expect(asked.map((request) => JSON.parse(request).from)).toEqual([0, 1]);
  });

  it("is counted by kind of what was told", async () => {
    const own = testScope();
    const { daemon, scrape } = await serveMetrics(own);
    const container = await Container.start(own, { memory: 64 * MIB, swap: 0 });
    const counted = async (kind: string) => {
      const found = new RegExp(
        `^vprocfs_container_log_records_total\\{kind="${kind}"\\} (\\d+)$`,
        "m",
      ).exec(await scrape());
      return Number(found?.[1] ?? Number.NaN);
    };
    for (const kind of ["oom", "forks", "fault", "seccomp", "hung", "caller"]) {
      expect([kind, Number.isNaN(await counted(kind))]).toEqual([kind, false]);
    }
    // Other containers of this host may have been told of what was logged before.
    const [oom, forks] = [await counted("oom"), await counted("forks")];
    await starve(container);
    const lines = await told(daemon, container, /^Memory cgroup out of memory: Killed process/);
    await until("it is counted", async () => (await counted("oom")) >= oom + lines.length);
    expect(await counted("forks")).toBe(forks);
    writeFileSync(join(container.cgroup.directory("pids"), "pids.max"), "8");
    await container.run([program("fault"), "forks", "forks", "20"]);
    await until("the rejected fork is counted", async () => (await counted("forks")) === forks + 1);
  });

  it("is not there when it is not wanted", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own, "--kernel-log", "off");
    const container = await Container.start(own);
    const place = ["--mountpoint", daemon.mountpoint];
    const outcome = await run([process.execPath, cli, "dmesg", `${container.init}`, ...place]);
    expect(outcome.status).not.toBe(0);
    expect(outcome.stderr).toContain("keeps no kernel logs");
  });
});
