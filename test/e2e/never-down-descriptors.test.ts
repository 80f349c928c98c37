// What containers leave with the keeper, for workers after the one that they came to.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Status } from "../../src/keeper-status.js";
import { startCallNode } from "../support/call-node.js";
import { MIB } from "../support/calls.js";
import { environmentOf, output } from "../support/command.js";
import { Container } from "../support/container.js";
import { type Daemon, vprocfs, withStandby } from "../support/daemon.js";
import { follow } from "../support/follow.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter, standbyOf, statusOf, stopped } from "./never-down-support.js";

withStandby();

/** More than a worker has open for all else. */
const LISTENERS = 300;
/** What is too few for them: the worker has room for all else, in the quarter that it keeps for that. */
const LIMIT = 240;

/** Processes of a container, each of which hands its calls over, and makes one when it is told to. */
async function listeners(scope: Scope, container: Container, socket: string) {
  const argv = container.command([program("listeners"), socket, `${LISTENERS}`]);
  const [command = "", ...rest] = argv;
  const env = environmentOf(rest);
  const child = spawn(command, rest, { stdio: ["pipe", "pipe", "inherit"], env });
  const ended = once(child, "exit");
  scope.defer(async () => {
    await container.kill();
    await ended;
  });
  expect(`${await once(child.stdout, "data")}`).toBe("ready\n");
  return async () => {
    child.stdin.end();
    return Number(await once(child.stdout, "data"));
  };
}

/** What the keeper says once all listeners have come to it, or have found no room. */
function told(daemon: Daemon): Promise<Status> {
  return until("the keeper was told of all", async () => {
    const status = await statusOf(daemon);
    return status.descriptors + status.descriptorsLost >= LISTENERS && status;
  });
}

describeLive("descriptors that a worker has no room for", ["busybox", "prlimit"], () => {
  it("are told of, cost nobody else anything, and come back with the room", async () => {
    const scope = testScope();
    const { daemon, sockets } = await startCallNode(scope);
    const container = await Container.start(scope, { memory: 64 * MIB });
    const ask = await listeners(scope, container, join(sockets, "oci.sock"));
    const standby = await standbyOf(daemon);
    const before = await told(daemon);
    expect(before.descriptors).toBeGreaterThanOrEqual(LISTENERS);
    await output(["prlimit", `--pid=${standby}`, `--nofile=${LIMIT}:`]);
    process.kill(before.workerPid, "SIGKILL");
    const after = await servingAfter(daemon, before.generation);
    expect(after).toMatchObject({ workerPid: standby, restarts: before.restarts + 1 });
    expect(after.descriptorsLost).toBeGreaterThan(LISTENERS - (3 * LIMIT) / 4);
    expect(after.descriptorsLost).toBeLessThan(LISTENERS);
    expect(daemon.logs).toContain(
      `${after.descriptorsLost} descriptors of containers did not reach the next worker`,
    );
    const place = ["--mountpoint", daemon.mountpoint];
    const status = `${(await vprocfs("status", ...place)).stdout}`;
    expect(status).toMatch(new RegExp(`^lost descriptors +${after.descriptorsLost}$`, "m"));
    expect(`${(await vprocfs("doctor", ...place)).stdout}`).toContain(
      `${after.descriptorsLost} descriptors of containers`,
    );
    // Others are served, and so are calls that did reach it.
    expect(await container.read(daemon.path("proc/meminfo"))).toMatch(/^MemTotal: +65536 kB\n/);
    expect(daemon.logs).not.toContain("not answering system calls of containers");
    // The keeper has them still; the next worker may have as many open as the keeper says.
    await vprocfs("reload", ...place);
    await servingAfter(daemon, after.generation);
    expect(await ask()).toBe(LISTENERS);
    expect((await statusOf(daemon)).descriptorsLost).toBe(after.descriptorsLost);
  });

  it("leave the keeper those that it needs for workers", async () => {
    const scope = testScope();
    const { daemon, sockets } = await startCallNode(scope);
    const container = await Container.start(scope, { memory: 64 * MIB });
    const { keeperPid, workerPid, generation } = await statusOf(daemon);
    await standbyOf(daemon);
    await output(["prlimit", `--pid=${keeperPid}`, `--nofile=${LISTENERS / 2}:`]);
    const ask = await listeners(scope, container, join(sockets, "oci.sock"));
    const { descriptors, descriptorsLost } = await told(daemon);
    expect(daemon.logs).toContain("descriptors of containers found no room with the keeper");
    expect(descriptors).toBeGreaterThan(LISTENERS / 4);
    expect(descriptors).toBeLessThanOrEqual((LISTENERS / 2) * 0.75);
    expect(descriptorsLost).toBeGreaterThan(LISTENERS / 2);
    // The worker has them all.
    expect(await ask()).toBe(LISTENERS);
    process.kill(workerPid, "SIGKILL");
    await servingAfter(daemon, generation);
    await standbyOf(daemon);
    expect(await container.read(daemon.path("proc/meminfo"))).toMatch(/^MemTotal: +65536 kB\n/);
  });
});

/** A runtime that has connected and not handed its listener over yet. */
async function connectedRuntime(scope: Scope) {
  const { daemon, sockets } = await startCallNode(scope);
  const container = await Container.start(scope, { memory: 64 * MIB });
  await standbyOf(daemon);
  const { descriptors } = await statusOf(daemon);
  const runtime = follow(scope, container, [program("runtime"), join(sockets, "oci.sock")]);
  const says = (what: string) => until(`it says ${what}`, () => runtime.text.includes(what));
  await says("connected\n");
  const keeps = (more: number) =>
    until(`the keeper has ${more} more`, async () => {
      const status = await statusOf(daemon);
      return status.descriptors === descriptors + more;
    });
  await keeps(1);
  return {
    daemon,
    keeps,
    handOver: () => {
      runtime.child.stdin?.write("\n");
      return says("handed over\n");
    },
    /** In MiB, or a negated errno. */
    memoryTold: async () => {
      runtime.child.stdin?.write("\n");
      await runtime.ended;
      return Number(runtime.text.split("\n").at(-2));
    },
  };
}

describeLive("a runtime that has connected", ["busybox"], () => {
  it("hands its listener over to the next worker", async () => {
    const scope = testScope();
    const { daemon, keeps, handOver, memoryTold } = await connectedRuntime(scope);
    const { workerPid, generation } = await statusOf(daemon);
    process.kill(workerPid, "SIGKILL");
    await servingAfter(daemon, generation);
    await handOver();
    expect(await memoryTold()).toBe(64);
    await keeps(0);
  });

  it("has handed over what a worker that was killed has not taken", async () => {
    const scope = testScope();
    const { daemon, keeps, handOver, memoryTold } = await connectedRuntime(scope);
    const { workerPid, generation } = await statusOf(daemon);
    await stopped(workerPid);
    await handOver();
    process.kill(workerPid, "SIGKILL");
    const { generation: second, workerPid: next } = await servingAfter(daemon, generation);
    await standbyOf(daemon);
    process.kill(next, "SIGKILL");
    await servingAfter(daemon, second);
    // What it says beside it is of no use, but is still taken.
    await keeps(2);
    expect(await memoryTold()).toBe(64);
    await keeps(0);
  });

  it("hands over to what a keeper leaves that ends", async () => {
    const scope = testScope();
    const { daemon, handOver, memoryTold } = await connectedRuntime(scope);
    await daemon.stop();
    await handOver();
    const [, total = ""] =
      /^MemTotal: +(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8")) ?? [];
    expect(await memoryTold()).toBe(Math.floor(Number(total) / 1024));
  });
});
