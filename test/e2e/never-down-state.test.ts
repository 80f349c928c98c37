// What workers leave for each other: readers go on with it. Where it is damaged it is ignored, and
// reads go on all the same.

import { writeSync } from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { beforeEach, expect, it } from "vitest";
import { removeCgroup } from "../support/cgroups.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { sized } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { contentOf, damage, GRANULE, HISTORY, recordsOf, statesOf } from "./never-down-memory.js";
import { replaceWorker, statusOf } from "./never-down-support.js";

withStandby();

const ROUNDS = sized("VPROCFS_TEST_STORM_FLIPS", 6, 200);
const FLIPS_PER_ROUND = 40;
const UNUSED = Buffer.alloc(GRANULE);

describeLive("a container that ends while no worker knows it", [], () => {
  it("leaves nothing for those to come", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const [state = -1] = statesOf(daemon, scope);
    const binds = bindsOf(daemon);
    const ends = await Container.start(scope, { memory: 64 * 2 ** 20, binds });
    const stays = await Container.start(scope, { memory: 64 * 2 ** 20, binds });
    for (const container of [ends, stays]) {
      expect(await container.read("/proc/stat")).toMatch(/^cpu /);
    }
    const kept = () => recordsOf(contentOf(state), HISTORY).length;
    expect(kept()).toBe(2);
    await replaceWorker(daemon, "kill");
    await ends.kill();
    await Promise.all(ends.cgroup.directories.map(removeCgroup));
    await replaceWorker(daemon, "kill");
    await until("it is given back", () => kept() === 1);
    expect(await stays.read("/proc/stat")).toMatch(/^cpu /);
    expect(kept()).toBe(1);
  });
});

describeLive("a worker that finds damaged state", [], () => {
  let daemon: Daemon;
  let state: number;
  let container: Container;
  let held: FileHandle[];

  beforeEach(async () => {
    const scope = testScope();
    daemon = await Daemon.start(scope);
    container = await Container.start(scope, { memory: 64 * 2 ** 20, binds: bindsOf(daemon) });
    [state = -1] = statesOf(daemon, scope);
    held = [];
    const id = await container.id(daemon);
    for (const file of ["proc/meminfo", "proc/stat", "proc/uptime"]) {
      const handle = await open(daemon.path("containers", id, file));
      scope.defer(() => handle.close());
      held.push(handle);
    }
  });

  async function expectReads(): Promise<void> {
    expect(await container.read("/proc/meminfo")).toMatch(/^MemTotal: +65536 kB\n.*\n$/s);
    expect(await container.read("/proc/stat")).toMatch(/^cpu .*\n$/s);
    expect(await readFile(daemon.path("proc/meminfo"), "utf8")).toMatch(/^MemTotal:.*\n$/s);
    for (const handle of held) {
      const { bytesRead } = await handle.read(Buffer.alloc(100), 0, 100, 2);
      expect(bytesRead).toBeGreaterThan(0);
    }
  }

  it("ignores a layout that is not its own and says so", async () => {
    const status = await damage(daemon, () => writeSync(state, Buffer.alloc(64, "x"), 0, 64, 0));
    expect(status.statesIgnored).toBe(1);
    expect(daemon.logs).toContain("previous worker: foreign content");
    await expectReads();
  });

  it("needs nothing of what is gone, the connection included", async () => {
    const status = await damage(daemon, () => writeSync(state, Buffer.alloc(4096), 0, 4096, 0));
    expect(status.reasons).toEqual(["signal 9"]);
    await expectReads();
  });

  it("ignores a record that changed and keeps the others", async () => {
    const text = Buffer.alloc(64);
    expect((await held[0]?.read(text, 0, 64, 0))?.bytesRead).toBe(64);
    const status = await damage(daemon, () => {
      const bytes = contentOf(state);
      // What was read at the beginning may have been made anew, and the old text lies there still.
      const found: number[] = [];
      for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
        found.push(at);
      }
      expect(found).not.toEqual([]);
      for (const at of found) {
        writeSync(state, "MemTotal: 12345678", at);
      }
    });
    expect(status.statesIgnored).toBe(1);
    expect(daemon.logs).toContain("previous worker: 1 damaged records");
    const again = Buffer.alloc(64);
    await held[0]?.read(again, 0, 64, 0);
    expect(again.toString()).toMatch(/^MemTotal: +65536 kB\n/);
    await expectReads();
  });

  it(`starts in spite of flipped bits, ${ROUNDS} times`, {
    timeout: 60_000 + ROUNDS * 6_000,
  }, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = await statusOf(daemon);
      const status = await damage(daemon, () => {
        const bytes = contentOf(state);
        const used: number[] = [];
        for (let at = 0; at < bytes.length; at += GRANULE) {
          if (!bytes.subarray(at, at + GRANULE).equals(UNUSED)) {
            used.push(at);
          }
        }
        for (let flip = 0; flip < FLIPS_PER_ROUND; flip += 1) {
          const granule = used[Math.floor(Math.random() * used.length)] ?? 0;
          // The heads of records and of the file matter most.
          const within = Math.random() < 0.5 ? 40 : GRANULE;
          const at = granule + Math.floor(Math.random() * within);
          const flipped = (bytes[at] ?? 0) ^ (1 << Math.floor(Math.random() * 8));
          writeSync(state, Buffer.from([flipped]), 0, 1, at);
        }
      });
      expect(status.restarts, daemon.logs).toBe(before.restarts + 1);
      expect(status.generation, daemon.logs).toBe(before.generation + 1);
      await expectReads();
    }
  });
});
