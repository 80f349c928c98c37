// The node's clock is set, forward and back by years, under a daemon that serves. Nothing that a
// container sees depends on it but btime, which is the node's business.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { run } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, temporaryDirectory, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { memTotalKb, stat, uptime } from "../support/procfile.js";
import { withPreload } from "../support/programs.js";
import { figureOf, serveMetrics } from "../support/prometheus.js";
import { inLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter } from "./never-down-support.js";

withStandby();

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

  it("kills for want of memory are still a container's own, and told by the clock", async () => {
    const scope = testScope();
    const clock = join(temporaryDirectory(scope, "clock"), "shift");
    writeFileSync(clock, "0");
    const { daemon, scrape } = await withPreload("shift", { VPROCFS_TEST_CLOCK: clock }, () =>
      serveMetrics(scope),
    );
    const container = await Container.start(scope, { memory: 16 * MIB, swap: 0 });
    const id = await container.id(daemon);
    const told = async (figure: string) => figureOf(await scrape(), figure, id) ?? 0;
    const started = await told("start_time_seconds");
    let last = 0;
    for (const shift of [0, -3600, 10 * YEARS]) {
      writeFileSync(clock, String(shift));
      expect((await told("start_time_seconds")) - started).toBeCloseTo(shift, 0);
      const begun = Date.now() / 1000;
      const hog = await run(container.command(["tail", "/dev/zero"]));
      expect(hog.signal ?? hog.status).not.toBe(0);
      await until(`a kill is told of that was after ${last}`, async () => {
        const time = (await told("last_oom_kill_timestamp_seconds")) - shift;
        const isNew = time > last && time > begun - 5;
        last = isNew ? time : last;
        return isNew;
      });
      // The kernel's log is dated by a clock of its own.
      expect(last).toBeLessThan(Date.now() / 1000 + 5);
    }
  });
});
