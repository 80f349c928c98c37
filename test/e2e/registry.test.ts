// What is known of real containers when several threads ask at once, and when they end.

import { readlinkSync } from "node:fs";
import { expect, it } from "vitest";
import { Cgroup, removeCgroup } from "../support/cgroups.js";
import { output } from "../support/command.js";
import { Container } from "../support/container.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { commandOf } from "../support/proc.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { Registry, TESTING } from "../support/testing.js";
import { until } from "../support/wait.js";

/** What a look at limits takes; it rests nine times as long, but for a second at most. */
const LOOK_MS = 100;
/** Long enough for containers to end and to begin. */
const LONG_LOOK_MS = 2000;
/** Mostly the threads are not near enough to each other. */
const ROUNDS = 1500;
const THREADS = 4;

/** More descriptors than the search for a container needs. */
const DESCRIPTORS = 24;

/**
 * Asks for the age of a younger PID namespace with room for no, one, two, ... further descriptors, and each time
 * again at once with room for all; prints what the second answers are.
 */
const SHORT_OF_FILES = `
  const { openSync, closeSync } = require("node:fs");
  const [addon, ...pids] = process.argv.slice(1);
  const [old, young, most] = pids.map(Number);
  const registry = new (require(addon).Registry)(2);
  const ages = [];
  for (let room = 0; room <= most; room += 1) {
    registry.forget();
    registry.clockOf(old);
    const all = [];
    for (;;) try { all.push(openSync("/dev/null")); } catch { break; }
    for (const fd of all.splice(0, room)) closeSync(fd);
    try { registry.clockOf(young, old); } catch {}
    for (const fd of all) closeSync(fd);
    ages.push(registry.clockOf(young, old).toString());
  }
  console.log(JSON.stringify(ages));
`;

/** What began less than two of them ago may have begun just now. */
const TICK_MS = 10;

async function pass(ms: number): Promise<void> {
  const begun = performance.now();
  await until(`${ms} ms have passed`, () => performance.now() > begun + ms);
}

describeLive("a container that may be the only one of its tenant", [], () => {
  it("is told to all who ask for it at once", async () => {
    const { init } = await Container.start(testScope());
    const registry = new Registry(1);
    const refused = Array.from({ length: ROUNDS }, () => {
      registry.forget();
      return registry.refusedAtOnce(init, THREADS);
    });
    expect(refused.filter((count) => count > 0)).toEqual([]);
  });
});

describeLive("a container that has ended", [], () => {
  it("is forgotten at once, however often limits are written", async () => {
    const own = testScope();
    const registry = new Registry(2);
    const [lives, ends] = [await Container.start(own), await Container.start(own)];
    registry.watch(LOOK_MS);
    registry.find(ends.init);
    registry.find(lives.init);
    lives.cgroup.limit({ quota: 1 });
    await until("it has looked", () => registry.looks() === 1);
    const looked = performance.now();
    registry.find(lives.init);
    lives.cgroup.limit({ quota: 2 });
    await ends.kill();
    const ended = performance.now();
    await until("it is forgotten", () => registry.known() === 1);
    expect(performance.now() - ended).toBeLessThan(3 * LOOK_MS);
    // That was within the rest.
    expect(registry.looks()).toBe(1);
    await until("it looks again", () => registry.looks() === 2);
    expect(performance.now() - looked).toBeGreaterThan(9 * LOOK_MS);
  });
});

describeLive("a container whose end has not been heard of", [], () => {
  async function known(): Promise<{
    readonly own: Scope;
    readonly registry: Registry;
    readonly old: Container;
    readonly began: bigint;
    /** Ends it while nobody hears of that. */
    readonly end: () => Promise<void>;
  }> {
    const own = testScope();
    const registry = new Registry(2);
    const old = await Container.start(own);
    registry.watch(LONG_LOOK_MS);
    const began = registry.find(old.init);
    const end = async () => {
      old.cgroup.limit({ quota: 1 });
      await until("it looks at limits", () => registry.isLooking());
      await old.kill();
    };
    return { own, registry, old, began, end };
  }

  it.each(["the thread that hears of ends", "another request"])(
    "goes on with what began before it was last seen alive, by %s",
    async (by) => {
      const { own, registry, old, began, end } = await known();
      const young = await Container.start(own, { cgroup: old.cgroup });
      await pass(2 * TICK_MS);
      if (by === "another request") {
        expect(registry.find(old.init)).toBe(began);
      }
      await end();
      expect(registry.find(young.init)).toBe(began);
      expect(registry.isLooking()).toBe(true);
      await until("that is over", () => !registry.isLooking());
      expect(registry.find(young.init)).toBe(began);
      await young.kill();
      await until("it is forgotten", () => registry.known() === 0);
    },
  );

  it("does not go on with what began after it, which asks at once", async () => {
    const { own, registry, old, began, end } = await known();
    await end();
    const next = await Container.start(own, { cgroup: old.cgroup });
    const begins = registry.find(next.init);
    expect(registry.isLooking()).toBe(true);
    expect(begins).toBeGreaterThan(began);
    await until("that is over", () => !registry.isLooking());
    expect(registry.find(next.init)).toBe(begins);
  });

  it("is forgotten, whatever began after it", async () => {
    const { own, registry, old, began, end } = await known();
    await end();
    const next = await Container.start(own, { cgroup: old.cgroup });
    expect(registry.isLooking()).toBe(true);
    await until("it is forgotten", () => registry.known() === 0);
    expect(registry.find(next.init)).toBeGreaterThan(began);
  });

  it("is not forgotten while what began before it lives, of which nobody has asked", async () => {
    const { own, registry, old, began, end } = await known();
    const young = await Container.start(own, { cgroup: old.cgroup });
    await pass(2 * TICK_MS);
    await end();
    await until("that is over", () => !registry.isLooking());
    // It hears of another one later.
    const another = await Container.start(own);
    registry.find(another.init);
    await another.kill();
    await until("it has heard", () => registry.known() === 1);
    expect(registry.find(young.init)).toBe(began);
  });
});

describeLive("containers that end in a PID namespace that lives on", [], () => {
  /** Of so many of a tenant they are looked for. */
  const SWEEP_FROM = 16;
  const STATE_BYTES = 2 ** 20;

  it("are forgotten now and then, without a limit that is reached", async () => {
    const own = testScope();
    const pod = Cgroup.create(own, testName("pod"));
    pod.delegate();
    const pause = await Container.start(own, { cgroup: pod.child(own, "pause") });
    const registry = new Registry(10 * SWEEP_FROM);
    registry.find(pause.init);
    for (let count = 0; count <= SWEEP_FROM; count += 1) {
      const side = await Container.start(own, { cgroup: pod.child(own, "side"), pidsOf: pause });
      registry.find(side.init);
      await side.kill();
      for (const directory of side.cgroup.directories) {
        await removeCgroup(directory);
      }
    }
    expect(registry.known()).toBeLessThan(SWEEP_FROM / 2);
  });

  it("are forgotten when there is no room for what is kept of others", async () => {
    const own = testScope();
    const pod = Cgroup.create(own, testName("pod"));
    pod.delegate();
    const pause = await Container.start(own, { cgroup: pod.child(own, "pause") });
    const side = await Container.start(own, { cgroup: pod.child(own, "side"), pidsOf: pause });
    const registry = new Registry(10);
    registry.keep(STATE_BYTES);
    const began = registry.find(pause.init);
    registry.find(side.init);
    registry.watch(LOOK_MS);
    pause.cgroup.limit({ quota: 1 });
    // Before that it looks once for those whose end no worker has seen.
    await until("it has looked at limits", () => registry.looks() === 1);
    await side.kill();
    for (const directory of side.cgroup.directories) {
      await removeCgroup(directory);
    }
    expect(registry.known()).toBe(2);
    registry.fill();
    await until("it is forgotten", () => registry.known() === 1);
    expect(registry.find(pause.init)).toBe(began);
  });
});

describeLive("a container of two PID namespaces", ["prlimit"], () => {
  /** More PID namespaces within a container than are told apart. */
  const VISITORS = 65;
  /** Fewer, but more than the namespaces that a container begins with, any of which gets a number. */
  const SOME = 40;

  /** Processes that are each the first of a PID namespace within a container. */
  async function startWithin(own: Scope, outer: Container, count: number): Promise<number[]> {
    const each = "unshare --pid --fork sleep 1000 &";
    outer.start(own, ["sh", "-c", `for i in $(seq ${count}); do ${each} done; wait`]);
    return until("all are there", () => {
      const pids = outer.cgroup.read("memory", "cgroup.procs").split("\n").map(Number);
      const all = pids.filter((pid) => commandOf(pid) === "sleep");
      return all.length === count && all;
    });
  }

  function pidNamespaceOf(pid: number): string {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  }

  it("has an age in each of them, however many ask from others within", async () => {
    const own = testScope();
    const old = await Container.start(own);
    await pass(2 * TICK_MS);
    const young = await Container.start(own, { cgroup: old.cgroup });
    const registry = new Registry(2);
    const began = registry.clockOf(old.init);
    const next = registry.clockOf(young.init);
    expect(next).toBeGreaterThan(began);
    const visitors = await startWithin(own, old, VISITORS);
    expect(new Set(visitors.map((pid) => registry.clockOf(pid)))).toEqual(new Set([began]));
    expect(registry.clockOf(young.init)).toBe(next);
  });

  it("has in those within one of them the age of that one", async () => {
    const own = testScope();
    const old = await Container.start(own);
    await pass(2 * TICK_MS);
    const young = await Container.start(own, { cgroup: old.cgroup });
    const next = new Registry(2).clockOf(young.init);
    const within = await startWithin(own, young, 2);
    const registry = new Registry(2);
    expect(registry.clockOf(old.init)).toBeLessThan(next);
    for (let round = 0; round < 2; round += 1) {
      expect(within.map((pid) => registry.clockOf(pid, old.init))).toEqual([next, next]);
    }
  });

  it("has its own age in each as soon as descriptors are there again", async () => {
    const own = testScope();
    const old = await Container.start(own);
    await pass(2 * TICK_MS);
    const young = await Container.start(own, { cgroup: old.cgroup });
    const next = new Registry(2).clockOf(young.init);
    const argv = ["prlimit", "--nofile=256", process.execPath, "-e", SHORT_OF_FILES];
    const pids = [old.init, young.init, DESCRIPTORS].map(String);
    const ages: unknown = JSON.parse(await output([...argv, TESTING, ...pids]));
    expect(ages).toEqual(Array(DESCRIPTORS + 1).fill(`${next}`));
  });

  it("has its own age in one that has got the number of another within, which has ended", async () => {
    const own = testScope();
    const old = await Container.start(own);
    await pass(2 * TICK_MS);
    const registry = new Registry(2);
    const began = registry.clockOf(old.init);
    const inner = await startWithin(own, old, SOME);
    const numbers = new Set(inner.map(pidNamespaceOf));
    expect(numbers.size).toBe(SOME);
    expect(new Set(inner.map((pid) => registry.clockOf(pid, old.init)))).toEqual(new Set([began]));
    for (const pid of inner) process.kill(pid, "SIGKILL");
    await until("they have ended", () => inner.every((pid) => commandOf(pid) === ""));
    const young = await until("one has the number of another", async () => {
      const next = await Container.start(own, { cgroup: old.cgroup });
      return numbers.has(pidNamespaceOf(next.init)) && next;
    });
    await until("its age is its own", () => registry.clockOf(young.init, old.init) > began);
  });
});
