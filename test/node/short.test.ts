// The short form of the scenarios on booted nodes, for every run of the tests: Debian 13.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { finished, runSync } from "../support/command.js";
import { project } from "../support/project.js";
import { testScope } from "../support/test-scope.js";

const program = [process.execPath, join(project, "test/node/run.mjs")] as const;
const runner = [...program, "--short", "--lenient"] as const;
const check = runSync([...runner, "--check"]);
const missing = check.status === 0 ? undefined : check.stderr.trim();
/** What run.mjs ends with when the emulator failed it. */
const MACHINE_FAILED = 75;
/** With what it ends when it is told to. */
const ENDED_BY_US = 128 + 15;
/** Past this everything is ended, also where the image must be built first. */
const LIMIT_MS = 1_700_000;

const cache = process.env.VPROCFS_NODE_CACHE ?? join(homedir(), ".cache/vprocfs/nodes");

interface Outcome {
  readonly result: "pass" | "fail" | "not possible";
  readonly reason?: string;
}

describe.runIf(missing === undefined)(`Debian 13${missing ? ` (${missing})` : ""}`, () => {
  it(
    "serves every runtime's containers, restarted and killed",
    async ({ skip }) => {
      const directory = mkdtempSync(join(tmpdir(), "vprocfs-test-node-"));
      testScope().defer(() => void runSync(["rm", "-r", directory]));
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

describe.runIf(missing === undefined)("bad input", () => {
  const NO_MIRROR = "echo E: no such mirror >&2; exit 1";
  const NO_MACHINE =
    'case $1 in --version) echo 1 ;; *) echo "no such machine" >&2; exit 1 ;; esac';

  /** Runs with other programs in the place of some; `directory` is this test's own. */
  function runWith(programs: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv = {}) {
    const directory = mkdtempSync(join(tmpdir(), "vprocfs-test-node-"));
    testScope().defer(() => void runSync(["rm", "-r", directory]));
    const bin = join(directory, "bin");
    mkdirSync(bin);
    for (const [name, script] of Object.entries(programs)) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    const own = {
      PATH: `${bin}:${process.env.PATH}`,
      VPROCFS_NODE_CACHE: join(directory, "cache"),
    };
    const result = runSync(program, {
      env: { ...process.env, ...own, ...env },
      timeoutMs: 120_000,
    });
    return { directory, ...result };
  }

  it("is an image that does not build: one line, the log, and nothing is left", () => {
    const { directory, status, stderr } = runWith({ mmdebstrap: NO_MIRROR });
    const line = /^test:node: the image of trixie does not build, see (.*)\n$/.exec(stderr);
    expect(readFileSync(line?.[1] ?? "", "utf8")).toContain("E: no such mirror");
    expect(status).toBe(1);
    expect(readdirSync(join(directory, "cache"))).toEqual([]);
  });

  it("is a node that does not boot: one line", ({ skip }) => {
    const programs = { mmdebstrap: NO_MIRROR, "qemu-system-x86_64": NO_MACHINE };
    const { status, stderr } = runWith(programs, { VPROCFS_NODE_CACHE: cache });
    skip(stderr.includes("does not build"), "there is no image");
    expect(stderr).toBe("test:node: QEMU has ended: no such machine\n");
    expect(status).toBe(1);
  });
});
