// What the kernel says to idmapped mounts of our files (docs/reference/idmapped.md).

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { polledMountpointOf } from "../../src/polled.js";
import { outputSync } from "../support/command.js";
import { Daemon, temporaryDirectory } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";
import { testScope } from "../support/test-scope.js";

const IDMAP = join(project, "test", "support", "native", "idmap.py");

describeLive("idmapped mounts", ["python3"], () => {
  it.for(["exact", "tick"])("are refused in %s, and change nothing", async (how, { skip }) => {
    const scope = testScope();
    const idmap = (...paths: string[]): string[] =>
      outputSync(["python3", IDMAP, ...paths])
        .trim()
        .split("\n");
    const [allowed] = idmap(temporaryDirectory(scope, "idmapped"));
    skip(allowed !== "mapped", `this kernel says ${allowed} to a mount of any other files`);
    const daemon = await Daemon.start(scope, "--no-keeper", "--consistency", how);
    const file = daemon.path("proc/uptime");
    const paths = [daemon.mountpoint, polledMountpointOf(daemon.mountpoint), file];
    expect(idmap(...paths)).toEqual(paths.map(() => "EINVAL"));
    expect(readdirSync(daemon.path("proc"))).toContain("uptime");
  });
});
