// How a worker begins and ends beside its keeper: what must be there first, and what must not be lost.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { settingsFileOf } from "../../src/attach/settings.js";
import { mountAt, readMounts } from "../../src/mountinfo.js";
import { startCallNode } from "../support/call-node.js";
import { haveProgram } from "../support/command.js";
import { Daemon, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { isTraced, threadsOf } from "../support/proc.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter, standbyOf, statusOf } from "./never-down-support.js";

withStandby();

/** The settings take long to write, and what comes after them takes longer. */
const SLOW = `
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
const { renameSync, watch } = fs;
const block = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
fs.renameSync = (from, to) => {
  if (String(to).endsWith(".attach")) block(250);
  renameSync(from, to);
};
fs.watch = (...all) => {
  block(2000);
  return watch(...all);
};
syncBuiltinESMExports();
`;

/** Has Node end by itself when it is told so, as if there were nothing to wait for. */
const ENDS = `
const timers = [];
const { setInterval } = globalThis;
globalThis.setInterval = (...all) => {
  const timer = setInterval(...all);
  timers.push(timer);
  return timer;
};
process.on("SIGWINCH", () => {
  for (const one of [...timers, ...process._getActiveHandles()]) one.unref?.();
});
`;

/** A daemon whose processes of Node run this module first. */
function startWith(scope: Scope, module: string): Promise<Daemon> {
  const preload = `NODE_OPTIONS=--import=data:text/javascript,${encodeURIComponent(module)}`;
  return Daemon.startUnder(scope, ["env", preload]);
}

describeLive("a worker that begins to serve", [], () => {
  it("has written the settings of hooks when its keeper says that it serves", async () => {
    const daemon = await startWith(testScope(), SLOW);
    expect(existsSync(settingsFileOf(daemon.mountpoint))).toBe(true);
  });

  it.runIf(haveProgram("strace"))("does not go on without what its keeper stores", async () => {
    const scope = testScope();
    const { daemon } = await startCallNode(scope);
    const standby = await standbyOf(daemon);
    const { workerPid, generation, descriptors } = await statusOf(daemon);
    // The first answer of the keeper.
    const short = ["-e", "trace=recvmsg", "-e", "inject=recvmsg:error=ENOMEM:when=1"];
    const tracer = spawn("strace", ["-f", "-qq", "-o", "/dev/null", ...short, "-p", `${standby}`]);
    scope.defer(() => void tracer.kill("SIGKILL"));
    await until("all its threads are traced", () => threadsOf(standby).every(isTraced));
    process.kill(workerPid, "SIGKILL");
    const after = await servingAfter(daemon, generation + 1);
    expect(after).toMatchObject({ generation: generation + 2, descriptors });
    expect(after.reasons).toEqual(["the keeper: Cannot allocate memory", "signal 9"]);
  });
});

describeLive("a worker that ends without stopping", [], () => {
  it("leaves the mount to the next one", async () => {
    const daemon = await startWith(testScope(), ENDS);
    const device = () => mountAt(readMounts(), daemon.mountpoint)?.device;
    const before = device();
    const { workerPid, generation } = await statusOf(daemon);
    process.kill(workerPid, "SIGWINCH");

    const { reasons } = await servingAfter(daemon, generation);
    expect(reasons).toEqual([expect.stringMatching(/^exit status /)]);
    expect(device()).toBe(before);
  });
});
