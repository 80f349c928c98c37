// Callers of sysinfo(2) whose memory blocks for good: they wait alone.

import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { servingAfter, statusOf } from "../e2e/never-down-support.js";
import { startCallNode } from "../support/call-node.js";
import { startCaller, watched } from "../support/calls.js";
import { MIB } from "../support/cgroups.js";
import { background, finished } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, temporaryDirectory, vprocfs, withStandby } from "../support/daemon.js";
import { fuseAborter } from "../support/fuse-connections.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { forgetNames, plug } from "../support/plug.js";
import { textOf, writersOf } from "../support/proc.js";
import { program } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

withStandby();

/** More than there are threads for calls, and how long each of their answers takes at least. */
const LISTENERS = 40;
const SLOW_MS = 400;
/** What a call of another tenant takes at most, in one of some rounds. */
const MOST_US = (SLOW_MS / 2) * 1000;
const ROUNDS = 4;

const MOST_LISTENERS = 512;

/** Those writers of a daemon's workers, one after the other, that wait for what does not come. */
class Writers {
  readonly #seen = new Set<number>();

  /** Also of workers that it was told of before: who is stuck outlives its worker. */
  stuck(workerPid: number): number {
    for (const pid of writersOf(workerPid)) {
      this.#seen.add(pid);
    }
    const isStuck = (pid: number) => / \(vprocfs-writer\) D /.test(textOf(`/proc/${pid}/stat`));
    return [...this.#seen].filter(isStuck).length;
  }
}

/** A call whose buffer nobody ever gives the contents of, until the connection is aborted. */
async function blockedCall(
  scope: Scope,
  container: Container,
  socket: string,
  abort: (connection: string) => void,
): Promise<() => void> {
  const directory = temporaryDirectory(scope, "blocked");
  const child = container.start(scope, [program("blocked"), socket, directory]);
  if (child.stdout === null) {
    throw new Error("no output");
  }
  const [line] = await once(child.stdout, "data");
  const abortOwn = () => abort(`${line}`.trim());
  scope.defer(abortOwn);
  return abortOwn;
}

describeLive("a tenant with many listeners", ["runc", "busybox", "strace"], () => {
  it("has one thread look for its answers, however slow its cgroup is", async () => {
    const scope = testScope();
    const { daemon, sockets } = await startCallNode(scope);
    const victim = await startCaller(scope, "runc", { daemon, sockets });
    const hostile = await Container.start(scope, { name: "hostile", memory: 64 * MIB });
    const argv = [program("listeners"), join(sockets, "oci.sock"), `${LISTENERS}`, "1000000"];
    const crowd = hostile.start(scope, argv);
    if (crowd.stdout === null) {
      throw new Error("no output");
    }
    await once(crowd.stdout, "data");
    const { workerPid } = await statusOf(daemon);
    const slow = join(hostile.cgroup.directory("memory"), "memory.stat");
    const inject = ["-e", `inject=pread64,read:delay_enter=${SLOW_MS}000`, "-P", slow];
    const strace = ["strace", "-qq", "-f", ...inject, "-p", `${workerPid}`];
    const tracer = background(scope, strace);
    const delayed = tracer.stderr === null ? undefined : once(tracer.stderr, "data");
    crowd.stdin?.write("\n");
    await delayed;
    // What takes all threads does so in each round; other work of the machine does not.
    let longestUs = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS && longestUs >= MOST_US; round += 1) {
      const told = await watched(victim, "", 3000);
      expect(told.wrong).toBe(0);
      longestUs = told.longestUs;
    }
    expect(longestUs).toBeLessThan(MOST_US);
  });
});

describeLive(
  "callers in a container whose cgroups cannot be looked into",
  ["runc", "busybox"],
  () => {
    it("hold nobody else's calls, nor at a takeover", { timeout: 120_000 }, async () => {
      const scope = testScope();
      const { daemon, sockets } = await startCallNode(scope);
      const victim = await startCaller(scope, "runc", { daemon, sockets });
      const hostile = await Container.start(scope, { name: "hostile", memory: 64 * MIB });
      // Of each of these the first call comes from nobody knows whom.
      const argv = [program("listeners"), join(sockets, "oci.sock"), `${LISTENERS}`, "1000000"];
      const crowd = hostile.start(scope, argv);
      if (crowd.stdout === null) {
        throw new Error("no output");
      }
      await once(crowd.stdout, "data");
      forgetNames();
      await plug(scope, hostile, hostile.cgroup.directories);
      crowd.stdin?.write("\n");
      const expectUnhindered = async () => {
        const { wrong, longestUs } = await watched(victim, "", 1000);
        expect(wrong).toBe(0);
        // All threads may wait for it once, for a moment.
        expect(longestUs).toBeLessThan(2 * MOST_US);
      };
      await expectUnhindered();
      expect((await vprocfs("reload", "--mountpoint", daemon.mountpoint)).status).toBe(0);
      await expectUnhindered();
    });
  },
);

describeLive("a tenant with too many listeners", [], () => {
  it("loses those beyond 512", async () => {
    const scope = testScope();
    const { sockets } = await startCallNode(scope);
    const hostile = await Container.start(scope, { name: "hostile", memory: 512 * MIB });
    const many = [join(sockets, "oci.sock"), `${MOST_LISTENERS + 20}`, "1"];
    const crowd = hostile.start(scope, [program("listeners"), ...many]);
    const outcome = finished(crowd);
    crowd.stdin?.end("\n");
    expect((await outcome).stdout.toString()).toBe(`ready\n${MOST_LISTENERS}\n`);
  });
});

describeLive("callers whose memory blocks", ["runc", "busybox"], () => {
  it("cost nobody else anything, nor any later worker", async () => {
    const scope = testScope();
    const sockets = mkdtempSync(join(tmpdir(), `${testName("c")}-`));
    scope.defer(() => rmSync(sockets, { recursive: true }));
    const daemon = await Daemon.start(scope, "--calls-directory", sockets);
    const socket = join(sockets, "oci.sock");
    await until("it listens", () => existsSync(socket));
    const victim = await startCaller(scope, "runc", { daemon, sockets });
    const hostile = await Container.start(scope, { name: "hostile", memory: 64 * MIB });
    const abortOne = await fuseAborter(scope);
    const aborts = [
      await blockedCall(scope, hostile, socket, abortOne),
      await blockedCall(scope, hostile, socket, abortOne),
      await blockedCall(scope, hostile, socket, abortOne),
    ];
    const quiet = await watched(victim, "", 500);
    expect(quiet.wrong).toBe(0);
    // One place for all of the tenant's: it stays taken, and is not waited for.
    const writers = new Writers();
    const first = (await statusOf(daemon)).workerPid;
    await until("one is stuck", () => writers.stuck(first) === 1);
    for (let round = 0; round < 3; round += 1) {
      const { workerPid, generation } = await statusOf(daemon);
      process.kill(workerPid, "SIGKILL");
      const next = await servingAfter(daemon, generation);
      await until("nothing holds it", () => !existsSync(`/proc/${workerPid}`));
      const { wrong, longestUs } = await watched(victim, "", 500);
      expect(wrong).toBe(0);
      expect(await victim.output(["cat", "/proc/meminfo"])).toMatch(/^MemTotal: +262144 kB\n/);
      expect(longestUs).toBeLessThan(1_000_000);
      // Others may wait for a moment.
      await until("one is stuck", () => writers.stuck(next.workerPid) === 1);
    }
    for (const abort of aborts) {
      abort();
    }
    const { workerPid: last } = await statusOf(daemon);
    await until("nothing is stuck", () => writers.stuck(last) === 0);
  });
});
