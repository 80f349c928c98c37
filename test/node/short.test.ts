// The short form of the scenarios on booted nodes, for every run of the tests: Debian 13.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { finished } from "../support/command.js";
import { project } from "../support/project.js";
import { testScope } from "../support/test-scope.js";

const runner = [process.execPath, join(project, "test/node/run.mjs"), "--short"] as const;
const check = spawnSync(runner[0], [...runner.slice(1), "--check"], { encoding: "utf8" });
const missing = check.status === 0 ? undefined : check.stderr.trim();
/** What run.mjs ends with when the emulator failed it. */
const MACHINE_FAILED = 75;
/** With what it ends when it is told to. */
const ENDED_BY_US = 128 + 15;
/** Past this everything is ended, also where the image must be built first. */
const LIMIT_MS = 1_700_000;

interface Outcome {
  readonly result: "pass" | "fail" | "not possible";
  readonly reason?: string;
}

describe.runIf(missing === undefined)(`Debian 13${missing ? ` (${missing})` : ""}`, () => {
  it(
    "serves every runtime's containers, restarted and killed",
    async ({ skip }) => {
      const directory = mkdtempSync(join(tmpdir(), "vprocfs-test-node-"));
      testScope().defer(() => spawnSync("rm", ["-r", directory]));
      const report = join(directory, "report.json");
      const argv = [...runner.slice(1), "--report", report];
      const child = spawn(runner[0], argv, { stdio: ["ignore", "pipe", "pipe"] });
      const timer = setTimeout(() => child.kill("SIGTERM"), LIMIT_MS);
      const { stdout, stderr } = await finished(child);
      clearTimeout(timer);
      // Of the emulator: no kernel of its own crashes like that.
      skip(child.exitCode === MACHINE_FAILED, stderr.trim());
      const hasBegun = /^(ok|FAIL|-) /m.test(`${stdout}`);
      skip(child.exitCode === ENDED_BY_US && !hasBegun, `no node within ${LIMIT_MS / 1000} s`);
      expect(child.exitCode, `${stdout}${stderr}`).toBe(0);
      const outcomes: Record<string, Outcome> = JSON.parse(readFileSync(report, "utf8"));
      expect(Object.values(outcomes).map(({ result }) => result)).not.toContain("fail");
      expect(Object.keys(outcomes)).toContain("install");
    },
    LIMIT_MS + 60_000,
  );
});
