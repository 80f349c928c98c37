// A container that has whoever looks into its cgroups wait for ever: it waits alone.

import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { Storm, servingAfter, standingBy, statusOf } from "../e2e/never-down-support.js";
import { report } from "../support/attach.js";
import { Cgroup, MIB } from "../support/cgroups.js";
import { bindsOf, Container } from "../support/container.js";
import { counters } from "../support/counters.js";
import { Daemon, vprocfs, withStandby } from "../support/daemon.js";
import { follow } from "../support/follow.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { forgetNames, plug } from "../support/plug.js";
import { memTotalKb } from "../support/procfile.js";
import { figureOf, serveMetrics } from "../support/prometheus.js";
import { testScope } from "../support/test-scope.js";
import { SLOWNESS, until } from "../support/wait.js";

withStandby();

/** Others wait a second for such a container, once; who waits for it without an end, longer than any of this. */
const WITHIN_MS = 4000 * SLOWNESS;

/** Of a reload: the worker that goes waits so long for threads that a container keeps, and a second for more. */
const LONGEST_READ_US = 2_500_000 * SLOWNESS;

/** A worker that does not end is given up after 20 s, and one more. */
const STOP_MS = 30_000 * SLOWNESS;

async function promptly<T>(what: string, work: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  const done = await work();
  expect([what, performance.now() - begun < WITHIN_MS]).toEqual([what, true]);
  return done;
}

/** Metrics through a connection of its own: one that is kept alive may be a dead worker's. */
async function pageOf(address: string): Promise<string> {
  const [response] = await once(get(`http://${address}/metrics`, { agent: false }), "response");
  return text(response);
}

const limitOf = (text: string, id: string): number | undefined =>
  figureOf(text, "memory_limit_bytes", id);

describeLive("a container whose cgroups cannot be looked into", ["busybox"], () => {
  it("is missing from metrics, and nobody else is", { timeout: 120_000 }, async () => {
    const scope = testScope();
    const { daemon, scrape } = await serveMetrics(scope);
    const start = (name: string): Promise<Container> =>
      Container.start(scope, { name, memory: 64 * MIB, binds: bindsOf(daemon) });
    const [victim, hostile] = [await start("victim"), await start("hostile")];
    const [victimId, hostileId] = [await victim.id(daemon), await hostile.id(daemon)];
    const end = await plug(scope, hostile, hostile.cgroup.directories);
    // Its own request, which waits; and a look at all, which comes to it.
    hostile.start(scope, ["cat", "/proc/meminfo"]);
    for (let round = 0; round < 3; round += 1) {
      const text = await promptly("a scrape", scrape);
      expect(limitOf(text, victimId)).toBe(64 * MIB);
      expect(limitOf(text, hostileId)).toBeUndefined();
      expect(text).toContain("\nvprocfs_survey_failed_containers 1\n");
      expect(await promptly("a read", () => victim.read("/proc/meminfo"))).toContain(
        "\nSwapTotal:",
      );
    }
    const late = await start("late");
    const lateId = await promptly("a new container", () => late.id(daemon));
    expect(limitOf(await promptly("a scrape", scrape), lateId)).toBe(64 * MIB);
    const listed = join(daemon.mountpoint, "containers");
    expect(await promptly("a list of all", () => readdir(listed))).toContain(lateId);
    end();
    const later = await until(
      "it is found again",
      async () => {
        const text = await scrape();
        return limitOf(text, hostileId) === undefined ? undefined : text;
      },
      60_000 * SLOWNESS,
    );
    expect(limitOf(later, victimId)).toBe(64 * MIB);
  });

  it("keeps nobody from hearing that others end", { timeout: 120_000 }, async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--log-format", "json");
    const start = (name: string): Promise<Container> =>
      Container.start(scope, { name, memory: 64 * MIB, binds: bindsOf(daemon) });
    const [victim, hostile] = [await start("victim"), await start("hostile")];
    const cgroup = hostile.cgroup.child(scope, "inner");
    const inner = await Container.startIn(hostile, scope, { cgroup, binds: bindsOf(daemon) });
    for (const one of [victim, hostile, inner]) {
      await one.read("/proc/meminfo");
    }
    // A scrape would find those of others.
    const { workerPid } = await statusOf(daemon);
    const known = async (): Promise<number> => (await counters(daemon, workerPid)).containers;
    expect(await known()).toBe(3);
    await plug(scope, hostile, cgroup.directories);
    await inner.kill();
    await victim.kill();
    await until("the end of the other one is heard", async () => (await known()) === 2);
  });

  it("keeps nobody from records of the kernel's log", { timeout: 120_000 }, async () => {
    const scope = testScope();
    const { daemon, scrape } = await serveMetrics(scope);
    const start = async (name: string): Promise<Container> => {
      const container = await Container.start(scope, { name, memory: 64 * MIB, swap: 0 });
      await report(daemon, container.init);
      return container;
    };
    const [victim, hostile] = [await start("victim"), await start("hostile")];
    await plug(scope, hostile, hostile.cgroup.directories);
    const starve = ["sh", "-c", "echo $$; exec tail /dev/zero"];
    const killed: string[] = [];
    await until("the other one is told of a kill", async () => {
      await hostile.run(starve);
      killed.push(`${(await victim.run(starve)).stdout}`.trim());
      await promptly("a scrape", scrape);
      const log = await victim.run(["dd", "if=/dev/kmsg", "bs=64k", "iflag=nonblock"]);
      return killed.some((pid) => `${log.stdout}`.includes(`Killed process ${pid} (tail)`));
    });
  });

  it("keeps nobody from getting files, nor from losing them at a stop", {
    timeout: 120_000,
  }, async () => {
    const scope = testScope();
    const start = (name: string): Promise<Container> =>
      Container.start(scope, { name, memory: 64 * MIB });
    const [victim, hostile] = [await start("victim"), await start("hostile")];
    const cgroup = hostile.cgroup.child(scope, "inner");
    await Container.startIn(hostile, scope, { cgroup });
    forgetNames();
    const end = await plug(scope, hostile, hostile.cgroup.directories);
    const mine = ["--watch", "on", "--attach-only", `*vprocfs-test-${process.pid}-*`];
    const daemon = await Daemon.start(scope, ...mine);
    const total = async (one: Container) => memTotalKb(await one.read("/proc/meminfo"));
    const isAttached = (one: Container) => async () => (await total(one)) === (64 * MIB) / 1024;
    await until("the other one has files", isAttached(victim));
    expect((await vprocfs("reload", "--mountpoint", daemon.mountpoint)).status).toBe(0);
    await until("a new one has files", isAttached(await start("late")));
    // Its thread that looks keeps the worker from ending.
    const { keeperPid } = await statusOf(daemon);
    process.kill(keeperPid, "SIGTERM");
    const node = memTotalKb(readFileSync("/proc/meminfo", "utf8"));
    await promptly("a stop", () =>
      until("nobody has files", async () => (await total(victim)) === node),
    );
    await until("the keeper ends", () => !existsSync(`/proc/${keeperPid}`));
    end();
    await daemon.stop();
  });

  it("costs nobody else a takeover", { timeout: 120_000 }, async () => {
    const scope = testScope();
    const { daemon, address } = await serveMetrics(scope);
    const binds = bindsOf(daemon);
    const victim = await Container.start(scope, { name: "victim", memory: 64 * MIB, binds });
    // Nobody is at its top, so that it is found by a list of what is below.
    const cgroup = Cgroup.create(scope, testName("hostile"));
    const inner = cgroup.child(scope, "inner");
    const hostile = await Container.start(scope, { cgroup, inner, memory: 64 * MIB, binds });
    for (const one of [victim, hostile]) {
      const open = follow(scope, one, [
        "sh",
        "-c",
        "exec 3</proc/meminfo; read a <&3; echo $a; read b; cat <&3",
      ]);
      await until("it has a file open", () => open.text !== "");
    }
    // Nobody has asked for it yet: a thread finds it, and does not come back.
    const stuck = await Container.start(scope, { name: "stuck", memory: 64 * MIB, binds });
    await plug(scope, hostile, cgroup.directories);
    await plug(scope, stuck, stuck.cgroup.directories);
    stuck.start(scope, ["cat", "/proc/meminfo"]);
    for (const how of ["kill", "reload", "kill"]) {
      const { workerPid, generation } = await standingBy(daemon);
      if (how === "kill") {
        process.kill(workerPid, "SIGKILL");
        await servingAfter(daemon, generation);
      } else {
        const storm = await Storm.start(scope, victim, "", 2);
        const reload = await vprocfs("reload", "--mountpoint", daemon.mountpoint);
        expect(reload.status).toBe(0);
        const { failures, hung, longestUs } = await storm.end();
        expect({ failures, hung }).toEqual({ failures: {}, hung: 0 });
        expect(longestUs).toBeLessThan(LONGEST_READ_US);
      }
      expect(await promptly(how, () => victim.read("/proc/meminfo"))).toContain("\nSwapTotal:");
      // Workers that do not end have the port of metrics open as long.
      expect(await promptly("a scrape", () => pageOf(address))).toContain("\nvprocfs_worker_");
    }
    // Workers that do not end have the mount open, too.
    const { keeperPid } = await statusOf(daemon);
    process.kill(keeperPid, "SIGTERM");
    await until("the keeper ends", () => !existsSync(`/proc/${keeperPid}`), STOP_MS);
    const left = await promptly("a read", () => victim.run(["cat", "/proc/meminfo"]));
    expect(`${left.stderr}`).toMatch(/not connected|connection abort/i);
  });
});
