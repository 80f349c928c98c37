// Many calls of sysinfo(2): nothing grows, and what one costs. bench/calls/calls.sh makes it long.

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type CallNode, socketsDirectory, startCallNode } from "../support/call-node.js";
import { type Caller, startCaller, Watched, watched } from "../support/calls.js";
import { background } from "../support/command.js";
import { type Daemon, vprocfs, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { inLong, itLong, sized } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { footprint, servingAfter, standingBy } from "./never-down-support.js";

withStandby();

const CALLS = sized("VPROCFS_TEST_CALLS", 10_000, 1_000_000);
const TRIALS = sized("VPROCFS_TEST_CALL_TRIALS", 1, 15);
/** A program is given a minute. */
const AT_ONCE = 50_000;
/** Of LXC's container, whose monitor is one more process in the way of each call. */
const LXC_SHARE = 0.1;
/** A figure to read, which nothing is compared with. */
const itMeasured = process.env.VPROCFS_TEST_CALL_TRIALS === undefined ? itLong : it;
const CALLS_PER_TRIAL = inLong(5_000, 20_000);
/** So often a worker is killed, and as often one is reloaded. */
const ROUNDS = sized("VPROCFS_TEST_CALL_ROUNDS", 1, 4);
const SECONDS_PER_CALL = 1 / 2000;

const start = (scope: Scope): Promise<CallNode> => startCallNode(scope, "--calls-per-second", "0");

async function callOften(caller: Caller, most: number): Promise<void> {
  for (let made = 0; made < most; ) {
    const { calls, wrong } = await watched(caller, "", Math.min(AT_ONCE, most - made));
    expect(wrong).toBe(0);
    made += calls;
  }
}

/** What a process has once it has given back the descriptors that it did not have before. */
function returned(pid: number, descriptors: number): Promise<ReturnType<typeof footprint>> {
  // A program that has just ended may still have its listener there, before or after.
  return until(`process ${pid} has given its descriptors back`, () => {
    const now = footprint(pid);
    return now.descriptors <= descriptors + 2 && now;
  });
}

/** Calls of both while one worker is killed and another one reloaded. */
async function callThroughTrouble(daemon: Daemon, callers: readonly Caller[]): Promise<void> {
  const stops = callers.map(({ rootfs }) => join(rootfs, "tmp/stop"));
  const outcomes = callers.map((caller) => watched(caller, "/tmp/stop"));
  const { workerPid, generation } = await standingBy(daemon);
  process.kill(workerPid, "SIGKILL");
  await servingAfter(daemon, generation);
  const reload = await vprocfs("reload", "--mountpoint", daemon.mountpoint);
  expect(reload.stdout.toString()).toBe("reloaded\n");
  for (const stop of stops) {
    writeFileSync(stop, "");
  }
  for (const { wrong } of await Promise.all(outcomes)) {
    expect(wrong).toBe(0);
  }
  for (const stop of stops) {
    rmSync(stop);
  }
}

describeLive("many calls", ["runc", "lxc-create", "busybox"], () => {
  it(
    `${CALLS} leave no trace`,
    async () => {
      const scope = testScope();
      const node = await start(scope);
      const runc = await startCaller(scope, "runc", node);
      const lxc = await startCaller(scope, "lxc", node);
      const callAll = (most: number) => {
        const share = Math.ceil(most * LXC_SHARE);
        return Promise.all([callOften(runc, most - share), callOften(lxc, share)]);
      };
      const { keeperPid } = await standingBy(node.daemon);
      const warm = Math.min(inLong(3_000, 10_000), CALLS);
      await callAll(warm);
      const keeper = footprint(keeperPid);
      for (let round = 0; round < ROUNDS; round += 1) {
        const { workerPid } = await standingBy(node.daemon);
        // All that is made once is made.
        await callAll(warm);
        const before = footprint(workerPid);
        await callAll(Math.ceil(CALLS / ROUNDS));
        const after = await returned(workerPid, before.descriptors);
        console.log(JSON.stringify({ round, before, after }));
        // The worker is Node, whose heap breathes.
        expect(after.rssKiB).toBeLessThan(before.rssKiB + 16_384);
        await callThroughTrouble(node.daemon, [runc, lxc]);
      }
      await standingBy(node.daemon);
      const after = await returned(keeperPid, keeper.descriptors);
      const figures = { calls: CALLS, kills: ROUNDS, reloads: ROUNDS };
      console.log(JSON.stringify({ ...figures, keeper: [keeper, after] }));
      expect(after.rssKiB).toBeLessThan(keeper.rssKiB + 256);
    },
    120_000 + CALLS * SECONDS_PER_CALL * 1000,
  );

  itMeasured(
    "cost this much more than with the least agent",
    async () => {
      const scope = testScope();
      const node = await start(scope);
      const least = socketsDirectory(scope);
      background(scope, [program("calls"), "agent", join(least, "oci.sock")]);
      await until("it listens", () => existsSync(join(least, "oci.sock")));
      const ours = await startCaller(scope, "runc", node);
      const bare = await startCaller(scope, "runc", { ...node, sockets: least, plain: true });
      const lxc = await startCaller(scope, "lxc", node);
      const figures = { bare: [], ours: [], lxc: [] } as Record<string, Watched[]>;
      for (let trial = 0; trial < TRIALS; trial += 1) {
        figures.bare?.push(await costOf(bare));
        figures.ours?.push(await costOf(ours));
        figures.lxc?.push(await costOf(lxc));
      }
      const of = (name: string, figure: "p50Us" | "p99Us" | "meanUs") =>
        median((figures[name] ?? []).map((one) => one[figure]));
      for (const figure of ["p50Us", "p99Us", "meanUs"] as const) {
        const [base, oci, monitor] = [of("bare", figure), of("ours", figure), of("lxc", figure)];
        const more = Math.round((oci - base) * 10) / 10;
        console.log(JSON.stringify({ figure, bare: base, vprocfs: oci, more, lxc: monitor }));
        expect(oci).toBeGreaterThan(0);
      }
    },
    60_000 + TRIALS * 3 * CALLS_PER_TRIAL * SECONDS_PER_CALL * 1000,
  );
});

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** One that calls without a pause, whatever it is told. */
async function costOf(caller: Caller): Promise<Watched> {
  const { stdout } = await caller.run(["/tmp/calls", "watch", "0", "", `${CALLS_PER_TRIAL}`]);
  return Watched.parse(JSON.parse(stdout.toString()));
}
