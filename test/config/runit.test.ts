// The service of runit, with a vprocfs that only says how it was started.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { output } from "../support/command.js";
import { project } from "../support/project.js";

it("runit's service may open as many files as the unit's, or as many as runsv may", async () => {
  const directory = mkdtempSync(join(tmpdir(), "vprocfs-test-runit-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "vprocfs"), '#!/bin/sh\necho "$* $(ulimit -Sn)"\n', {
    mode: 0o755,
  });
  const env = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
  const run = join(project, "packaging/runit/vprocfs/run");
  const limited = ["sh", "-c", 'ulimit -Sn 64; ulimit -Hn 512; exec sh "$0"', run];
  const said = await output(limited, { env });
  // Only CAP_SYS_RESOURCE raises a hard limit.
  expect(["run 1048576\n", "run 512\n"]).toContain(said);
});
