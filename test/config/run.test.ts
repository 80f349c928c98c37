// Programs that the addon runs for us, as the attach helper.

import { expect, it } from "vitest";
import { runHelper } from "../../src/attach/helper.js";
import { loadAddon } from "../../src/native/addon.js";

const { run } = loadAddon();
const NEVER_MS = 60_000;
const shell = (script: string, ...rest: string[]) => ["/bin/sh", "-c", script, "sh", ...rest];

it("tells what a program printed, and how it ended", async () => {
  const { ended } = run(shell('cat; echo "$1"; echo two >&2; exit 3', "one"), NEVER_MS);
  expect(await ended).toEqual({ status: 3, signal: null, stdout: "one\n", stderr: "two\n" });
});

it("has several at once, none with a pipe of another, and signals as usual", async () => {
  const look = "ls /proc/$$/fd; grep ^SigBlk /proc/self/status; kill -PIPE $$";
  const looked = () => run(shell(look), NEVER_MS).ended;
  const alone = await looked();
  const all = await Promise.all(Array.from({ length: 20 }, looked));
  for (const { stdout, signal } of all) {
    expect(stdout).toBe(alone.stdout);
    expect(stdout).toContain("\nSigBlk:\t0000000000000000\n");
    // Node ignores it.
    expect(signal).toBe(13);
  }
});

it.each([
  ["when its time is over", 50, ["/bin/sleep", "1000"]],
  ["also when it has closed its output", 50, shell("exec sleep 1000 >&- 2>&-")],
  ["when it prints without end", NEVER_MS, ["/bin/cat", "/dev/zero"]],
])("kills one %s", async (_, timeoutMs, argv) => {
  expect(await run(argv, timeoutMs).ended).toMatchObject({ status: null, signal: 9 });
});

it("kills one when told", async () => {
  const { ended, kill } = run(["/bin/sleep", "1000"], NEVER_MS);
  kill();
  expect(await ended).toMatchObject({ status: null, signal: 9 });
});

it("says why it cannot start one", async () => {
  await expect(run(["/nonexistent"], NEVER_MS).ended).rejects.toMatchObject({ code: "ENOENT" });
  expect(() => run([], NEVER_MS)).toThrow(TypeError);
});

it("makes a problem of what a helper has not said", async () => {
  const settings = { mountpoint: "/", fsType: "fuse", source: "vprocfs", skipFiles: [] } as const;
  const problemsOf = async (script: string, signal?: AbortSignal) => {
    const binding = { run: () => run(shell(script), NEVER_MS) };
    const what = { action: "check", pid: 1, name: "it" } as const;
    return (await runHelper(binding, { ...settings, replaceLxcfs: false }, what, signal)).problems;
  };
  const abort = new AbortController();
  const ended = problemsOf("exec sleep 1000", abort.signal);
  abort.abort();
  expect(await ended).toEqual(["it was killed"]);
  expect(await problemsOf("exit 0", abort.signal)).toEqual(["it was not started"]);
  expect(await problemsOf("exit 0")).toEqual(["it printed nothing"]);
  expect(await problemsOf("echo vprocfs-attach: no such thing >&2")).toEqual(["no such thing"]);
});
