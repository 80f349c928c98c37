import pino from "pino";
import { expect, it, onTestFinished } from "vitest";
import type { WatcherState } from "../../src/attach/watcher.js";
import { loadConfig } from "../../src/config-load.js";
import type { Engine } from "../../src/engine/engine.js";
import { askFigures, figuresCompanion } from "../../src/figures.js";
import { checkDaemon } from "../../src/tools/daemon-checks.js";
import { NoAnswer } from "../../src/within.js";
import { testName } from "../support/names.js";
import { until } from "../support/wait.js";

const config = loadConfig({ flags: {}, env: {}, defaultFile: "/nonexistent" });

/** What is found of a mount point whose keeper is asked in vain, and what to do. */
async function found(state: "live" | "none", why: Error) {
  const mountpoint = `/${testName("nobody-")}`;
  const place = { mountpoint, state, flags: "", ask: () => Promise.reject(why) };
  const findings = await checkDaemon(config, place, "1.0.0");
  return findings.filter(({ what }) => what.includes(why.message));
}

it.each([
  ["live", "warning"],
  ["none", "problem"],
] as const)("has nobody restart a keeper that may only be slow, mount %s", async (state, level) => {
  const [late, ...others] = await found(state, new NoAnswer("its keeper is late"));
  expect(others).toEqual([]);
  expect(late?.level).toBe(level);
  expect(late?.what).toMatch(/may be serving in other namespaces/);
  expect(late?.todo).toMatch(/^it may only be slow: see .*, and run this again$/);
});

/** What is found of a daemon with a watcher in some state. */
async function foundOfWatcher(state: Partial<WatcherState>) {
  const mountpoint = `/${testName("watching-")}`;
  const watcher = {
    ...{ followed: 12, followLimit: 65_536, tenantLimit: 1024, refused: 0, short: 0 },
    ...{ waiting: 0, running: 0, slow: 0, hung: 0, shortages: 0 },
    ...state,
  };
  const companion = figuresCompanion({
    ...{ mountpoint, metrics: "off", replaceLxcfs: false, log: pino({ level: "silent" }) },
    binding: { version: "1.0.0", openat2Error: () => 0 },
    metricsState: async () => ({ problem: "", isPending: false }),
    attaching: () => watcher,
  });
  onTestFinished(() => companion.stop(true));
  companion.start({
    counters: () => ({}),
    features: () => ({}),
    containers: async () => [],
  } as unknown as Engine);
  await until("it answers", async () => (await askFigures(mountpoint)) !== undefined);
  const ask = () => Promise.reject(new Error("no keeper"));
  const place = { mountpoint, state: "live", flags: "", ask } as const;
  const findings = await checkDaemon(config, place, "1.0.0");
  return findings.map(({ level, what }) => [level, what] as const);
}

it.runIf(process.getuid?.() === 0).each([
  [{ what: "pipe: EMFILE", atMs: 600_000 }, "warning", "; last, 10 min ago: pipe: EMFILE"],
  [undefined, "info", ""],
])("says what the watcher was short of, and when: %o", async (last, level, words) => {
  const lastShortage = last && { what: last.what, atMs: Date.now() - last.atMs };
  const findings = await foundOfWatcher({ shortages: 3, ...(lastShortage && { lastShortage }) });
  const about = findings.filter(([, what]) => /was short|namespaces|share of/.test(what));
  expect(about).toEqual([
    ["ok", "no container has asked for more than its share of the shared resources"],
    [level, `the watcher was short of descriptors, processes or memory, 3 times${words}`],
  ]);
});

it.runIf(process.getuid?.() === 0)("says that the watcher hears of no new process", async () => {
  const about = async (state: Partial<WatcherState>) =>
    (await foundOfWatcher(state)).filter(([, what]) => what.startsWith("only hooks"));
  expect(await about({})).toEqual([]);
  expect(await about({ problem: "process connector: none" })).toEqual([
    ["warning", expect.stringMatching(/process connector: none$/)],
  ]);
});

it("says what no keeper means", async () => {
  const [none] = await found("live", new Error("there is no keeper"));
  expect(none?.todo).toContain("restart vprocfs");
});
