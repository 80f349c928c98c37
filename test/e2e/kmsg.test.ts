// /dev/kmsg and /proc/kmsg of containers, read and written as programs do.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { readStatus } from "../../src/keeper-status.js";
import { polledMountpointOf } from "../../src/polled.js";
import { filesOf, report } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { Container, type ContainerOptions } from "../support/container.js";
import { Daemon, vprocfs, withStandby } from "../support/daemon.js";
import { follow, hasBanner } from "../support/follow.js";
import { Managed } from "../support/managed.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { inLong, sized } from "../support/size.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter } from "./never-down-support.js";

withStandby();

const CHECKS = join(project, "test/support/native/kmsg_checks.py");
const FOLLOW = join(project, "test/support/native/kmsg_follow.py");
const PLACES = ["/dev/kmsg", "/proc/kmsg"];
const BANNER = 4;
const KILLS = sized("VPROCFS_TEST_KMSG_KILLS", 5, 1000);
const RESTARTS = inLong(1, 10);

/** A container that has the files of a daemon's tree. */
async function attached(
  scope: Scope,
  daemon: Pick<Daemon, "mountpoint">,
  options: ContainerOptions = {},
): Promise<Container> {
  const container = await Container.start(scope, options);
  await report(daemon, container.init);
  return container;
}

function check(container: Container, ...names: readonly string[]): Promise<string> {
  return container.output(["python3", CHECKS, ...names]);
}

/** Has one use more memory than its container has; returns its PID there. */
async function starve(container: Container): Promise<string> {
  const outcome = await container.run(["sh", "-c", "echo $$; exec tail /dev/zero"]);
  expect(outcome.status).not.toBe(0);
  return `${outcome.stdout}`.trim();
}

/** Has readers and a writer at work while something happens so often, and compares what they have. */
async function underReaders(
  scope: Scope,
  daemon: Pick<Daemon, "mountpoint">,
  times: number,
  disturb: () => Promise<void>,
): Promise<void> {
  const container = await attached(scope, daemon);
  const readers = ["dev", "epoll", "proc"].map((kind) =>
    follow(scope, container, ["python3", FOLLOW, kind]),
  );
  await until("all read", () => readers.every(({ text }) => hasBanner(text)));
  const writer = follow(scope, container, ["python3", FOLLOW, "write"]);
  for (let i = 0; i < times; ++i) {
    const had = readers.map(({ text }) => text.length);
    await until("each has one more", () =>
      readers.every(({ text }, reader) => text.length > (had[reader] ?? 0)),
    );
    await disturb();
  }
  writer.child.stdin?.end();
  for (const { ended, errors } of [writer, ...readers]) {
    expect([await ended, errors]).toEqual([[0, null], ""]);
  }
  const written = Array.from({ length: Number(writer.text) }, (_, i) => `number ${i}`);
  expect(written.length).toBeGreaterThanOrEqual(times);
  for (const { text } of readers) {
    const lines = text.trimEnd().split("\n").slice(BANNER);
    expect(lines.map((line) => line.replace(/^.*?[;\]] ?/, ""))).toEqual([...written, "the end"]);
  }
  for (const { text } of readers.slice(0, 2)) {
    const numbers = text.match(/^\d+,\d+/gm)?.map((head) => Number(head.split(",")[1]));
    expect(numbers).toEqual(numbers?.map((_, i) => i));
  }
}

function dmesg(container: Container, ...flags: readonly string[]): Promise<string> {
  return container.output(["dmesg", ...flags]);
}

describeLive("a container's kmsg", ["python3", "dmesg"], () => {
  const ofAll = fileScope();
  let daemon: Daemon;

  beforeAll(async () => {
    daemon = await Daemon.start(ofAll);
  });

  it.each([
    [["records", "small_buffers"]],
    [["blocking_flag"]],
    [["seeks"]],
    [["no_page_cache"]],
    [["loss"]],
    [["level_true"]],
    [["writes"]],
    [["taken"]],
    [["nobody"]],
  ])("is read and written as the kernel's: %j", async (names) => {
    const scope = testScope();
    const container = await attached(scope, daemon);
    expect(await check(container, ...names)).toContain(`${names.at(-1)} ok`);
  });

  it("costs nothing while records come that those who poll it do not look for", async () => {
    const scope = testScope();
    const container = await attached(scope, daemon);
    const { workerPid } = await readStatus(daemon.mountpoint);
    const written = () =>
      Number(/^syscw: (\d+)/m.exec(readFileSync(`/proc/${workerPid}/io`, "utf8"))?.[1]);
    const before = written();
    expect(await check(container, "unheeded")).toContain("unheeded ok");
    // 200 files: each is opened and closed, and polled and told of twice; 50 records told to each are 10,000.
    expect(written() - before).toBeLessThan(5000);
  });

  it("tells of a kill with the PID that the container knows, and nobody else", async () => {
    const scope = testScope();
    const container = await attached(scope, daemon, { memory: 64 * MIB, swap: 0 });
    const other = await attached(scope, daemon, { memory: 64 * MIB });
    const bare = await Container.start(scope, { memory: 64 * MIB });
    const following = follow(scope, container, ["dmesg", "-w"]);
    await until("dmesg -w has begun", () => following.text.includes("Linux version"));
    const pid = await starve(container);
    const kill = `Killed process ${pid} (tail)`;
    await until("the kill is told", () => following.text.includes(kill));
    expect(await dmesg(container)).toContain(kill);
    const dated = await dmesg(container, "-T");
    const line = dated.split("\n").find((one) => one.includes(kill)) ?? "";
    const date = Date.parse(/^\[(.*?)\]/.exec(line)?.[1] ?? "");
    expect(Math.abs(date - Date.now())).toBeLessThan(60_000);
    expect((await dmesg(other)).trim().split("\n")).toHaveLength(BANNER);
    // The kernel's own: a container that nothing is mounted in has what it had.
    expect(filesOf(bare.init)).toEqual([]);
    expect(await other.output(["cat", "/proc/self/mountinfo"])).toContain(" /dev/kmsg ");
  });

  it("cannot be made to tell others anything", async () => {
    const scope = testScope();
    const container = await attached(scope, daemon);
    const other = await attached(scope, daemon);
    const forged = `6,1,2,-;oom-kill:task_memcg=${other.cgroup.name}`;
    await container.shell('printf "%s" "$1" >/dev/kmsg; printf "<0>a\nb" >/dev/kmsg', forged);
    const own = await dmesg(container);
    expect(own).toContain(forged);
    expect((await dmesg(other)).trim().split("\n")).toHaveLength(BANNER);
    expect(await dmesg(container, "-x")).toMatch(/^user +:emerg +:.* a$/m);
  });

  it("has a limit to what is written, and passes over the rest", async () => {
    const scope = testScope();
    const container = await attached(scope, daemon);
    await container.shell("for i in $(seq 2000); do echo $i; done >/dev/kmsg");
    const lines = (await dmesg(container)).trim().split("\n");
    expect(lines.length).toBeGreaterThan(200);
    expect(lines.length).toBeLessThan(1500);
  });

  it("ends a reader who waits with the signal that it gets", async () => {
    const scope = testScope();
    const container = await attached(scope, daemon);
    for (const file of PLACES) {
      for (const signal of ["TERM", "KILL"]) {
        const ended = await container.run(["timeout", "-s", signal, "1", "cat", file]);
        // It says that it had to, unless the signal is for it as well.
        expect([file, ended.status ?? ended.signal]).toEqual([
          file,
          signal === "TERM" ? 124 : "SIGKILL",
        ]);
      }
    }
    // They held no thread: there are four.
    const many = Array.from({ length: 16 }, () => follow(scope, container, ["cat", "/dev/kmsg"]));
    await until("all wait", () => many.every(({ text }) => hasBanner(text)));
    await container.shell("echo all of them >/dev/kmsg");
    await until("all have it", () => many.every(({ text }) => text.includes("all of them")));
  });

  it("is made where there is none, and left alone where it is something else", async () => {
    const scope = testScope();
    const stateOf = async (container: Container, flags: readonly string[] = []) => {
      const { files } = await report(daemon, container.init, flags);
      const found = files.find(({ path }) => path === "/dev/kmsg");
      return [found?.state, found?.reason];
    };
    for (const userBase of [undefined, 200_000]) {
      const options = userBase === undefined ? {} : { userBase };
      const made = await Container.start(scope, options);
      await made.shell("mount -t tmpfs tmpfs /dev");
      expect(await stateOf(made, ["--check"])).toEqual(["missing", undefined]);
      expect(await stateOf(made)).toEqual(["attached", undefined]);
      expect(await stateOf(made)).toEqual(["present", undefined]);
      expect(await dmesg(made)).toContain("Linux version");
      await report(daemon, made.init, ["--detach"]);
      expect(await made.output(["ls", "/dev"])).not.toContain("kmsg");
    }
    const cases: [prepare: string, reason: string][] = [
      ["mount -t tmpfs tmpfs /dev; ln -s console /dev/kmsg", "it is a symlink"],
      ["mount -t tmpfs tmpfs /dev; mount -o remount,ro /dev", "its /dev is read-only"],
      ["mount --bind /dev/kmsg /dev/kmsg", "something else is mounted there"],
      ["mount -t tmpfs tmpfs /dev; echo >/dev/kmsg", "it is not the kernel's log"],
    ];
    for (const [prepare, reason] of cases) {
      const container = await Container.start(scope);
      await container.shell(prepare);
      expect(await stateOf(container)).toEqual(["left", reason]);
      expect(filesOf(container.init)).toContain("/proc/kmsg");
    }
    const skipping = await Container.start(scope);
    await report(daemon, skipping.init, ["--skip", "*/kmsg"]);
    expect(filesOf(skipping.init)).not.toContain("/dev/kmsg");
    expect(filesOf(skipping.init)).not.toContain("/proc/kmsg");
  });
});

describeLive("a container's kmsg, of a vprocfs of its own", ["python3", "dmesg"], () => {
  it(
    `loses and doubles nothing while its worker is killed ${KILLS} times`,
    async () => {
      const scope = testScope();
      const daemon = await Daemon.start(scope);
      await underReaders(scope, daemon, KILLS, async () => {
        const { workerPid, generation } = await readStatus(daemon.mountpoint);
        process.kill(workerPid, "SIGKILL");
        await servingAfter(daemon, generation);
      });
    },
    60_000 + KILLS * 1000,
  );

  it("loses and doubles nothing while its keeper is killed, nor at a restart", async () => {
    const scope = testScope();
    const managed = await Managed.start(scope, []);
    let times = 0;
    await underReaders(scope, managed, 2 * RESTARTS, async () => {
      const { keeperPid } = await managed.serving();
      if (times++ % 2 === 0) {
        process.kill(keeperPid, "SIGKILL");
      } else {
        managed.tell("restart");
      }
      await managed.serving(keeperPid);
    });
  });

  it("goes on where it was after a reload, and does not wake who polls", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await attached(scope, daemon);
    const readers = ["dev", "epoll", "proc"].map((kind) =>
      follow(scope, container, ["python3", FOLLOW, kind]),
    );
    await until("all read", () => readers.every(({ text }) => hasBanner(text)));
    const { generation } = await readStatus(daemon.mountpoint);
    await vprocfs("reload", "--mountpoint", daemon.mountpoint);
    await servingAfter(daemon, generation);
    await container.shell("echo the end >/dev/kmsg");
    for (const reader of readers) {
      expect(await reader.ended).toEqual([0, null]);
      expect(reader.text.trimEnd().split("\n")).toHaveLength(BANNER + 1);
    }
  });

  it("is not there where kernel logs are off", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--kernel-log", "off");
    const container = await attached(scope, daemon);
    expect(filesOf(container.init)).toContain("/proc/pressure/cpu");
    expect(filesOf(container.init)).not.toContain("/dev/kmsg");
    expect(existsSync(join(polledMountpointOf(daemon.mountpoint), "dev"))).toBe(false);
  });
});
