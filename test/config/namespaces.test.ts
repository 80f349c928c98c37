// How mount namespaces are found whose processes come and go.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import { failed } from "../../src/attach/helper.js";
import { listNamespaces, mountNamespaceOf, runInside } from "../../src/attach/namespaces.js";
import { ProcessScan } from "../../src/attach/scan.js";
import { container } from "../support/fake-binding.js";
import { DEADLINE_MS } from "../support/wait.js";

/** Processes of a service: they share a mount namespace, and the init of their PID namespace is not in it. */
const SERVICE = "sleep 1000 & sleep 1000 & echo; exec sleep 1000";

async function service(): Promise<{ readonly key: number; readonly pids: readonly number[] }> {
  const script = 'unshare --mount /bin/sh -c "$1" & exec sleep 1000';
  const argv = ["--pid", "--fork", "--kill-child", "/bin/sh", "-c", script, "sh", SERVICE];
  const child = spawn("unshare", argv, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  await once(child.stdout, "data");
  const childrenOf = (pid: number): number[] =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
  const [first = 0] = childrenOf(childrenOf(child.pid ?? 0)[0] ?? 0);
  const pids = [first, ...childrenOf(first)].sort((a, b) => a - b);
  return { key: mountNamespaceOf(first) ?? 0, pids };
}

/** Returns when it has ended. */
function end(pid: number): void {
  process.kill(pid, "SIGKILL");
  const deadline = Date.now() + DEADLINE_MS;
  while (mountNamespaceOf(pid) !== undefined && Date.now() < deadline) {}
}

it.runIf(process.getuid?.() === 0)(
  "a namespace is found by another process if one ends while it is asked about",
  async () => {
    const { key, pids } = await service();
    const [first = 0, ...others] = pids;
    const identityOf = (pid: number) => {
      if (pid === first) {
        end(pid);
        throw Object.assign(new Error("it has ended"), { code: "ESRCH" });
      }
      return pids.includes(pid) ? container({ init: process.pid }) : null;
    };
    const found = listNamespaces(identityOf).find((namespace) => namespace.key === key);
    expect(found?.pids).toEqual(others);
  },
);

it.runIf(process.getuid?.() === 0)(
  "the helper runs by another process if one ends before it has been there",
  async () => {
    const { key, pids } = await service();
    const tried: number[] = [];
    const report = await runInside({ key, pids, container: container() }, async (pid) => {
      const isFirst = tried.push(pid) === 1;
      if (isFirst) {
        end(pid);
      }
      const run = { action: "detach", pid, name: "web1" } as const;
      return { ...failed(run, ""), problems: isFirst ? ["it has ended"] : [] };
    });
    expect(tried).toEqual(pids.slice(0, 2));
    expect(report).toMatchObject({ pid: pids[1], problems: [] });
  },
);

it("containers whose processes end all the time cause few scans", async () => {
  let now = 0;
  let timers: { readonly at: number; readonly action: () => void }[] = [];
  const scan = new ProcessScan({
    onNamespace: () => true,
    after: (ms, action) => void timers.push({ at: now + ms, action }),
    onError: (error) => {
      throw error;
    },
    now: () => now,
  });
  const seen = new Set<Promise<void>>();
  for (; now < 100_000; now += 100) {
    scan.beginSparingly();
    const due = timers.filter(({ at }) => at <= now);
    timers = timers.filter(({ at }) => at > now);
    for (const { action } of due) {
      action();
    }
    seen.add(scan.scanned);
    await scan.scanned;
  }
  // The first promise is of no scan. Five may be asked for at once, then one in 20 s; some are one.
  expect(seen.size - 1).toBeGreaterThanOrEqual(4);
  expect(seen.size - 1).toBeLessThanOrEqual(10);
});
