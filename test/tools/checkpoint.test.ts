// Which container packaging/criu/vprocfs-checkpoint attaches to again, and when.

import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { toJson } from "../../src/commands/context.js";
import { finished, run } from "../support/command.js";
import { testName } from "../support/names.js";
import { project } from "../support/project.js";
import { until } from "../support/wait.js";

const SCRIPT = join(project, "packaging/criu/vprocfs-checkpoint");

interface Detached {
  readonly id: string;
  readonly init: number;
  readonly cgroup?: string;
}

/**
 * A vprocfs that notes what it is called with, and prints `detached` of the container "web1"; `before` runs first where
 * it is to detach.
 */
function fakeVprocfs(detached: Detached | undefined, before = "") {
  const directory = mkdtempSync(join(tmpdir(), testName("checkpoint-")));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [vprocfs, answer, calls] = ["vprocfs", "answer", "calls"].map((name) =>
    join(directory, name),
  ) as [string, string, string];
  const reports = [{ pid: 7, files: [{ path: "/proc/stat", state: "detached" }] }];
  const outcomes = detached === undefined ? [] : [{ container: detached, reports }];
  writeFileSync(answer, `${toJson(outcomes)}\n`);
  writeFileSync(calls, "");
  writeFileSync(
    vprocfs,
    `#!/bin/sh\necho "$*" >>'${calls}'\n[ "$1" != attach ] || exit 0\n${before}\ncat '${answer}'\n`,
  );
  chmodSync(vprocfs, 0o755);
  const env = { ...process.env, VPROCFS: vprocfs, CALLS: calls };
  return { env, callsNow: () => readFileSync(calls, "utf8").trim().split("\n") };
}

/** The commands that vprocfs is called with. */
async function callsFor(detached: Detached | undefined, command: readonly string[]) {
  const { env, callsNow } = fakeVprocfs(detached);
  const { status, stderr } = await run([SCRIPT, "web1", ...command], { env });
  expect(stderr).toBe("");
  return { status, calls: callsNow() };
}

const DETACH = "detach --json --no-figures web1";

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

/** Runs until it is told to end, and says when it has ended. */
const DUMP = `trap "echo ended >>$CALLS; exit 3" INT HUP TERM
echo runs >>"$CALLS"
while :; do sleep 0.02; done`;

it.each([
  ["Ctrl-C", "SIGINT", "group"],
  ["a hang-up", "SIGHUP", "group"],
  ["SIGTERM, which it passes on", "SIGTERM", "script"],
] as const)("attaches again after %s, once the command has ended", async (_, signal, target) => {
  const { env, callsNow } = fakeVprocfs({ id: "4711", init: process.pid });
  // A process group of its own, as a terminal's.
  const argv = ["web1", "sh", "-c", DUMP];
  const child = spawn(SCRIPT, argv, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const { pid = 0 } = child;
  const outcome = finished(child);
  onTestFinished(() => {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // All have ended.
    }
  });
  await until("the command runs", () => callsNow().includes("runs"));
  process.kill(target === "group" ? -pid : pid, signal);
  expect(await outcome).toMatchObject({ status: 3 });
  expect(callsNow()).toEqual([DETACH, "runs", "ended", "attach 4711"]);
});

it("passes on what the command reads, and ends as it does by a signal", async () => {
  const { env, callsNow } = fakeVprocfs({ id: "4711", init: process.pid });
  const command = 'cat >>"$CALLS"; kill -TERM $$';
  const child = spawn(SCRIPT, ["web1", "sh", "-c", command], { env });
  child.stdin.end("read\n");
  expect(await finished(child)).toMatchObject({ status: 128 + 15 });
  expect(callsNow()).toEqual([DETACH, "read", "attach 4711"]);
});

it.each([
  ["has descriptor 3 of its caller", '3>>"$CALLS"', "echo status >&3", "status"],
  ["runs without stdin", "<&-", 'echo runs >>"$CALLS"', "runs"],
])("%s", async (_, redirection, command, said) => {
  const { env, callsNow } = fakeVprocfs({ id: "4711", init: process.pid });
  const wrapped = `exec "$0" web1 sh -c '${command}' ${redirection}`;
  const { status, stderr } = await run(["sh", "-c", wrapped, SCRIPT], { env });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(callsNow()).toEqual([DETACH, said, "attach 4711"]);
});

it.each([
  ["once the files are gone", "kill -TERM $PPID", 128 + 15, "attach 4711"],
  // By its name: some files may be gone, and nothing says whose.
  ["while they go", "kill -TERM $PPID; exit 1", 1, "attach web1"],
])("does not begin after a signal %s", async (_, before, status, attach) => {
  const { env, callsNow } = fakeVprocfs({ id: "4711", init: process.pid }, before);
  const outcome = await run([SCRIPT, "web1", "sh", "-c", 'echo runs >>"$CALLS"'], { env });
  expect(outcome.status).toBe(status);
  expect(callsNow()).toEqual([DETACH, attach]);
});
