// Commands of the host that look into a container whose root never answers.

import { expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, vprocfs } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { SLOWNESS, until } from "../support/wait.js";

/** A command starts Node and looks at all of the host; one that hangs never ends. */
const WITHIN_MS = 20_000 * SLOWNESS;

/** A container whose init, and all else in it, has its root on a file system that hangs. */
async function pivoted(
  scope: Scope,
  daemon: Daemon,
): Promise<{ readonly id: string; readonly init: number }> {
  const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
  // From now on nothing more can be executed in it.
  const id = await container.id(daemon);
  const child = container.start(scope, [program("mounter"), "pivot"]);
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await until("it is in place", () => {
    if (child.exitCode !== null) {
      throw new Error("the adversary has ended");
    }
    return text.includes("ready");
  });
  return { id, init: container.init };
}

describeLive("a container whose root hangs", ["busybox"], () => {
  it("holds up neither doctor nor any other command", { timeout: 120_000 }, async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const { id, init } = await pivoted(scope, daemon);
    const place = ["--mountpoint", daemon.mountpoint];
    const commands = [
      ["doctor", id, ...place],
      ["doctor", `${init}`, "--json", ...place],
      ["explain", id, "MemTotal", ...place],
      ["explain", id, "cpus", ...place],
      ["ls"],
      ["show", id, "meminfo", ...place],
      ["status", ...place],
    ];
    const looks = commands.map(async (argv) => {
      const begun = performance.now();
      const outcome = await vprocfs(...argv);
      expect([argv, performance.now() - begun < WITHIN_MS]).toEqual([argv, true]);
      // Findings are no errors.
      expect([argv, [0, 3, 4].includes(outcome.status ?? 1), `${outcome.stderr}`]).toEqual([
        argv,
        true,
        "",
      ]);
    });
    // All at once: none may wait for what hangs, nor for another one.
    await Promise.all(looks);
  });
});
