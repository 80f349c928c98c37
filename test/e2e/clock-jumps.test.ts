// The node's clock is set, forward and back by years, under a daemon that serves. Nothing that a
// container sees depends on it but btime, which is the node's business.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, temporaryDirectory } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { memTotalKb, stat, uptime } from "../support/procfile.js";
import { withPreload } from "../support/programs.js";
import { inLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter } from "./never-down-support.js";

const YEARS = 365 * 86_400;
const JUMPS = [10 * YEARS, -10 * YEARS, 1, -1, -50 * YEARS, 0];
const ROUNDS = inLong(1, 20);

describeLive("when the clock is set", [], () => {
  it.each(["exact", "tick"])("containers read on, and nothing runs backwards, in %s", async (c) => {
    const scope = testScope();
    const clock = join(temporaryDirectory(scope, "clock"), "shift");
    writeFileSync(clock, "0");
    const daemon = await withPreload("shift", { VPROCFS_TEST_CLOCK: clock }, () =>
      Daemon.start(scope, "--consistency", c, "--log-format", "json"),
    );
    const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
    let last = { up: 0, user: 0, idle: 0, total: 64 };
    let generation = 0;
    for (const shift of Array.from({ length: ROUNDS }, () => JUMPS).flat()) {
      writeFileSync(clock, String(shift));
      // In tick it is padded.
      const text = await container.read("/proc/uptime");
      const { up } = uptime(text.replace(/ +\n$/, "\n"));
      const { user = 0, idle = 0 } = stat(await container.read("/proc/stat")).total;
      expect([shift, up >= last.up, user >= last.user, idle >= last.idle]).toEqual([
        shift,
        true,
        true,
        true,
      ]);
      expect(up - last.up).toBeLessThan(last.up === 0 ? Number.POSITIVE_INFINITY : 60);
      last = { ...last, up, user, idle };
      // Another limit each time: what the kernel has of a file is told from what is new.
      const memory = (last.total === 64 ? 65 : 64) * MIB;
      container.cgroup.limit({ memory });
      await until("the new limit is seen", async () => {
        return memTotalKb(await container.read("/proc/meminfo")) === memory / 1024;
      });
      last.total = memory / MIB;
      // The worker after a jump has what the one before it had.
      process.kill(daemon.pid, "SIGHUP");
      generation = (await servingAfter(daemon, generation === 0 ? 1 : generation)).generation;
    }
  });
});
