// Which container packaging/criu/vprocfs-checkpoint attaches to again.

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { toJson } from "../../src/commands/context.js";
import { run } from "../support/command.js";
import { testName } from "../support/names.js";
import { project } from "../support/project.js";

const SCRIPT = join(project, "packaging/criu/vprocfs-checkpoint");

interface Detached {
  readonly id: string;
  readonly init: number;
  readonly cgroup?: string;
}

/** The commands that vprocfs is called with, after it has printed `detached` of the container "web1". */
async function callsFor(detached: Detached | undefined, command: readonly string[]) {
  const directory = mkdtempSync(join(tmpdir(), testName("checkpoint-")));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [vprocfs, answer, calls] = ["vprocfs", "answer", "calls"].map((name) =>
    join(directory, name),
  ) as [string, string, string];
  const reports = [{ pid: 7, files: [{ path: "/proc/stat", state: "detached" }] }];
  const outcomes = detached === undefined ? [] : [{ container: detached, reports }];
  writeFileSync(answer, `${toJson(outcomes)}\n`);
  writeFileSync(
    vprocfs,
    `#!/bin/sh\necho "$*" >>'${calls}'\n[ "$1" = attach ] || cat '${answer}'\n`,
  );
  chmodSync(vprocfs, 0o755);
  const env = { ...process.env, VPROCFS: vprocfs };
  const { status, stderr } = await run([SCRIPT, "web1", ...command], { env });
  expect(stderr).toBe("");
  return { status, calls: readFileSync(calls, "utf8").trim().split("\n") };
}

const DETACH = "detach --json web1";

it.each(["4711", "m4711"])("attaches to %s by id, which a PID may be of another", async (id) => {
  const cgroup = '/a\n"id": "1",\n"init": 2';
  expect(await callsFor({ cgroup, id, init: process.pid }, ["sh", "-c", "exit 3"])).toEqual({
    status: 3,
    calls: [DETACH, `attach ${id}`],
  });
});

it("leaves alone what has ended, and what had no files", async () => {
  const ended = await callsFor({ id: "4711", init: 2 ** 31 - 1 }, ["true"]);
  expect(ended).toEqual({ status: 0, calls: [DETACH] });
  expect(await callsFor(undefined, ["true"])).toEqual({ status: 0, calls: [DETACH] });
});
