// How a worker begins and ends beside its keeper: what must be there first, and what must not be lost.

import { spawn } from "node:child_process";
import { expect, it } from "vitest";
import { startCallNode } from "../support/call-node.js";
import { haveProgram } from "../support/command.js";
import { describeLive } from "../support/needs.js";
import { textOf, threadsOf } from "../support/proc.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter, standbyOf, statusOf } from "./never-down-support.js";

describeLive("a worker that begins to serve", [], () => {
  it.runIf(haveProgram("strace"))("does not go on without what its keeper stores", async () => {
    const scope = testScope();
    const { daemon } = await startCallNode(scope);
    const standby = await standbyOf(daemon);
    const { workerPid, generation, descriptors } = await statusOf(daemon);
    // The first answer of the keeper.
    const short = ["-e", "trace=recvmsg", "-e", "inject=recvmsg:error=ENOMEM:when=1"];
    const tracer = spawn("strace", ["-f", "-qq", "-o", "/dev/null", ...short, "-p", `${standby}`]);
    scope.defer(() => void tracer.kill("SIGKILL"));
    await until("all its threads are traced", () =>
      threadsOf(standby).every((thread) => /^TracerPid:\s+[1-9]/m.test(textOf(`${thread}/status`))),
    );
    process.kill(workerPid, "SIGKILL");
    const after = await servingAfter(daemon, generation + 1);
    expect(after).toMatchObject({ generation: generation + 2, descriptors });
    expect(after.reasons).toEqual(["the keeper: Cannot allocate memory", "signal 9"]);
  });
});
