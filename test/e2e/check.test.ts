// What other monitoring is fed with.

import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, it } from "vitest";
import { socketOf } from "../../src/keeper.js";
import { readStatus } from "../../src/keeper-status.js";
import { loadAddon } from "../../src/native/addon.js";
import { Cgroup, MIB } from "../support/cgroups.js";
import { output, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, temporaryDirectory, vprocfs } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";
import { serveMetrics } from "../support/prometheus.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { stopped } from "./never-down-support.js";

describeLive("vprocfs check", [], () => {
  it("is ok, warns, and is critical, with performance data", async () => {
    const own = testScope();
    const { daemon } = await serveMetrics(own);
    const container = await Container.start(own, { name: "judged", memory: 64 * MIB });
    const id = await container.id(daemon);
    const place = ["--mountpoint", daemon.mountpoint];
    const fine = await vprocfs("check", id, ...place);
    expect(fine.status, `${fine.stdout}`).toBe(0);
    expect(`${fine.stdout}`).toMatch(
      /^VPROCFS OK - \S+ \| 'restarts'=0c 'requests'=\d+c '.* memory'=[\d.]+%;90;95;0;100 '.* oom kills'=0c\n$/,
    );
    const warned = await vprocfs("check", id, "-w", "0", "-C", "100", ...place);
    expect(warned.status).toBe(1);
    const critical = await vprocfs("check", id, "-w", "0", "-C", "0", ...place);
    expect(critical.status).toBe(2);
    expect(`${critical.stdout}`).toMatch(/^VPROCFS CRITICAL - .*: memory \d+% \|/);
    const nowhere = temporaryDirectory(own, "nowhere");
    const unmounted = await vprocfs("check", id, "--mountpoint", nowhere);
    expect(unmounted.status).toBe(2);
  });

  it("is unknown while nothing tells how the worker is, unless the rest is worse", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own);
    const container = await Container.start(own, { memory: 64 * MIB });
    const id = await container.id(daemon);
    const place = ["--mountpoint", daemon.mountpoint];
    const { keeperPid } = await readStatus(daemon.mountpoint);
    await stopped(keeperPid);
    own.defer(() => void process.kill(keeperPid, "SIGCONT"));
    const unknown = await vprocfs("check", id, ...place);
    expect(unknown.status).toBe(3);
    expect(`${unknown.stdout}`).toMatch(/^VPROCFS UNKNOWN - [^|\n]*\S[^|\n]* \| '.* memory'=/);
    const warning = await vprocfs("check", id, "-w", "0", "-C", "100", ...place);
    expect(`${warning.stdout}`).toMatch(/^VPROCFS WARNING - [^|]*its keeper does not answer/);
    expect(warning.status).toBe(1);
    const critical = await vprocfs("check", id, "-w", "0", "-C", "0", ...place);
    expect(critical.status).toBe(2);
    process.kill(keeperPid, "SIGCONT");
    expect((await vprocfs("check", id, ...place)).status).toBe(0);
  });

  it("does not wait long for a keeper that hangs, or for the mount", async () => {
    const own = testScope();
    const [hanging, unkept] = await Promise.all([Daemon.start(own), Daemon.start(own)]);
    const container = await Container.start(own, { memory: 64 * MIB });
    const argsOf = async (daemon: Daemon) => {
      return ["check", await container.id(daemon), "--mountpoint", daemon.mountpoint];
    };
    const [ofHanging, ofUnkept] = [await argsOf(hanging), await argsOf(unkept)];
    const { keeperPid, workerPid } = await readStatus(hanging.mountpoint);
    for (const pid of [keeperPid, workerPid]) {
      await stopped(pid);
      own.defer(() => void process.kill(pid, "SIGCONT"));
    }
    // In the place of the keeper, somebody who takes every question and answers none.
    const socket = socketOf(unkept.mountpoint);
    rmSync(socket);
    const silent = createServer({ allowHalfOpen: true }).listen(socket);
    const asking: Socket[] = [];
    silent.on("connection", (one) => asking.push(one));
    own.defer(() => {
      silent.close();
      asking.forEach((one) => {
        one.destroy();
      });
    });
    await once(silent, "listening");
    // Side by side, for each has seconds to wait.
    const [critical, unknown] = await Promise.all([vprocfs(...ofHanging), vprocfs(...ofUnkept)]);
    expect(`${critical.stdout}`).toMatch(/^VPROCFS CRITICAL - [^|]*: the mount does not answer/);
    expect(critical.status).toBe(2);
    expect(`${unknown.stdout}`).toMatch(/^VPROCFS UNKNOWN - [^|]*: its keeper does not answer \|/);
    expect(unknown.status).toBe(3);
    expect(asking).not.toEqual([]);
  });

  it("judges what an ancestor's limit leaves, whoever uses it", async () => {
    const own = testScope();
    const { daemon } = await serveMetrics(own);
    const tenant = Cgroup.create(own, testName("tenant"));
    tenant.limit({ memory: 64 * MIB });
    const start = (name: string) =>
      Container.start(own, { cgroup: tenant.child(own, testName(name)) });
    const [idle, busy] = [await start("idle"), await start("busy")];
    const hold = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 100; : $x";
    busy.start(own, ["sh", "-c", hold]);
    const place = ["--mountpoint", daemon.mountpoint];
    const id = await idle.id(daemon);
    await until(
      "it is used up",
      async () => (await vprocfs("check", id, "-w", "25", "-C", "100", ...place)).status === 1,
    );
    const [row] = JSON.parse(
      `${(await vprocfs("top", "--json", "--interval", "0.1", "--filter", id, ...place)).stdout}`,
    );
    expect(row.memory).toBeGreaterThan(0.25);
    expect(row.memoryUsed).toBeLessThan(16 * MIB);
  });

  it("counts what ZFS's cache would give back as the node's", () => {
    const { nodeMemory } = loadAddon();
    const meminfo = readFileSync("/proc/meminfo", "utf8");
    const total = Number(/^MemTotal: +(\d+) kB$/m.exec(meminfo)?.[1]);
    const found = nodeMemory();
    expect(found?.total).toBe(total * 1024);
    expect(found?.available).toBeGreaterThanOrEqual(found?.arc ?? Number.NaN);
    if (!existsSync("/proc/spl/kstat/zfs/arcstats")) {
      expect(found?.arc).toBe(0);
    }
  });

  it.each([
    [["no-such-container"], "no container 'no-such-container'"],
    [["-w", "95", "-C", "90"], "must not be above"],
    [["-w", "much"], "expected a number"],
    [["--no-such-option"], "unknown option"],
  ])("is unknown with %j", async (args, message) => {
    const outcome = await vprocfs("check", ...args);
    expect(outcome.status).toBe(3);
    expect(outcome.stderr).toBe("");
    expect(`${outcome.stdout}`).toMatch(/^VPROCFS UNKNOWN - [^\n]*\n$/);
    expect(`${outcome.stdout}`).toContain(message);
  });
});

describeLive("feeds for other monitoring", ["curl", "awk"], () => {
  const MONITORING = join(project, "packaging/monitoring");

  it("write for node_exporter's textfile collector", async () => {
    const own = testScope();
    const { address } = await serveMetrics(own);
    const container = await Container.start(own, { memory: 64 * MIB });
    const directory = temporaryDirectory(own, "textfile");
    const script = join(MONITORING, "vprocfs-textfile");
    await output([script, directory, `http://${address}/metrics`]);
    const text = await output(["cat", join(directory, "vprocfs.prom")]);
    expect(text).toMatch(/^vprocfs_container_memory_limit_bytes\{.* 67108864$/m);
    expect(
      text
        .trimEnd()
        .split("\n")
        .filter((line) => !/^(# \w+ )?vprocfs_/.test(line)),
    ).toEqual([]);
    expect(container.isAlive).toBe(true);
    writeFileSync(join(directory, "vprocfs.prom"), "old");
    expect((await run([script, directory, "http://127.0.0.1:1/metrics"])).status).not.toBe(0);
    expect(await output(["ls", "-A", directory])).toBe("vprocfs.prom\n");
    expect(await output(["cat", join(directory, "vprocfs.prom")])).toBe("old");
  });

  it("write for collectd", async () => {
    const own = testScope();
    const { address } = await serveMetrics(own);
    await Container.start(own, { name: "c d-e", memory: 64 * MIB });
    const script = join(MONITORING, "vprocfs-collectd");
    const env = { PATH: process.env.PATH, COLLECTD_HOSTNAME: "node1", COLLECTD_INTERVAL: "10.000" };
    const text = await output([script, `http://${address}/metrics`, "1"], { env });
    expect(text).toMatch(/^PUTVAL "node1\/vprocfs-[\w.-]*c_d-e\/memory-used" interval=10 N:\d+$/m);
    expect(text).toMatch(/derive-cpu_user_ms" interval=10 N:\d+$/m);
    for (const line of text.trimEnd().split("\n")) {
      expect(line).toMatch(/^PUTVAL "node1\/vprocfs-[\w.~-]+\/[\w-]+" interval=10 N:[\d.e+]+$/);
    }
  });
});
