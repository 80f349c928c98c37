// Whose figures a process sees: by its namespaces and its cgroups, in every arrangement.

import { statSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { Cgroup, isV2, MIB } from "../support/cgroups.js";
import { output } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, VIEWS } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { cpuList, memTotalKb } from "../support/procfile.js";
import { fileScope, testScope } from "../support/test-scope.js";

const USER_BASE = 400_000;

describeLive("containers", ["busybox"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let hostTotal: number;

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
    hostTotal = memTotalKb(await daemon.read("proc/meminfo"));
  });

  async function mebibytes(container: Container): Promise<number> {
    return memTotalKb(await container.read(daemon.path("proc/meminfo"))) / 1024;
  }

  it("a process of the host sees the host, whatever its cgroup", async () => {
    const cgroup = Cgroup.create(testScope(), testName("service"));
    cgroup.limit({ memory: 64 * MIB });
    const join = 'for d; do echo $$ >"$d/cgroup.procs" || exit; done; cat "$0"';
    const read = ["/bin/sh", "-c", join, daemon.path("proc/meminfo"), ...cgroup.directories];
    expect(memTotalKb(await output(read))).toBe(hostTotal);
    const inNamespace = ["unshare", "--cgroup", "--mount", "--", ...read];
    expect(memTotalKb(await output(inNamespace))).toBe(hostTotal);
  });

  it("a PID namespace in the host's own cgroup is no container", async () => {
    const read = ["cat", daemon.path("proc/meminfo")];
    const argv = ["unshare", "--pid", "--fork", "--mount-proc", "--", ...read];
    expect(memTotalKb(await output(argv))).toBe(hostTotal);
  });

  it("without a cgroup namespace the init's cgroup counts", async () => {
    const own = testScope();
    const container = await Container.start(own, { cgroupNamespace: false, memory: 64 * MIB });
    expect(await mebibytes(container)).toBe(64);
  });

  it.each([true, false])(
    "an init.scope is not the container (namespace: %s)",
    async (namespace) => {
      const own = testScope();
      const cgroup = Cgroup.create(own, testName("systemd"));
      cgroup.delegate();
      const inner = cgroup.child(own, "init.scope");
      const container = await Container.start(own, {
        cgroup,
        inner,
        cgroupNamespace: namespace,
        memory: 72 * MIB,
      });
      inner.limit({ memory: 36 * MIB });
      expect(await mebibytes(container)).toBe(72);
      const below = cgroup.child(own, "some.service");
      below.limit({ memory: 48 * MIB });
      // Another process of it, elsewhere below.
      const join = 'for d; do echo $$ >"$d/cgroup.procs" || exit; done; cat "$0"';
      const path = daemon.path("proc/meminfo");
      const argv = ["/bin/sh", "-c", join, path, ...below.directories];
      if (namespace) {
        expect(memTotalKb(await container.output(argv))).toBe(72 * 1024);
      }
      expect(await container.id(daemon)).toBe(await container.id(daemon));
    },
  );

  it("a nested container has its own limits within the outer one's", async () => {
    const own = testScope();
    const cgroup = Cgroup.create(own, testName("outer"));
    cgroup.delegate();
    const inner = cgroup.child(own, "init.scope");
    const outer = await Container.start(own, { cgroup, inner, memory: 128 * MIB, quota: 1 });
    const nested = await Container.startIn(outer, own, {
      cgroup: cgroup.child(own, "nested"),
      memory: 64 * MIB,
    });
    expect(await mebibytes(outer)).toBe(128);
    expect(await mebibytes(nested)).toBe(64);
    nested.cgroup.limit({ memory: 512 * MIB });
    expect(await mebibytes(nested)).toBe(128);
    const online = await nested.read(daemon.path("sys/devices/system/cpu/online"));
    expect(cpuList(online)).toHaveLength(1);
    const ids = [await outer.id(daemon), await nested.id(daemon)];
    expect(new Set(ids).size).toBe(2);
    expect(await outer.output(["ls", daemon.path("containers")])).toBe(`${ids[0]}\n`);
    expect(await nested.output(["ls", daemon.path("containers")])).toBe(`${ids[1]}\n`);
  });

  it("containers that share a PID namespace have each their own", async () => {
    const own = testScope();
    const pause = await Container.start(own, { name: "pause", memory: 48 * MIB });
    const apps = [];
    for (const memory of [64, 96]) {
      const app = await Container.start(own, {
        name: "app",
        pidsOf: pause,
        memory: memory * MIB,
        binds: bindsOf(daemon),
      });
      expect(memTotalKb(await app.read("/proc/meminfo"))).toBe(memory * 1024);
      apps.push(app);
    }
    expect(await mebibytes(pause)).toBe(48);
    const ids = await Promise.all([pause, ...apps].map((container) => container.id(daemon)));
    expect(new Set(ids).size).toBe(3);
    const listed = await output(["ls", daemon.path("containers")]);
    expect(listed.split("\n")).toEqual(expect.arrayContaining(ids));
  });

  describe("in a user namespace", () => {
    it("see themselves through binds from inside", async () => {
      const container = await Container.start(testScope(), {
        userBase: USER_BASE,
        memory: 64 * MIB,
        quota: 1,
        binds: bindsOf(daemon),
      });
      expect(memTotalKb(await container.read("/proc/meminfo"))).toBe(64 * 1024);
      expect(await container.read("/sys/devices/system/cpu/online")).toBe("0\n");
      for (const view of VIEWS) {
        const text = await container.output([
          "stat",
          "-c",
          "%a %u:%g",
          `/${view}`,
          "/proc/version",
        ]);
        const [ours, kernels] = text.trim().split("\n");
        const mode = (statSync(`/${view}`).mode & 0o777).toString(8);
        expect({ view, ours }).toEqual({ view, ours: kernels?.replace("444", mode) });
      }
    });

    it("all of a container's users may read", async () => {
      const container = await Container.start(testScope(), {
        userBase: USER_BASE,
        memory: 64 * MIB,
        binds: bindsOf(daemon),
      });
      const argv = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "cat"];
      expect(memTotalKb(await container.output([...argv, "/proc/meminfo"]))).toBe(64 * 1024);
    });
  });

  describe.runIf(!isV2)("on cgroup v1", () => {
    it("paths may differ from controller to controller", async () => {
      const own = testScope();
      const top = testName("split");
      const cgroup = Cgroup.create(own, `${top}/deep/memory`, {
        cpu: top,
        cpuacct: `${top}/time`,
        cpuset: `${top}-set`,
        pids: `${top}/deep`,
      });
      const container = await Container.start(own, { cgroup, memory: 64 * MIB, quota: 0.5 });
      expect(await mebibytes(container)).toBe(64);
      const online = (): Promise<string> =>
        container.read(daemon.path("sys/devices/system/cpu/online"));
      expect(await online()).toBe("0\n");
      cgroup.limit({ quota: null });
      const all = cpuList(await output(["cat", "/sys/devices/system/cpu/online"]));
      expect(cpuList(await online())).toEqual(all);
      cgroup.limit({ cpuset: `${all.at(-1)}` });
      expect(cpuList(await online())).toEqual([all.at(-1)]);
    });
  });
});
