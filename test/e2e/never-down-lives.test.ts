// What a container of several PID namespaces has reported goes on with the next worker, whichever of
// them have ended by then.

import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, beforeEach, expect, it } from "vitest";
import { Cgroup } from "../support/cgroups.js";
import { bindsOf, Container, type ContainerOptions } from "../support/container.js";
import { type Daemon, vprocfs, withStandby } from "../support/daemon.js";
import { keepUptimeOpen } from "../support/keep-open.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { stat, uptime as uptimeOf } from "../support/procfile.js";
import { figureOf, keepThrottled, serveMetrics } from "../support/prometheus.js";
import type { Scope } from "../support/scope.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { replaceWorker, servingAfter, statusOf, stopped } from "./never-down-support.js";

withStandby();

interface Figures {
  /** Of the line `cpu`: its fields, and all of them together. */
  readonly cpu: readonly number[];
  readonly sum: number;
  readonly uptime: number;
  readonly load: string;
}

/** CPU time that is used, in ticks: user, nice and system. */
function busyOf({ cpu }: Figures): number {
  return cpu.slice(0, 3).reduce((a, b) => a + b);
}

/** The tests of this file, each of which has an older container of its own. */
const TESTS = 12;
/** Seconds by which one container is older than the other. */
const OLDER = 2;
/** Seconds for which quotas above a container have held it back, as the worker before has told. */
const KEPT_S = 7;
/** Seconds that a container with a time namespace says it has been up for when it is made. */
const HEAD_START = 10;
/** What dates that are read one after the other, and rounding, may be off by. */
const SLACK_S = 3;
/** What differences of hundredths are off by in floating point. */
const ROUNDING_S = 0.001;
/** A second of one CPU in ticks. */
const TICKS = 100;

describeLive("a container of two PID namespaces", ["python3"], () => {
  const scope = fileScope();
  /** The older ones of tests to come. */
  let waiting: Container[];
  let own: Scope;
  let daemon: Daemon;
  let scrape: () => Promise<string>;
  let old: Container;
  let young: Container;
  let tree: string;

  /** As the host reads them: of the container, whichever PID namespaces it has. */
  function read(): Figures {
    const text = (file: string): string => readFileSync(`${tree}/proc/${file}`, "utf8");
    const [line = ""] = text("stat").split("\n");
    const cpu = line.split(/ +/).slice(1).map(Number);
    const [uptime = ""] = text("uptime").split(" ");
    const [load = ""] = text("loadavg").split(" ");
    return { cpu, sum: cpu.reduce((a, b) => a + b), uptime: Number(uptime), load };
  }

  async function ageOf(one: Container): Promise<number> {
    return Number((await one.read(daemon.path("proc/uptime"))).split(" ")[0]);
  }

  function start(life: Scope, cgroup?: Cgroup, options: ContainerOptions = {}): Promise<Container> {
    // Only its quota holds it back, however busy the machine is.
    const limits = { quota: 1, weight: 10_000 };
    return Container.start(life, {
      ...options,
      ...limits,
      ...(cgroup !== undefined && { cgroup }),
    });
  }

  function expectGoneOn(before: Figures): void {
    const now = read();
    now.cpu.forEach((ticks, field) => {
      expect(ticks, `field ${field}`).toBeGreaterThanOrEqual(before.cpu[field] ?? 0);
    });
    expect(now.uptime).toBeGreaterThanOrEqual(before.uptime);
    // One CPU: its time is the container's age.
    expect(Math.abs(now.sum / TICKS - now.uptime)).toBeLessThan(1);
  }

  beforeAll(async () => {
    ({ daemon, scrape } = await serveMetrics(scope));
    waiting = await Promise.all(Array.from({ length: TESTS }, () => start(scope)));
    // Side by side: all wait for the same seconds.
    for (const one of waiting) {
      await until("the first is older", async () => (await ageOf(one)) > OLDER);
    }
  });

  beforeEach(async () => {
    own = testScope();
    const next = waiting.pop();
    if (next === undefined) {
      throw new Error("there are more tests than older containers");
    }
    old = next;
    own.defer(() => next.isAlive && next.kill());
    tree = daemon.path("containers", await old.id(daemon));
    young = await start(own, old.cgroup);
  });

  it.each(["kill", "reload"] as const)(
    "goes on after the end of the older one and the %s of the worker",
    async (how) => {
      const uptime = keepUptimeOpen(own, young, daemon.path("proc/uptime"));
      await old.kill();
      const [before, kept] = [read(), await uptime()];
      expect(before.uptime).toBeGreaterThan(OLDER);
      for (let worker = 0; worker < 2; worker += 1) {
        await replaceWorker(daemon, how);
        // The one that lives asks first.
        const again = await uptime();
        expect(again.uptime).toBeGreaterThanOrEqual(kept.uptime);
        expect(again.idle).toBeGreaterThanOrEqual(kept.idle);
        expect(again.uptime).toBeLessThan(read().uptime - OLDER / 2);
        expect(await ageOf(young)).toBeLessThan(read().uptime - OLDER / 2);
        expectGoneOn(before);
      }
    },
  );

  it("began for operators, too, when its first one did, which has ended", async () => {
    const id = basename(tree);
    await ageOf(young);
    const began = async () => {
      const dmesg = ["dmesg", id, "--json", "--mountpoint", daemon.mountpoint];
      const [line = ""] = `${(await vprocfs(...dmesg)).stdout}`.split("\n");
      const series = new RegExp(
        `^vprocfs_container_start_time_seconds\\{[^}]*"${id}".* (.*)$`,
        "m",
      );
      return { log: line, metrics: Number(series.exec(await scrape())?.[1]) };
    };
    const before = await began();
    expect(before.metrics).toBeGreaterThan(0);
    expect(before.log).toContain("Linux version");
    await old.kill();
    for (const how of ["kill", "reload"] as const) {
      await replaceWorker(daemon, how);
      await ageOf(young);
      const now = await began();
      expect(now.log).toBe(before.log);
      expect(Math.abs(now.metrics - before.metrics)).toBeLessThan(OLDER / 2);
    }
  });

  it("keeps what metrics have counted when those that it was found by have ended", async () => {
    const id = basename(tree);
    const youngest = await start(own, old.cgroup);
    // The kernel lists it last in its cgroup from then on: the worker goes on with the youngest one, by
    // which the life is known, and metrics with the one that has the lower PID.
    for (const cgroup of [Cgroup.create(own, testName("aside")), old.cgroup]) {
      for (const directory of cgroup.directories) {
        writeFileSync(join(directory, "cgroup.procs"), `${young.init}`);
      }
    }
    await ageOf(youngest);
    keepThrottled(daemon, id, old, KEPT_S);
    await replaceWorker(daemon, "kill");
    const throttled = () =>
      until("it is told of", async () =>
        figureOf(await scrape().catch(() => ""), "cpu_throttled_seconds_total", id),
      );
    expect(await throttled()).toBeGreaterThanOrEqual(KEPT_S);
    await old.kill();
    expect(await throttled()).toBeGreaterThanOrEqual(KEPT_S);
    await young.kill();
    await replaceWorker(daemon, "kill");
    expect(await throttled()).toBeGreaterThanOrEqual(KEPT_S);
  });

  it("goes on when the younger one asks the next worker first", async () => {
    const before = read();
    await replaceWorker(daemon, "kill");
    expect(await ageOf(young)).toBeLessThan(before.uptime - OLDER / 2);
    expectGoneOn(before);
    expect(await ageOf(old)).toBeGreaterThanOrEqual(before.uptime);
  });

  it.each(["kill", "reload"] as const)(
    "counts idle time from the beginning of each one on, also after the %s of the worker",
    async (how) => {
      old.start(own, ["sh", "-c", "while :; do :; done"]);
      const wholes = () => uptimeOf(readFileSync(`${tree}/proc/uptime`, "utf8")).idle;
      /** What the younger one reads, and what the whole container has before and after that. */
      const look = async () => {
        const least = wholes();
        const { up, idle } = uptimeOf(await young.read(daemon.path("proc/uptime")));
        return { up, idle, least, most: wholes() };
      };
      const first = await look();
      expect(first.idle).toBeLessThanOrEqual(first.up);
      for (const worker of [undefined, how, how]) {
        if (worker !== undefined) await replaceWorker(daemon, worker);
        const due = (await look()).up + OLDER / 2;
        await until("it is older", async () => (await look()).up > due);
        const next = await look();
        const gained = next.idle - first.idle;
        // In its first tick it has none.
        const least = next.least - first.most - 1 / TICKS;
        expect(gained).toBeGreaterThanOrEqual(least - ROUNDING_S);
        expect(gained).toBeLessThanOrEqual(next.most - first.least + ROUNDING_S);
        expect(next.idle).toBeLessThanOrEqual(next.up);
      }
    },
  );

  it("has the date of boot of each one's time namespace after the kill of the worker", async () => {
    const btimeIn = (text: string) => stat(text).others.get("btime") ?? Number.NaN;
    const booted = btimeIn(readFileSync("/proc/stat", "utf8"));
    const { up: ofHost } = uptimeOf(readFileSync("/proc/uptime", "utf8"));
    const bootOffset = HEAD_START - Math.floor(ofHost);
    const shifted = await start(own, old.cgroup, { binds: bindsOf(daemon), bootOffset });
    for (let worker = 0; worker < 2; worker += 1) {
      const btime = btimeIn(await shifted.read("/proc/stat"));
      const { up } = uptimeOf(await shifted.read("/proc/uptime"));
      expect(up).toBeGreaterThanOrEqual(HEAD_START);
      expect(Math.abs(btime + up - Date.now() / 1000)).toBeLessThan(SLACK_S);
      const others = [
        await young.read(daemon.path("proc/stat")),
        readFileSync(`${tree}/proc/stat`, "utf8"),
      ];
      for (const text of others) {
        expect(Math.abs(btimeIn(text) - booted)).toBeLessThan(SLACK_S);
      }
      await replaceWorker(daemon, "kill");
    }
  });

  it("keeps its load averages", async () => {
    const burn = old.start(own, ["sh", "-c", "while :; do :; done"]);
    const { load } = await until("it has a load", () => {
      const figures = read();
      return Number(figures.load) > 0 && figures;
    });
    await ageOf(young);
    burn.kill("SIGKILL");
    await old.kill();
    await replaceWorker(daemon, "kill");
    await ageOf(young);
    expect(Number(read().load)).toBeGreaterThanOrEqual(Number(load) / 2);
  });

  it.each(["sees", "does not see"] as const)(
    "begins again, also its CPU time, in a cgroup where all have ended, which the worker %s",
    async (how) => {
      old.start(own, ["sh", "-c", "while :; do :; done"]);
      await until("it has used a second", () => busyOf(read()) > TICKS);
      await ageOf(young);
      let used = old.cgroup.cpuSeconds;
      const before = read();
      const { workerPid, generation } = await statusOf(daemon);
      if (how === "does not see") {
        await stopped(workerPid);
      }
      await old.kill();
      await young.kill();
      if (how === "sees") {
        used = old.cgroup.cpuSeconds;
      }
      const next = await start(own, old.cgroup);
      if (how === "does not see") {
        process.kill(workerPid, "SIGKILL");
        await servingAfter(daemon, generation);
      }
      expect(await ageOf(next)).toBeLessThan(before.uptime);
      next.start(own, ["sh", "-c", "while :; do :; done"]);
      const busy = await until("it has used half a second", () => {
        const figures = read();
        return busyOf(figures) > TICKS / 2 && figures;
      });
      expect(busy.uptime).toBeLessThan(before.uptime);
      expectGoneOn(busy);
      for (const worker of ["kill", "reload"] as const) {
        await replaceWorker(daemon, worker);
        await ageOf(next);
        expectGoneOn(busy);
        // Each of user, nice and system is rounded to ticks.
        expect(busyOf(read())).toBeLessThanOrEqual((next.cgroup.cpuSeconds - used) * TICKS + 4);
      }
    },
  );

  it("shows all CPU time of a container that is read late, in a cgroup that had used much", async () => {
    const loop = ["sh", "-c", "while :; do :; done"];
    old.cgroup.limit({ quota: 2 });
    old.start(own, loop);
    old.start(own, loop);
    // More than the next one can have used when it is read, on a host of up to three CPUs.
    await until("it has used ten seconds", () => old.cgroup.cpuSeconds > 10);
    read();
    await old.kill();
    await young.kill();
    const used = old.cgroup.cpuSeconds;
    const next = await start(own, old.cgroup);
    next.start(own, loop);
    const itsOwn = await until("it has used a second", () => {
      const seconds = next.cgroup.cpuSeconds - used;
      return seconds > 1 && seconds;
    });
    expect(busyOf(read())).toBeGreaterThan(itsOwn * TICKS - 4);
  });
});
