// Real LXC containers, privileged and in a user namespace, with the mount hook.

import { beforeAll, describe, expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { Daemon, temporaryDirectory, VIEWS, vprocfs } from "../support/daemon.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { cpuList, memTotalKb } from "../support/procfile.js";
import { checkShows, checkThrottled } from "../support/shows.js";
import { swapOn } from "../support/swapfile.js";
import { fileScope, testScope } from "../support/test-scope.js";

const LIMITS = { memory: 256 * MIB, swap: 128 * MIB, quota: 1.5 };
const PROGRAMS = ["lxc-create", "lxc-start", "lxc-attach", "busybox", "free", "top", "swapon"];

describeLive("LXC", PROGRAMS, () => {
  const scope = fileScope();
  let daemon: Daemon;
  let hostCpus: number[];

  beforeAll(async () => {
    swapOn(scope, 192);
    daemon = await Daemon.start(scope);
    hostCpus = cpuList(await daemon.read("sys/devices/system/cpu/online"));
  });

  describe.each([
    ["privileged", undefined],
    ["in a user namespace", 500_000],
  ])("%s", (_, userBase) => {
    const own = fileScope();
    let container: LxcContainer;

    beforeAll(async () => {
      const options = { ...LIMITS, ...(userBase !== undefined && { userBase }) };
      container = await LxcContainer.withHook(own, daemon, options);
    });

    it("shows 256 MiB, 128 MiB of swap and two CPUs to every tool", async () => {
      const expected = { memoryMiB: 256, swapMiB: 128, cpus: hostCpus.slice(0, 2) };
      await checkShows(container, expected);
    });

    it("is known by its name", async () => {
      const ls: { name: string; runtime: string; init: number; cpuQuota: number }[] = JSON.parse(
        `${(await vprocfs("ls", "--json")).stdout}`,
      );
      const { name, init } = container;
      expect(ls).toContainEqual(
        expect.objectContaining({ name, init, runtime: "lxc", cpuQuota: LIMITS.quota }),
      );
      const shown = await vprocfs("show", "--mountpoint", daemon.mountpoint, name, "cpuinfo");
      const blind = (text: string): string => text.replaceAll(/^cpu MHz.*$/gm, "").trim();
      expect(blind(`${shown.stdout}`)).toBe(
        blind(await container.output(["cat", "/proc/cpuinfo"])),
      );
    });

    it("busybox's own programs read the same files", async () => {
      const meminfo = await container.output(["/bin/busybox", "cat", "/proc/meminfo"]);
      expect(memTotalKb(meminfo)).toBe(256 * 1024);
      const lines = await container.output([
        "/bin/sh",
        "-c",
        "while read l; do echo; done </proc/stat",
      ]);
      expect(lines).toBe("\n".repeat(lines.length));
    });

    it("stays within 100 % while the quota throttles", async () => {
      const busy = testScope();
      for (let loops = 0; loops < 3; loops += 1) {
        container.background(busy, ["/bin/sh", "-c", "while :; do :; done"]);
      }
      await checkThrottled(container);
    });
  });

  it("a container starts without the tree, and says why it sees the host", async () => {
    const own = testScope();
    const tree = temporaryDirectory(own, "empty");
    const container = await LxcContainer.start(own, { ...LIMITS, tree });
    const total = memTotalKb(await container.output(["cat", "/proc/meminfo"]));
    expect(total).toBe(memTotalKb(await daemon.read("proc/meminfo")));
    expect(container.log).toContain(`no vprocfs on ${tree}`);
  });

  it("a container's end leaves the daemon and others as they were", async () => {
    const own = testScope();
    const container = await LxcContainer.withHook(own, daemon, LIMITS);
    await container.output(["cat", ...VIEWS.map((view) => `/${view}`)]);
    await own.close();
    expect(await daemon.isServing()).toBe(true);
  });
});
