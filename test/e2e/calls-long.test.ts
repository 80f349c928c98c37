// Many calls of sysinfo(2): nothing grows, and what one costs. VPROCFS_TEST_CALLS=10000000 makes it
// long.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startCaller, watched } from "../support/calls.js";
import { background } from "../support/command.js";
import { Daemon } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { footprint, standingBy } from "./never-down-support.js";

const CALLS = Number(process.env.VPROCFS_TEST_CALLS ?? 50_000);
/** A program is given a minute. */
const AT_ONCE = 250_000;
const SECONDS_PER_CALL = 1 / 2000;

describeLive("many calls", ["runc", "busybox"], () => {
  it(
    `${CALLS} leave no trace`,
    async () => {
      const scope = testScope();
      const sockets = mkdtempSync(join(tmpdir(), `${testName("c")}-`));
      scope.defer(() => rmSync(sockets, { recursive: true }));
      const place = ["--calls-directory", sockets, "--calls-per-second", "0"];
      const daemon = await Daemon.start(scope, ...place);
      const caller = await startCaller(scope, "runc", { daemon, sockets });
      // All that is made once is made.
      await watched(caller, "", 5000);
      const { workerPid, keeperPid } = await standingBy(daemon);
      const before = [footprint(workerPid), footprint(keeperPid)];
      let took = 0;
      for (let made = 0; made < CALLS; ) {
        const { calls, wrong, meanUs } = await watched(caller, "", Math.min(AT_ONCE, CALLS - made));
        expect(wrong).toBe(0);
        took += calls * meanUs;
        made += calls;
      }
      const after = [footprint(workerPid), footprint(keeperPid)];
      for (const [at, { rssKiB, descriptors }] of after.entries()) {
        expect(descriptors).toBeLessThanOrEqual((before[at]?.descriptors ?? 0) + 2);
        // The worker is Node, whose heap breathes.
        expect(rssKiB).toBeLessThan((before[at]?.rssKiB ?? 0) + (at === 0 ? 16_384 : 256));
      }
      expect((await standingBy(daemon)).workerPid).toBe(workerPid);
      console.log(
        `${CALLS} calls, ${(took / CALLS).toFixed(1)} µs each; before ${JSON.stringify(before)}`,
      );
      console.log(`after ${JSON.stringify(after)}`);
    },
    120_000 + CALLS * SECONDS_PER_CALL * 1000,
  );

  it("cost this much more than with the least agent", async () => {
    const scope = testScope();
    const sockets = mkdtempSync(join(tmpdir(), `${testName("c")}-`));
    scope.defer(() => rmSync(sockets, { recursive: true }));
    const place = ["--calls-directory", sockets, "--calls-per-second", "0"];
    const daemon = await Daemon.start(scope, ...place);
    const caller = await startCaller(scope, "runc", { daemon, sockets });
    const least = mkdtempSync(join(tmpdir(), `${testName("l")}-`));
    scope.defer(() => rmSync(least, { recursive: true }));
    background(scope, [program("calls"), "agent", join(least, "oci.sock")]);
    await until("it listens", () => existsSync(join(least, "oci.sock")));
    const other = await startCaller(scope, "runc", { daemon, sockets: least, plain: true });
    const round = async () => {
      const [ours, theirs] = [await costOf(caller), await costOf(other)];
      return { ours, theirs };
    };
    const rounds = [await round(), await round(), await round()];
    for (const { ours, theirs } of rounds) {
      console.log(`${ours} µs, with the least agent ${theirs} µs`);
      expect(ours).toBeGreaterThan(0);
    }
  });
});

/** µs for a call of one that calls without a pause, whatever it is told. */
async function costOf(caller: {
  run(argv: readonly string[]): Promise<{ readonly stdout: Buffer }>;
}): Promise<number> {
  const { stdout } = await caller.run(["/tmp/calls", "watch", "0", "", "20000"]);
  return Number(/"meanUs":([\d.]+)/.exec(stdout.toString())?.[1]);
}
