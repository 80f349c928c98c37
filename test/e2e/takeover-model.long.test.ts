// The models of the takeover, by spin: that every request is answered in the end, and no system call in hand
// is lost.

import { join } from "node:path";
import { expect, it } from "vitest";
import { output, run } from "../support/command.js";
import { temporaryDirectory } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";
import { testScope } from "../support/test-scope.js";

const TAKEOVER = join(project, "test/model/takeover.pml");
const CALLS = join(project, "test/model/pending-calls.pml");
const TIMEOUT_MS = 1_200_000;

/** How often what happens; each is looked at in full. */
const SIZES = [
  { KILLS: 2, RELOADS: 0, RESTARTS: 0 },
  { KILLS: 1, RELOADS: 1, RESTARTS: 0 },
  { KILLS: 1, RELOADS: 0, RESTARTS: 1 },
  { KILLS: 0, RELOADS: 1, RESTARTS: 1 },
  { KILLS: 2, RELOADS: 1, RESTARTS: 0, REQUESTS: 1 },
  { KILLS: 1, RELOADS: 1, RESTARTS: 0, REFUSE: 1 },
];

/** How often a worker is killed, and how many calls there are. */
const CALL_SIZES = [{ KILLS: 1 }, { KILLS: 2, CALLS: 2 }];

/** What once lost calls, which the model is to find. */
const DEFECTS = [
  { KILLS: 1, SETTLE_ALL: 1 },
  { KILLS: 1, NO_RESERVE: 1, PARKED: 4, CALLS: 4 },
];

/** What a model's checker says. */
async function check(
  model: string,
  size: Readonly<Record<string, number>>,
  flags: readonly string[],
  options: readonly string[],
): Promise<string> {
  const cwd = temporaryDirectory(testScope(), "model");
  const sizes = Object.entries(size).map(([name, value]) => `-D${name}=${value}`);
  await output(["spin", "-a", ...sizes, model], { cwd });
  await output(["gcc", ...flags, "-w", "-DCOLLAPSE", "-o", "pan", "pan.c"], {
    cwd,
    timeoutMs: TIMEOUT_MS,
  });
  const found = await run(["./pan", ...options], { cwd, timeoutMs: TIMEOUT_MS });
  return found.stdout.toString();
}

describeLive("the model of the takeover", ["spin", "gcc"], () => {
  it.each(SIZES)("keeps its promises with %o", { timeout: TIMEOUT_MS }, async (size) => {
    const text = await check(TAKEOVER, size, ["-O2", "-DNFAIR=16"], ["-a", "-f", "-m100000"]);
    expect(text).toMatch(/errors: 0$/m);
    expect(text).not.toContain("Search not completed");
  });
});

describeLive("the model of system calls in hand", ["spin", "gcc"], () => {
  const checked = (size: Readonly<Record<string, number>>): Promise<string> =>
    check(CALLS, size, ["-O1", "-DSAFETY"], ["-m1000000"]);

  it.each(CALL_SIZES)("loses none with %o", { timeout: TIMEOUT_MS }, async (size) => {
    const text = await checked(size);
    expect(text).toMatch(/errors: 0$/m);
    expect(text).not.toContain("Search not completed");
    expect(text).not.toContain("search depth too small");
  });

  it.each(DEFECTS)("finds what %o did", { timeout: TIMEOUT_MS }, async (defect) => {
    expect(await checked(defect)).toMatch(/^pan:1: assertion violated/m);
  });
});
