// syslog(2) in containers tells of their own kernel log, whatever happens to the worker.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import {
  CALL_KINDS,
  type CallNode,
  itOfWay,
  startCallNode,
  titleOf,
} from "../support/call-node.js";
import {
  type Caller,
  FAULT,
  type Kind,
  LIMITS,
  SYSLOG,
  startCaller,
  sysinfoOf,
  watched,
} from "../support/calls.js";
import { haveProgram, output } from "../support/command.js";
import { Container } from "../support/container.js";
import { temporaryDirectory, vprocfs } from "../support/daemon.js";
import { follow } from "../support/follow.js";
import { kernelLogOf, printAllFaults } from "../support/kernel-log.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { replaceWorker, servingAfter, statusOf } from "./never-down-support.js";

const READ = "2";
const READ_ALL = "3";
const READ_CLEAR = "4";
const CLEAR = "5";
const UNREAD = "9";
const SIZE = "10";
const ALL = "65536";
const BANNER = 4;

/** What the kernel itself says to the program's bad arguments where its own log is not empty. */
const REFUSED = [3, 4]
  .flatMap((action) => [
    `${action} none: -1 EINVAL`,
    `${action} negative: -1 EINVAL`,
    `${action} empty: 0 -`,
    `${action} nowhere: -1 EFAULT`,
    `${action} beyond: -1 EFAULT`,
    // What the first of these has cleared is not there any more.
    action === 3 ? "3 end: -1 EFAULT" : "4 end: 0 -",
  ])
  .concat(
    "2 none: -1 EINVAL",
    "2 negative: -1 EINVAL",
    "2 empty: 0 -",
    "8 level 0: -1 EINVAL",
    "8 level 9: -1 EINVAL",
    "11 unknown: -1 EINVAL",
    "-1 unknown: -1 EINVAL",
  );

function startLogged(scope: Scope, kind: Kind, node: CallNode, mapped = false): Promise<Caller> {
  return startCaller(scope, kind, { ...node, mapped, capabilities: ["CAP_SYSLOG"] });
}

/** The first line, and what is in the buffer. */
async function ask(caller: Caller, action: string, bytes = ALL) {
  const text = await caller.output([SYSLOG, "call", action, bytes]);
  const [line = ""] = text.split("\n");
  const [result, error] = line.split(" ");
  return { result: Number(result), error, text: text.slice(line.length + 1) };
}

/** The texts of records in the old format. */
function textsOf(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^<\d+>\[ *\d+\.\d{6}\] /, ""));
}

async function told({ daemon }: CallNode, { init }: Caller): Promise<string[]> {
  return (await kernelLogOf(daemon, init)).map(({ text }) => text);
}

const ofFile = fileScope();
beforeAll(() => void printAllFaults(ofFile));

let faults = 0;

/** After this long what the kernel has logged is taken for not told at all: its process ended while nobody looked. */
const NOT_TOLD_MS = 3000;

/**
 * Has the kernel log something of the container; returns a part of that which nothing else has. Each try has a name of
 * its own. Records are told in order, so no earlier one comes any more.
 */
function fault(node: CallNode, caller: Caller): Promise<string> {
  return until("the kernel has logged it, and it is told", async () => {
    faults += 1;
    const name = `fault${process.pid % 1000}x${faults}`;
    await caller.run([FAULT, name, "segfault"]);
    // Another run may have the kernel print few again.
    if (!(await output(["busybox", "dmesg"])).includes(name)) {
      return false;
    }
    const isTold = async () => (await told(node, caller)).some((line) => line.includes(name));
    return (await until("it is told", isTold, NOT_TOLD_MS).catch(() => false)) && name;
  });
}

function outputOf(caller: Caller, path: string): string {
  const file = join(caller.rootfs, path);
  return existsSync(file) ? readFileSync(file, "latin1") : "";
}

/** Starts a program of the container with its output in a file there; returns the file's path. */
function start(scope: Scope, caller: Caller, name: string, command: string): string {
  const path = `tmp/${name}`;
  // Runtimes that end leave what they have started: it would read what others wait for.
  scope.defer(async () => {
    await caller.run(["/bin/sh", "-c", `kill -9 $(cat /${path}.pid)`]);
  });
  const script = `echo $$ >/${path}.pid; exec ${command} >/${path} 2>&1`;
  caller.background(scope, ["/bin/sh", "-c", script]);
  return path;
}

/** Their way is that of the others. */
const LEFT_OUT = ["podman", "crun with a user namespace"];

for (const one of CALL_KINDS.filter((each) => !LEFT_OUT.includes(titleOf(each)))) {
  const { kind, mapped, needs } = one;
  const itWay = itOfWay(one);
  describeLive(titleOf(one), ["busybox", ...needs], () => {
    const scope = fileScope();
    let started: Promise<{ node: CallNode; caller: Caller }> | undefined;
    const ready = () => {
      started ??= (async () => {
        const node = await startCallNode(scope, "--standby", "on");
        return { node, caller: await startLogged(scope, kind, node, mapped) };
      })();
      return started;
    };

    it("reads the container's log and nothing else", async () => {
      const { node, caller } = await ready();
      const first = await ask(caller, READ_ALL);
      expect(textsOf(first.text)).toHaveLength(BANNER);
      expect(first.text).toMatch(/^<5>\[ *\d+\.\d{6}\] Linux version /);
      const name = await fault(node, caller);
      const { result, text } = await ask(caller, READ_ALL);
      expect(text).toHaveLength(result);
      expect(text).toContain(name);
      expect(textsOf(text)).toEqual(await told(node, caller));
      expect(await ask(caller, SIZE)).toMatchObject({ result: 65_536 });
    });

    itWay("reads destructively, once", async () => {
      const { node, caller } = await ready();
      const name = await fault(node, caller);
      const { result: bytes } = await ask(caller, UNREAD);
      const begin = await ask(caller, READ, "10");
      expect(begin.text).toMatch(/^<\d>\[ *\d/);
      const rest = await ask(caller, READ);
      expect(begin.text.length + rest.text.length).toBe(bytes);
      expect(rest.text).toContain(name);
      expect(await ask(caller, UNREAD)).toMatchObject({ result: 0 });
      // Others still have it.
      expect((await ask(caller, READ_ALL)).text).toBe(begin.text + rest.text);
    });

    itWay("clears", async () => {
      const { node, caller } = await ready();
      const first = await fault(node, caller);
      expect((await ask(caller, READ_CLEAR)).text).toContain(first);
      expect(await ask(caller, READ_ALL)).toEqual({ result: 0, error: "-", text: "" });
      const second = await fault(node, caller);
      const { text } = await ask(caller, READ_ALL);
      expect(text).toContain(second);
      expect(text).not.toContain(first);
      expect(await ask(caller, CLEAR)).toMatchObject({ result: 0 });
      expect(await ask(caller, READ_ALL)).toMatchObject({ result: 0 });
      for (const [action, bytes] of [
        ["8", "4"],
        ["6", "0"],
        ["7", "0"],
      ] as const) {
        expect(await ask(caller, action, bytes)).toEqual({ result: 0, error: "-", text: "" });
      }
    });

    itWay("refuses what the kernel refuses", async () => {
      const { node, caller } = await ready();
      await fault(node, caller);
      const lines = (await caller.output([SYSLOG, "refused"])).trimEnd().split("\n");
      expect(lines).toEqual(REFUSED);
    });

    itWay.runIf(process.arch === "x64")("programs of 32 bits get theirs", async () => {
      const { node, caller } = await ready();
      const name = await fault(node, caller);
      const text = await caller.output([SYSLOG, "call32", READ_ALL, ALL]);
      expect(text).toContain(name);
      expect(await caller.output([SYSLOG, "call32", "8", "9"])).toBe("-22\n");
    });

    itWay(
      "waits for records, over kills and reloads of the worker, and is interrupted",
      async () => {
        const { node, caller } = await ready();
        const own = testScope();
        const path = start(own, caller, "followed", `${SYSLOG} follow`);
        const before = await fault(node, caller);
        await until("it has the first", () => outputOf(caller, path).includes(before));
        expect(await caller.output([SYSLOG, "alarms", "3"])).toBe("interrupted\n");
        for (let round = 0; round < inLong(1, 2); round += 1) {
          const { workerPid, generation } = await statusOf(node.daemon);
          process.kill(workerPid, "SIGKILL");
          await servingAfter(node.daemon, generation);
          // Whoever waits holds nobody up.
          expect((await sysinfoOf(caller)).total).toBe(LIMITS.memory);
          const name = await fault(node, caller);
          await until("it has the next", () => outputOf(caller, path).includes(name));
        }
        const reload = await vprocfs("reload", "--mountpoint", node.daemon.mountpoint);
        expect(reload.stdout.toString()).toBe("reloaded\n");
        const last = await fault(node, caller);
        await until("it has the last", () => outputOf(caller, path).includes(last));
        // Every record once and in order.
        const texts = textsOf(outputOf(caller, path));
        const all = await told(node, caller);
        expect(texts).toEqual(all.slice(all.length - texts.length));
        expect(new Set(texts.filter((line) => line.includes("segfault"))).size).toBe(
          texts.filter((line) => line.includes("segfault")).length,
        );
      },
    );

    itWay("one call waits for as long as nothing comes, and no other call for it", async () => {
      const { node, caller } = await ready();
      // All that there is.
      while ((await ask(caller, UNREAD)).result > 0) {
        await ask(caller, READ);
      }
      const path = start(testScope(), caller, "waiting", `${SYSLOG} call ${READ} ${ALL}`);
      await until("it has begun", () => existsSync(join(caller.rootfs, `${path}.pid`)));
      for (let round = 0; round < 2; round += 1) {
        expect(await watched(caller, "", 200)).toMatchObject({ calls: 200, wrong: 0 });
        const { workerPid, generation } = await statusOf(node.daemon);
        process.kill(workerPid, "SIGKILL");
        await servingAfter(node.daemon, generation);
      }
      expect(outputOf(caller, path)).toBe("");
      const name = await fault(node, caller);
      await until("it has the record", () => outputOf(caller, path).includes(name));
      expect(outputOf(caller, path)).toMatch(/^[1-9]\d* -\n<6>/);
    });

    itWay("busybox dmesg and klogd have it", async () => {
      const { node, caller } = await ready();
      const own = testScope();
      const name = await fault(node, caller);
      const text = await caller.output(["busybox", "dmesg"]);
      expect(text).toContain(name);
      expect((await caller.run(["busybox", "dmesg", "-n", "4"])).status).toBe(0);
      expect(await caller.output(["busybox", "dmesg", "-c"])).toBe(text);
      expect(await caller.output(["busybox", "dmesg"])).toBe("");
      start(own, caller, "syslogd", "busybox syslogd -n -O /tmp/messages");
      await until("it listens", () => outputOf(caller, "tmp/messages").includes("syslogd started"));
      start(own, caller, "klogd", "busybox klogd -n");
      const later = await fault(node, caller);
      await until("klogd has it", () => outputOf(caller, "tmp/messages").includes(later));
      expect((await sysinfoOf(caller)).total).toBe(LIMITS.memory);
    });

    itWay.runIf(haveProgram("dmesg"))("dmesg -S, -c, -C and -n of util-linux have it", async () => {
      const { node, caller } = await ready();
      const name = await fault(node, caller);
      const dmesg = kind === "lxc" ? "/mnt/bin/dmesg" : "/usr/bin/dmesg";
      const ofIt = (...args: string[]) => caller.output([dmesg, "-S", ...args]);
      expect(await ofIt()).toContain(name);
      expect(await ofIt("-c")).toContain(name);
      expect(await ofIt()).toBe("");
      const later = await fault(node, caller);
      expect(await ofIt()).toContain(later);
      await caller.output([dmesg, "-C"]);
      expect(await ofIt()).toBe("");
      await caller.output([dmesg, "-n", "3"]);
      await caller.output([dmesg, "-D"]);
      await caller.output([dmesg, "-E"]);
    });
  });
}

describeLive("syslog(2) that is handed over", ["runc", "busybox"], () => {
  it("is refused where the kernel refuses it", async () => {
    const scope = testScope();
    const node = await startCallNode(scope);
    const caller = await startCaller(scope, "runc", node);
    const isRestricted = readFileSync("/proc/sys/kernel/dmesg_restrict", "utf8").trim() !== "0";
    for (let action = -1; action <= 11; action += 1) {
      const { result, error, text } = await ask(caller, `${action}`);
      const free = !isRestricted && (action === Number(READ_ALL) || action === Number(SIZE));
      expect([error, result < 0], `${action}`).toEqual(free ? ["-", false] : ["EPERM", true]);
      expect(text === "").toBe(!free || action === Number(SIZE));
    }
  });

  it.runIf(haveProgram("podman"))("busybox dmesg has it in podman's container", async () => {
    const scope = testScope();
    const node = await startCallNode(scope);
    const caller = await startLogged(scope, "podman", node);
    const name = await fault(node, caller);
    const text = await caller.output(["busybox", "dmesg", "-c"]);
    expect(text).toContain("Linux version");
    expect(text).toContain(name);
    expect(await caller.output(["busybox", "dmesg"])).toBe("");
  });

  const kinds: readonly Kind[] = haveProgram("lxc-create") ? ["runc", "lxc"] : ["runc"];

  it.each(kinds)("is refused in %s without logs, and while vprocfs is stopped", async (kind) => {
    const scope = testScope();
    const node = await startCallNode(scope, "--kernel-log", "off");
    const caller = await startLogged(scope, kind, node);
    const all = async () => {
      for (let action = 0; action <= 10; action += 1) {
        expect(await ask(caller, `${action}`)).toEqual({ result: -1, error: "EPERM", text: "" });
      }
    };
    await all();
    await node.daemon.stop();
    await all();
    // The kernel answers others.
    expect((await sysinfoOf(caller)).total).toBeGreaterThan(0);
  });

  it("ends for those who wait when vprocfs is stopped", async () => {
    const scope = testScope();
    const node = await startCallNode(scope);
    const caller = await startLogged(scope, "runc", node);
    const path = start(scope, caller, "followed", `${SYSLOG} follow`);
    await until("it has the banner", () => outputOf(caller, path).split("\n").length > BANNER);
    await node.daemon.stop();
    await until("it is refused", () => outputOf(caller, path).endsWith("EPERM\n"));
  });

  it("waits for less than ten seconds, so that a container can be frozen", async () => {
    const scope = testScope();
    const caller = await startLogged(scope, "runc", await startCallNode(scope));
    expect((await ask(caller, READ)).result).toBeGreaterThan(0);
    const begun = performance.now();
    expect(await ask(caller, READ)).toMatchObject({ result: -1, error: "EINTR" });
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  it.each(kinds)("has few wait of one %s container, and nobody else for them", async (kind) => {
    const scope = testScope();
    const node = await startCallNode(scope);
    const hostile = await startLogged(scope, kind, node);
    const other = await startLogged(scope, "runc", node);
    await ask(hostile, READ);
    const path = start(scope, hostile, "waiters", `${SYSLOG} waiters 300`);
    // Of these all but a few are told that they may not.
    await until("the others are refused", () => {
      return outputOf(hostile, path).split("EAGAIN\n").length - 1 >= 292;
    });
    for (const caller of [other, hostile]) {
      expect(await watched(caller, "", 50)).toMatchObject({ calls: 50, wrong: 0 });
    }
    const followed = start(scope, other, "followed", `${SYSLOG} follow`);
    const name = await fault(node, other);
    await until("it has its record", () => outputOf(other, followed).includes(name));
    expect(outputOf(hostile, path)).not.toContain(name);
    // Whoever was killed leaves room for others.
    // Some end by themselves meanwhile, which killall takes for a failure.
    await hostile.run(["busybox", "killall", "-9", "syslog"]);
    const late = start(scope, hostile, "late", `${SYSLOG} follow`);
    const own = await fault(node, hostile);
    await until("it waits as any", () => outputOf(hostile, late).includes(own));
    expect(outputOf(hostile, late)).not.toContain("EAGAIN");
  });

  it("keeps a flood of one container from others", async () => {
    const scope = testScope();
    const node = await startCallNode(scope);
    const flooding = await startLogged(scope, "runc", node);
    const other = await startLogged(scope, "runc", node);
    await fault(node, flooding);
    const paths = [1, 2, 3].map((i) =>
      start(scope, flooding, `flood${i}`, `${SYSLOG} flood /tmp/stop`),
    );
    for (const path of paths) {
      await until("it floods", () => outputOf(flooding, path).includes("floods"));
    }
    // Each within the patience of a caller, on however busy a machine.
    const quiet = await watched(other, "", 200);
    expect(quiet).toMatchObject({ calls: 200, wrong: 0 });
    expect(quiet.longestUs).toBeLessThan(2_000_000);
    writeFileSync(join(flooding.rootfs, "tmp/stop"), "");
    for (const path of paths) {
      await until("it ends", () => /^\d+ 0$/m.test(outputOf(flooding, path)));
    }
  });
});

/** The PIDs of a container's processes, by the numbers that they have inside. */
function pidsIn(container: Container): Map<string, string> {
  const pids = container.cgroup.read("memory", "cgroup.procs").split("\n");
  const inside = (pid: string) =>
    /^NSpid:.*\s(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
  return new Map(pids.map((pid) => [inside(pid), pid]));
}

describeLive("calls of syslog(2) of one of LXC's monitors", ["python3"], () => {
  it.runIf(process.arch === "x64")(
    "that wait end, whichever filter they came through, also after the worker's",
    async () => {
      const scope = testScope();
      const node = await startCallNode(scope, "--standby", "on");
      const container = await Container.start(scope);
      const script = join(project, "test/support/native/side_monitor.py");
      const argv = ["python3", script, join(node.sockets, "lxc.sock")];
      const monitor = follow(scope, container, argv);
      const inner = await until("it has callers", () => /^\d+ \d+$/m.exec(monitor.text)?.[0]);
      const pids = pidsIn(container);
      const seen = inner.split(" ").map((pid) => pids.get(pid));
      monitor.child.stdin?.write(`${seen.join(" ")}\n`);
      const times = (line: string) => monitor.text.split(`${line}\n`).length - 1;
      const held: number[] = [];
      for (const [round, change] of [undefined, "kill", undefined].entries()) {
        for (const number of [0, 1]) {
          monitor.child.stdin?.write(`${number}\n`);
          await until("it waits", () => times(`${number} waits`) === round + 1);
        }
        held.push((await statusOf(node.daemon)).descriptors);
        if (change === "kill") await replaceWorker(node.daemon, change);
        // What one of them reads the other one does not.
        await until("both have read something", async () => {
          await container.run([program("fault"), "waited", "segfault"]);
          return times("0 has read") > round && times("1 has read") > round;
        });
      }
      // One for each filter, however often they wait.
      expect(held).toEqual([held[0], held[0], held[0]]);
    },
  );
});

describeLive("when vprocfs is stopped while no worker serves", ["runc", "lxc-create"], () => {
  it.each<Kind>(["runc", "lxc"])("calls that wait in %s containers end", async (kind) => {
    const scope = testScope();
    const config = join(temporaryDirectory(scope, "stopped"), "vprocfs.toml");
    writeFileSync(config, "patience-ms = 1000\n");
    const node = await startCallNode(scope, "--config", config, "--standby", "off");
    const caller = await startLogged(scope, kind, node);
    while ((await ask(caller, UNREAD)).result > 0) {
      await ask(caller, READ);
    }
    const path = start(scope, caller, "waiting", `${SYSLOG} call ${READ} ${ALL}`);
    await until("it has begun", () => existsSync(join(caller.rootfs, `${path}.pid`)));
    await watched(caller, "", 200);
    writeFileSync(config, "no-such-key = 1\n");
    process.kill((await statusOf(node.daemon)).workerPid, "SIGKILL");
    await until("no worker serves", async () => {
      return (await statusOf(node.daemon)).state === "refusing";
    });
    expect(outputOf(caller, path)).toBe("");
    await node.daemon.stop();
    await until("it has ended", () => outputOf(caller, path) !== "");
    expect(outputOf(caller, path)).toBe("-1 EPERM\n");
  });
});
