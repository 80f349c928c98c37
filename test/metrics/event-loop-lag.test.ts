import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { eventLoopLag } from "../../src/metrics/event-loop-lag.js";

const EVERY_MS = 10;

async function valuesOf(sources: ReturnType<typeof eventLoopLag>): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const { name, values } of sources) {
    await values((value) => found.set(name, value));
  }
  return found;
}

/** Keeps the event loop from doing anything else. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

it("tells the lag since the last scrape, without the pause between measurements", async () => {
  const sources = eventLoopLag(EVERY_MS);
  const none = await valuesOf(sources);
  expect([...none.keys()]).toEqual(
    ["min", "max", "mean", "stddev", "p50", "p90", "p99"].map(
      (one) => `nodejs_eventloop_lag_${one}_seconds`,
    ),
  );
  expect([...none.values()].every((value) => value === 0)).toBe(true);
  // The first measurement begins a time, the next one ends it.
  for (const ms of [2 * EVERY_MS, 30 * EVERY_MS]) {
    block(ms);
    await turn();
    await turn();
  }
  const found = await valuesOf(sources);
  expect(found.get("nodejs_eventloop_lag_max_seconds")).toBeGreaterThan(0.1);
  expect(found.get("nodejs_eventloop_lag_p99_seconds")).toBeGreaterThan(0.1);
  expect([...found.values()].every((value) => value >= 0 && Number.isFinite(value))).toBe(true);
  expect([...(await valuesOf(sources)).values()].every((value) => value === 0)).toBe(true);
});
