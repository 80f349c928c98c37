// What is known of real containers when several threads ask at once, and when they end.

import { expect, it } from "vitest";
import { Container } from "../support/container.js";
import { describeLive } from "../support/needs.js";
import { testScope } from "../support/test-scope.js";
import { Registry } from "../support/testing.js";
import { until } from "../support/wait.js";

/** What a look at limits takes; it rests nine times as long, but for a second at most. */
const LOOK_MS = 100;
/** Mostly the threads are not near enough to each other. */
const ROUNDS = 1500;
const THREADS = 4;

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
