// Real programs on a container's kernel log, and what containers do to break it.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { readStatus } from "../../src/keeper-status.js";
import { installedHooks, report } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { output } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon } from "../support/daemon.js";
import { follow, hasBanner } from "../support/follow.js";
import { printAllFaults } from "../support/kernel-log.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { ticksOf } from "../support/ticks.js";
import { until } from "../support/wait.js";
import { replaceWorker } from "./never-down-support.js";

const WATCH = join(project, "test/support/native/kmsg_watch.py");
const BANNER = 4;
const LIMITS = { memory: 64 * MIB, swap: 0 };
/** Ends with an error where there is no more. */
const READ_ALL = ["dd", "if=/dev/kmsg", "bs=64k", "iflag=nonblock"];
const ofFile = fileScope();
beforeAll(() => void printAllFaults(ofFile));

const STARVE = ["sh", "-c", "echo $$; exec tail /dev/zero"];

async function attached(scope: Scope, daemon: Daemon): Promise<Container> {
  const container = await Container.start(scope, LIMITS);
  await report(daemon, container.init);
  return container;
}

describeLive("programs that read a kernel log", ["python3", "dmesg", "dd"], () => {
  it.each(["kubelet", "go"])(
    "a watcher like %s's sees each kill once, across workers",
    async (how) => {
      const scope = testScope();
      const daemon = await Daemon.start(scope, "--standby", "on");
      const container = await attached(scope, daemon);
      const watcher = follow(scope, container, ["python3", WATCH, how]);
      await until("it watches", () => watcher.text.startsWith("ready\n"));
      const pids: string[] = [];
      for (const change of ["kill", "reload", undefined] as const) {
        const pid = `${(await container.run(STARVE)).stdout}`.trim();
        pids.push(pid);
        await until("the kill is told", () =>
          watcher.text.includes(`Killed process ${pid} (tail)`),
        );
        if (change !== undefined) {
          await replaceWorker(daemon, change);
        }
      }
      await container.shell("echo the end >/dev/kmsg");
      expect(await watcher.ended).toEqual([0, null]);
      const lines = watcher.text.trimEnd().split("\n").slice(1);
      // What kubelet's OOM watcher looks for.
      const kills = lines.flatMap((line) => {
        const found = /oom-kill:constraint=CONSTRAINT_MEMCG,.*,task=(.+),pid=(\d+),uid=0$/.exec(
          line,
        );
        return found === null ? [] : [found.slice(1)];
      });
      expect(kills).toEqual(pids.map((pid) => ["tail", pid]));
      const numbers = lines.map((line) => Number(line.split(" ")[1]));
      expect(numbers).toEqual(numbers.map((_, i) => BANNER + i));
    },
  );

  it("dd, head and grep have one record for each read", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await attached(scope, daemon);
    const whole = await container.output(["dd", "if=/dev/kmsg", "bs=64k", `count=${BANNER}`]);
    expect(whole.trimEnd().split("\n")).toHaveLength(BANNER);
    const one = await container.run(["dd", "if=/dev/kmsg", "bs=1", "count=1"]);
    expect([one.status, one.stdout.toString()]).toEqual([1, ""]);
    expect(`${one.stderr}`).toContain("Invalid argument");
    const none = await container.run(READ_ALL);
    expect([none.status, `${none.stdout}`]).toEqual([1, whole]);
    expect(`${none.stderr}`).toContain("Resource temporarily unavailable");
    const lines = ["-n", `${BANNER}`];
    expect(await container.output(["head", ...lines, "/dev/kmsg"])).toBe(whole);
    expect(await container.output(["grep", "-m1", "Brought up", "/dev/kmsg"])).toContain(
      "Brought up",
    );
    const taken = await container.output(["dd", "if=/proc/kmsg", "bs=1", "count=3"]);
    expect(taken).toMatch(/^<\d>$/);
  });

  it("dmesg -w goes on across workers", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--standby", "on");
    const container = await attached(scope, daemon);
    const whole = follow(scope, container, ["dmesg", "-w"]);
    const fresh = follow(scope, container, ["dmesg", "-W"]);
    await until("it reads", () => hasBanner(whole.text));
    // The second one says nothing yet: its first record may come before it has begun.
    await until("both read", async () => {
      await container.shell("echo begun >/dev/kmsg");
      return fresh.text.includes("begun");
    });
    for (const change of ["kill", "kill", "reload"] as const) {
      await container.shell(`echo before ${change} >/dev/kmsg`);
      await replaceWorker(daemon, change);
      await container.shell(`echo after ${change} >/dev/kmsg`);
    }
    const end = [
      "before kill",
      "after kill",
      "before kill",
      "after kill",
      "before reload",
      "after reload",
    ];
    for (const { text } of [whole, fresh]) {
      expect(text).not.toBe("");
    }
    for (const reader of [whole, fresh]) {
      const told = () => reader.text.split("\n").map((line) => line.replace(/^\[.*?\] /, ""));
      await until(
        "it has all",
        () => told().filter((line) => /^(before|after)/.test(line)).length >= end.length,
      );
      expect(told().filter((line) => /^(before|after)/.test(line))).toEqual(end);
    }
  });
});

const SYSTEMD = "/lib/systemd/systemd";
const JOURNALD = "systemd-journald.service";

/** A unit that has nothing to do with what else a machine starts. */
function unit(name: string, ...lines: readonly string[]): string {
  const all = ["[Unit]", "DefaultDependencies=no", ...lines];
  return `cat >$units/${name} <<'EOF'\n${all.join("\n")}\nEOF`;
}

/** What a machine of systemd's has at least: a journal; and services that hide kernel logs. */
const FIRST = [
  "#!/bin/sh",
  "units=/etc/systemd/system",
  "mkdir -p $units",
  "echo 0123456789abcdef0123456789abcdef >/etc/machine-id",
  "printf 'root:x:0:\\nsystemd-journal:x:101:\\n' >/etc/group",
  unit("default.target", `Wants=${JOURNALD}`),
  ...["ProtectKernelLogs", "PrivateDevices"].map((setting) =>
    unit(
      `${setting}.service`,
      "[Service]",
      `${setting}=yes`,
      "Type=oneshot",
      "ExecStart=/bin/true",
    ),
  ),
  `exec ${SYSTEMD}`,
  "",
].join("\n");

describeLive(
  "systemd as a container's init",
  ["lxc-start", "lxc-attach", "journalctl", "systemctl"],
  () => {
    it("keeps the kernel's log in its journal, over workers, a detach and an attach", async () => {
      const scope = testScope();
      const daemon = await Daemon.start(scope, "--standby", "on");
      const hooks = installedHooks(scope, daemon.mountpoint);
      const container = await LxcContainer.start(scope, {
        memory: 128 * MIB,
        swap: 0,
        quota: 1,
        hostUsr: true,
        scripts: { "etc/first": FIRST },
        lines: [
          `lxc.include = ${hooks.lxc}`,
          "lxc.init.cmd = /etc/first",
          "lxc.mount.auto = cgroup:mixed",
        ],
      });
      const journal = async (...flags: readonly string[]) =>
        `${(await container.run(["journalctl", "--no-pager", "-o", "cat", ...flags])).stdout}`;
      const journaled = async (text: string) => {
        await container.output(["sh", "-c", `echo '<4>${text}' >/dev/kmsg`]);
        await until(`the journal has ${text}`, async () => (await journal("-k")).includes(text));
      };
      const hides = async () => {
        const names = ["ProtectKernelLogs", "PrivateDevices"];
        await container.output(["systemctl", "restart", ...names]);
      };
      await until("there is a journal", async () =>
        (await journal("-k")).includes("Linux version"),
      );
      await journaled("the first");
      const { stdout } = await container.run(STARVE);
      const kill = `Killed process ${`${stdout}`.trim()} (tail)`;
      await until("the journal has the kill", async () => (await journal("-k")).includes(kill));
      await hides();
      for (const how of ["kill", "reload"] as const) {
        await replaceWorker(daemon, how);
        await journaled(`after ${how}`);
      }
      await hides();
      await container.output(["systemctl", "restart", JOURNALD]);
      await journaled("after its restart");
      await report(daemon, container.init, ["--detach"]);
      expect(await container.output(["ls", "/dev"])).not.toContain("kmsg");
      await hides();
      await container.output(["systemctl", "restart", JOURNALD]);
      await report(daemon, container.init);
      await hides();
      await container.output(["systemctl", "restart", JOURNALD]);
      await journaled("after it was attached again");
      const show = ["systemctl", "show", "--value", "-p", "MainPID", JOURNALD];
      const stat = `/proc/${(await container.output(show)).trim()}/stat`;
      const before = ticksOf(await container.output(["cat", stat]));
      await sleep(1000);
      // Of 100: an empty log wakes nobody.
      expect(ticksOf(await container.output(["cat", stat])) - before).toBeLessThan(10);
      expect(await journal()).not.toMatch(/missed \d+ kernel messages/i);
      const kernels = (await journal("-k")).split("\n");
      expect(kernels.filter((line) => line === "the first")).toHaveLength(1);
    });
  },
  existsSync(SYSTEMD) ? [] : [`no ${SYSTEMD}`],
);

// Each of these begins as a line of the kernel's own does, or ends one before its time.
const NAMES = [
  "a\noom-kill:\nb",
  "Killed process ",
  "oom-kill:constr",
  "x[1]: segfault ",
  "Code: 90 90",
] as const;

describeLive("a kernel log that somebody attacks", ["dd"], () => {
  it("names of processes neither reach others nor change whose a record is", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const hostile = await attached(scope, daemon);
    const other = await attached(scope, daemon);
    for (const name of NAMES) {
      const escaped = name.replaceAll("\n", "\\x0a");
      // Another run may have the kernel print few again.
      await until(`${name} is told`, async () => {
        const { stdout } = await hostile.run([program("fault"), name, "segfault"]);
        const line = `${escaped}[${`${stdout}`.trim()}]: segfault at 8 `;
        return `${(await hostile.run(READ_ALL)).stdout}`.includes(line);
      });
    }
    const told = `${(await other.run(READ_ALL)).stdout}`;
    expect(told.trim().split("\n")).toHaveLength(BANNER);
  });

  it("names of cgroups neither reach others nor change whose a kill is", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const hostile = await attached(scope, daemon);
    const other = await attached(scope, daemon);
    const names = [
      `,task_memcg=_${other.cgroup.name},task=a,pid=1,uid=0`,
      ` killed as a result of limit of _${other.cgroup.name}`,
      "a b [1]: segfault at 8",
    ];
    const starve = 'echo 0 >"$1/cgroup.procs" && echo $$ && exec tail /dev/zero';
    for (const name of names) {
      const cgroup = hostile.cgroup.child(scope, name);
      cgroup.limit({ memory: 16 * MIB, swap: 0 });
      const argv = ["sh", "-c", starve, "sh", cgroup.directory("memory")];
      const pid = `${(await hostile.run(argv)).stdout}`.trim();
      await until(`the kill in ${name} is told`, async () =>
        `${(await hostile.run(READ_ALL)).stdout}`.includes(`Killed process ${pid} (tail)`),
      );
    }
    const told = `${(await other.run(READ_ALL)).stdout}`;
    expect(told.trim().split("\n")).toHaveLength(BANNER);
  });

  describe.each(["auto", "off"])("bpf %s: whoever takes the PID of one that crashes", (bpf) => {
    const ofBoth = fileScope();
    let daemon: Daemon;

    beforeAll(async () => {
      daemon = await Daemon.start(ofBoth, "--bpf", bpf, "--watchdog-ms", "60000");
    });

    it.each([
      ["lives", "at once"],
      ["lives", "late"],
      ["logs", "at once"],
      ...(bpf === "auto"
        ? [
            ["crashes", "at once"],
            ["crashes", "late"],
          ]
        : []),
    ])("is not told of it: it %s, all is read %s", async (how, when) => {
      const scope = testScope();
      const former = await attached(scope, daemon);
      const later = await attached(scope, daemon);
      const logOf = async (container: Container) => `${(await container.run(READ_ALL)).stdout}`;
      const tries = { victims: 0 };
      const crash = async () => {
        tries.victims += 1;
        const victim = `gone${process.pid % 1000}x${tries.victims}`;
        const taker = `took${process.pid % 1000}x${tries.victims}`;
        const waits = ["sh", "-c", `read go; exec ${program("fault")} ${victim} segfault`];
        const crashing = follow(scope, former, waits);
        const pid = await until("the victim waits", () =>
          former.cgroup
            .read("memory", "cgroup.procs")
            .split("\n")
            .find(
              (one) =>
                one !== "" && readFileSync(`/proc/${one}/cmdline`, "utf8").startsWith("sh\0-c"),
            ),
        );
        const taking = follow(scope, later, [program("taken"), pid, taker, how]);
        await until("somebody wants its PID", () => taking.text.startsWith("ready\n"));
        crashing.child.stdin?.end("go\n");
        await crashing.ended;
        await until("its PID is taken", () => taking.text.endsWith("taken\n"));
        return { victim, taker, pid, taking };
      };
      // Another run may have the kernel print few again.
      const told = () =>
        until("the kernel tells of it", async () => {
          const names = await crash();
          return (await output(["dmesg"])).includes(`${names.victim}[`) && names;
        });
      const { workerPid } = await readStatus(daemon.mountpoint);
      const stop = (signal: string) => when === "late" && process.kill(workerPid, signal);
      stop("SIGSTOP");
      const { victim, taker, pid, taking } = await told().finally(() => stop("SIGCONT"));
      if (how === "logs") {
        // The same here.
        const own = `pid=20000 comm="${taker}"`;
        await until("its logged calls are its own", async () => {
          taking.child.stdin?.write("\n");
          return (await logOf(later)).includes(own);
        });
        expect(await output(["dmesg"])).toContain(`pid=${pid} comm="${taker}"`);
      }
      // Whatever is told of it has been told when a later record is.
      writeFileSync(join(later.cgroup.directory("pids"), "pids.max"), "8");
      await later.run([program("fault"), "forks", "forks", "20"]);
      await until("it is told of what comes after", async () =>
        (await logOf(later)).includes("fork rejected"),
      );
      expect(await logOf(later)).not.toContain(victim);
      expect(await logOf(former)).not.toContain(taker);
      if (bpf === "auto" && how === "lives") {
        expect(await logOf(former)).toContain(`${victim}[`);
      }
    });
  });
});
