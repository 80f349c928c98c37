// What ps, top, uptime and who make of uptime, btime and the start times of processes, in containers
// with and without a time namespace: docs/reference/files.md says what was chosen and why.

import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { beforeAll, describe, expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { haveProgram } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon } from "../support/daemon.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { OciContainer } from "../support/oci.js";
import { stat, uptime } from "../support/procfile.js";
import type { Inside } from "../support/shows.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { top } from "../support/top.js";
import { until } from "../support/wait.js";

const LIMITS = { memory: 64 * MIB, swap: 0, quota: 1 };

function hostUptime(): number {
  return Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
}

/** Seconds since the epoch at which a process of the host's view began. */
function startedAt(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const ticks = Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]);
  return Date.now() / 1000 - hostUptime() + ticks / 100;
}

async function secondsOf(inside: Inside, argv: readonly string[]): Promise<number> {
  const text = (await inside.output(argv)).trim();
  return Date.parse(text.includes("GMT") ? text : `${text} GMT`) / 1000;
}

/** lstart in seconds since the epoch, as the container's ps prints it for its init. */
function lstart(inside: Inside): Promise<number> {
  return secondsOf(inside, ["env", "TZ=UTC", "LC_ALL=C", "ps", "-o", "lstart=", "-p", "1"]);
}

async function etimes(inside: Inside): Promise<string> {
  return (await inside.output(["ps", "-o", "etimes=", "-p", "1"])).trim();
}

/** "up" of procps' programs in seconds, which print no less than minutes. */
function upOf(text: string): number {
  const [, days, hours, minutes] =
    /up +(?:(\d+) days?, +)?(?:(\d+):)?(\d+)(?: min)?,/.exec(text) ?? [];
  expect(minutes, text).toBeDefined();
  return (Number(days ?? 0) * 24 * 60 + Number(hours ?? 0) * 60 + Number(minutes)) * 60;
}

/** What clocks that are read one after the other, and rounding, may be off by. */
const SLACK_S = 3;

/** That what `read` says is the age of what began at `bornS`, at some moment of the reading. */
async function checkAge(
  bornS: number,
  read: () => Promise<number>,
  roundedDownS = 0,
): Promise<void> {
  const least = Date.now() / 1000 - bornS - SLACK_S - roundedDownS;
  const age = await read();
  expect(age).toBeGreaterThanOrEqual(least);
  expect(age).toBeLessThanOrEqual(Date.now() / 1000 - bornS + SLACK_S);
}

/** What holds for every container: nothing is negative, in the future or of the node. */
async function checkUp(inside: Inside, bornS: number): Promise<void> {
  await checkAge(bornS, async () => uptime(await inside.output(["cat", "/proc/uptime"])).up);
  const since = await secondsOf(inside, ["env", "TZ=UTC", "uptime", "-s"]);
  expect(Math.abs(since - bornS)).toBeLessThan(SLACK_S);
  await checkAge(bornS, async () => upOf(await inside.output(["uptime"])), 60);
  const topSays = () => inside.output(top("-b", "-n", "1"));
  await checkAge(bornS, async () => upOf((await topSays()).split("\n")[0] ?? ""), 60);
  // Of a container without utmp who(1) says nothing, and nothing of ours makes it say something.
  expect(await inside.output(["who", "-b"])).not.toMatch(/19\d\d|-\d/);
}

/** Without a time namespace the kernel tells start times since the node's boot. */
async function checkPlain(inside: Inside): Promise<void> {
  const startS = startedAt(inside.init);
  await checkUp(inside, startS);
  const btime = stat(await inside.output(["cat", "/proc/stat"])).others.get("btime");
  expect(btime).toBe(stat(readFileSync("/proc/stat", "utf8")).others.get("btime"));
  expect(Math.abs((await lstart(inside)) - startS)).toBeLessThan(SLACK_S);
}

/**
 * Seconds that a container says it has been up for when it is made: a day, or what is clearly not
 * the node's own clock a little shifted.
 */
const HEAD_START = Math.min(86_400, Math.floor(hostUptime() / 4));

/** When the clock of boot of a container began whose offset was chosen at `madeAt` of the host's. */
function bornAt(madeAt: number): number {
  return Date.now() / 1000 - (HEAD_START + hostUptime() - Math.floor(madeAt));
}

/** With one, all three come from the kernel's shifted clock, in ours as in its own files. */
async function checkShifted(inside: Inside, bornS: number): Promise<void> {
  await checkUp(inside, bornS);
  const btime = stat(await inside.output(["cat", "/proc/stat"])).others.get("btime") ?? 0;
  expect(Math.abs(btime - bornS)).toBeLessThan(SLACK_S);
  const startS = startedAt(inside.init);
  expect(Math.abs((await lstart(inside)) - startS)).toBeLessThan(SLACK_S);
  await checkAge(startS, async () => Number(await etimes(inside)));
}

describeLive("times", ["ps", "top", "uptime", "who", "busybox", "unshare", "lxc-start"], () => {
  const scope = fileScope();
  let daemon: Daemon;

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
  });

  describe("in LXC", () => {
    const own = fileScope();
    let plain: LxcContainer;
    let shifted: LxcContainer;
    let madeAt: number;

    beforeAll(async () => {
      plain = await LxcContainer.withHook(own, daemon, LIMITS);
      madeAt = hostUptime();
      const bootOffset = HEAD_START - Math.floor(madeAt);
      shifted = await LxcContainer.withHook(own, daemon, { ...LIMITS, bootOffset });
    });

    it("without a time namespace, uptime is the container's and start dates are right", async () => {
      await checkPlain(plain);
    });

    it("with one, everything is the kernel's", async () => {
      await checkShifted(shifted, bornAt(madeAt));
    });

    it("busybox, which asks sysinfo(2), gets the same from the kernel", async () => {
      const busybox = ["/bin/busybox", "uptime"];
      await checkAge(bornAt(madeAt), async () => upOf(await shifted.output(busybox)), 60);
    });
  });

  it.runIf(haveProgram("runc"))(
    "a clock that goes on, as of a restored one, is no age",
    async () => {
      for (const bootOffset of [3, -2]) {
        const own = testScope();
        const restored = await OciContainer.start(own, "runc", daemon, { ...LIMITS, bootOffset });
        const startS = startedAt(restored.init);
        await checkUp(restored, startS);
        expect(Math.abs((await lstart(restored)) - startS)).toBeLessThan(SLACK_S);
        const { up, idle } = uptime(await restored.output(["cat", "/proc/uptime"]));
        // The runtime may have set the quota after somebody's first look, and idle time stays.
        expect(idle).toBeLessThanOrEqual((up + 0.02) * cpus().length);
      }
    },
  );

  describe.each(["runc", "crun"].filter((name) => haveProgram(name)))("in %s", (runtime) => {
    const own = fileScope();

    it("without and with a time namespace", async () => {
      const plain = await OciContainer.start(own, runtime, daemon, LIMITS);
      await checkPlain(plain);
      const madeAt = hostUptime();
      const bootOffset = HEAD_START - Math.floor(madeAt);
      const shifted = await OciContainer.start(own, runtime, daemon, { ...LIMITS, bootOffset });
      await checkShifted(shifted, bornAt(madeAt));
    });
  });

  it("without a time namespace ps' elapsed times are none, and not below zero", async () => {
    const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
    // What versions of procps make of a start later than the uptime: nothing, 0, or an absurd figure.
    expect((await container.output(["ps", "-o", "etimes=", "-p", "1"])).trim()).toMatch(
      /^(-|0|\d+)$/,
    );
    await until("the container is up for a second", async () => {
      return uptime(await container.read("/proc/uptime")).up > 1;
    });
  });
});
