// Real containers of runc, crun and podman, with the bind mounts that the documentation tells.

import { beforeAll, describe, expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { haveProgram } from "../support/command.js";
import { CRUN_BINDS, Daemon, RUNC_BINDS, vprocfs } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { documentedMounts, documentedVolumes, OciContainer } from "../support/oci.js";
import { cpuList, memTotalKb } from "../support/procfile.js";
import { checkShows, checkThrottled } from "../support/shows.js";
import { inLong, itLong } from "../support/size.js";
import { swapOn } from "../support/swapfile.js";
import { fileScope, testScope } from "../support/test-scope.js";

const NODES = "sys/devices/system/node";
const LIMITS = { memory: 256 * MIB, swap: 128 * MIB, quota: 1.5 };

describeLive("OCI", ["free", "top", "swapon", "unshare"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let hostCpus: number[];

  beforeAll(async () => {
    swapOn(scope, 192);
    daemon = await Daemon.start(scope);
    hostCpus = cpuList(await daemon.read("sys/devices/system/cpu/online"));
  });

  it("the documentation binds every file", () => {
    const withNodes = (binds: readonly string[]) => [
      ...binds,
      ...(binds.includes(NODES) ? [] : [NODES]),
    ];
    const expected = withNodes(RUNC_BINDS)
      .map((path) => [daemon.path(path), `/${path}`])
      .sort();
    const mounts = documentedMounts(daemon);
    const pairs = (list: typeof mounts.all) =>
      list.map(({ source, destination }) => [source, destination]).sort();
    expect(pairs(mounts.all)).toEqual(expected);
    const others = CRUN_BINDS.filter((path) => !RUNC_BINDS.includes(path));
    expect(pairs(mounts.crun)).toEqual(others.map((path) => [daemon.path(path), `/${path}`]));
    const volumes = documentedVolumes(daemon).filter((word) => word !== "-v");
    expect(volumes.sort()).toEqual(expected.map(([from, to]) => `${from}:${to}:ro`));
  });

  const kinds = inLong(
    ["runc", "crun", "podman on runc"],
    ["runc", "crun", "podman on runc", "podman on crun"],
  );
  const runnable = kinds.filter((kind) =>
    kind.split(" on ").every((program) => haveProgram(program)),
  );

  if (runnable.length < kinds.length) {
    it("some of runc, crun and podman are missing", (ctx) => {
      ctx.skip(`only here: ${runnable.join(", ")}`);
    });
  }

  describe.each(runnable)("%s", (kind) => {
    const own = fileScope();
    let container: OciContainer;

    beforeAll(async () => {
      const [first = "", runtime] = kind.split(" on ");
      container =
        runtime === undefined
          ? await OciContainer.start(own, first, daemon, LIMITS)
          : await OciContainer.podman(own, runtime, daemon, LIMITS);
    });

    it("shows 256 MiB, 128 MiB of swap and two CPUs to every tool", async () => {
      const binds = kind === "crun" ? CRUN_BINDS : RUNC_BINDS;
      const cpus = hostCpus.slice(0, 2);
      await checkShows(container, { memoryMiB: 256, swapMiB: 128, cpus, binds });
    });

    it("is known by its name", async () => {
      const ls: object[] = JSON.parse(`${(await vprocfs("ls", "--json")).stdout}`);
      const { name, init } = container;
      expect(ls).toContainEqual(
        expect.objectContaining({ name, init, memoryLimit: LIMITS.memory }),
      );
      const shown = await vprocfs("show", "--mountpoint", daemon.mountpoint, name, "meminfo");
      expect(memTotalKb(`${shown.stdout}`)).toBe(256 * 1024);
    });

    // Whose cgroup it is does not depend on the runtime.
    const itOnce = kind === "runc" ? it : itLong;
    itOnce("stays within 100 % while the quota throttles", async () => {
      const busy = testScope();
      for (let loops = 0; loops < 3; loops += 1) {
        container.background(busy, ["/bin/sh", "-c", "while :; do :; done"]);
      }
      await checkThrottled(container);
    });
  });
});
