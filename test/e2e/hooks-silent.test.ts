// Hooks that are scripts, beside a mount that nobody answers: a container must start even so.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { helperPath } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { run } from "../support/command.js";
import { Container } from "../support/container.js";
import { temporaryDirectory } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";

const GAVE_UP = "gave up after 1 s: the container may see the host's figures\n";

describeLive("a mount that nobody answers", ["python3", "timeout", "unshare"], () => {
  /** Runs one in a mount namespace of its own, where the mount is. */
  const runHook = (scope: Scope, path: string, env: NodeJS.ProcessEnv) => {
    const mountpoint = temporaryDirectory(scope, "silent");
    const silent = join(project, "test/support/native/silent.py");
    const hook = join(project, "packaging", path);
    return run(["unshare", "--mount", "python3", silent, mountpoint, hook], {
      env: {
        PATH: process.env.PATH,
        MOUNT_HOOK_SECONDS: "1",
        VPROCFS_MOUNTPOINT: mountpoint,
        ...env,
      },
    });
  };

  it("does not hold up LXC's hook for mounts", async () => {
    const scope = testScope();
    const rootfs = temporaryDirectory(scope, "rootfs");
    mkdirSync(join(rootfs, "proc"));
    writeFileSync(join(rootfs, "proc/meminfo"), "");
    const outcome = await runHook(scope, "lxc/vprocfs-mount-hook", {
      LXC_NAME: "web1",
      LXC_ROOTFS_MOUNT: rootfs,
    });
    expect(outcome).toMatchObject({ status: 0, stderr: `vprocfs-mount-hook: web1: ${GAVE_UP}` });
  });

  it("does not hold up osctl's post-mount where it mounts itself", async () => {
    const scope = testScope();
    const outcome = await runHook(scope, "osctl/post-mount", {
      OSCTL_CT_ID: "web1",
      OSCTL_CT_ROOTFS_MOUNT: temporaryDirectory(scope, "rootfs"),
    });
    expect(outcome).toMatchObject({ status: 0, stderr: `vprocfs post-mount: web1: ${GAVE_UP}` });
  });

  it("is not waited for again by osctl's post-mount when the helper has given up", async () => {
    const scope = testScope();
    const container = await Container.start(scope, { memory: 64 * MIB });
    const helper = join(temporaryDirectory(scope, "helper"), "helper");
    const script = `#!/bin/sh\nexec ${helperPath()} --timeout-ms 500 "$@"\n`;
    writeFileSync(helper, script, { mode: 0o755 });
    const outcome = await runHook(scope, "osctl/post-mount", {
      OSCTL_CT_ID: "web1",
      OSCTL_CT_NS_PID: `${container.init}`,
      OSCTL_CT_ROOTFS_MOUNT: `/proc/${container.init}/root`,
      VPROCFS_ATTACH: helper,
    });
    expect(outcome.status).toBe(0);
    expect(outcome.stderr).toMatch(/gave up after 500 ms\n$/);
    expect(outcome.stderr).not.toContain("post-mount");
  });
});
