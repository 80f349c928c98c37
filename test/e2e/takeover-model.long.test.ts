// The model of the takeover, by spin: assertions, and that every request is answered in the end.

import { join } from "node:path";
import { expect, it } from "vitest";
import { output, run } from "../support/command.js";
import { temporaryDirectory } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";
import { testScope } from "../support/test-scope.js";

const MODEL = join(project, "test/model/takeover.pml");
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

describeLive("the model of the takeover", ["spin", "gcc"], () => {
  it.each(SIZES)("keeps its promises with %o", { timeout: TIMEOUT_MS }, async (size) => {
    const cwd = temporaryDirectory(testScope(), "model");
    const sizes = Object.entries(size).map(([name, value]) => `-D${name}=${value}`);
    await output(["spin", "-a", ...sizes, MODEL], { cwd });
    const flags = ["-O2", "-w", "-DNFAIR=16", "-DCOLLAPSE"];
    await output(["gcc", ...flags, "-o", "pan", "pan.c"], { cwd });
    const found = await run(["./pan", "-a", "-f", "-m100000"], { cwd, timeoutMs: TIMEOUT_MS });
    const text = found.stdout.toString();
    expect(text).toMatch(/errors: 0$/m);
    expect(text).not.toContain("Search not completed");
  });
});
