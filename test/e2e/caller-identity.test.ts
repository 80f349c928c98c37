// Whose figures a process gets where namespaces and cgroups do not say the same: services with a
// cgroup namespace of their own, shared PID namespaces, and several of these in one cgroup.

import { readFileSync } from "node:fs";
import { beforeAll, expect, it } from "vitest";
import { loadAddon } from "../../src/native/addon.js";
import { Cgroup, MIB } from "../support/cgroups.js";
import { output } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon } from "../support/daemon.js";
import { keepUptimeOpen } from "../support/keep-open.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { memTotalKb, stat, uptime } from "../support/procfile.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

/** Seconds that a container with a time namespace says it has been up for when it is made. */
const HEAD_START = 10;
/** What clocks that are read one after the other, and rounding, may be off by. */
const SLACK_S = 3;

describeLive("caller identity", ["busybox", "python3", "nsenter", "unshare"], () => {
  const scope = fileScope();
  let daemon: Daemon;

  beforeAll(async () => {
    daemon = await Daemon.start(scope, "--no-keeper", "--log-format", "json");
  });

  const memory = async (one: Container): Promise<number> =>
    memTotalKb(await one.read(daemon.path("proc/meminfo"))) / 1024;

  it("a service with a cgroup namespace of its own is a part of its container", async () => {
    const own = testScope();
    const outer = await Container.start(own, { memory: 96 * MIB });
    outer.cgroup.delegate();
    const cgroup = outer.cgroup.child(own, "service");
    const service = await Container.start(own, { cgroup, memory: 48 * MIB, pidsOf: outer });
    expect([await memory(outer), await memory(service)]).toEqual([96, 96]);
    expect(await service.id(daemon)).toBe(await outer.id(daemon));
    const { containerOf, scanContainers } = loadAddon();
    expect(containerOf(service.init)?.cgroup).toBe(containerOf(outer.init)?.cgroup);
    const below = scanContainers().filter(({ cgroup: path }) => path.endsWith("/service"));
    expect(below).toEqual([]);
  });

  it.each([
    ["without cgroup namespaces", false],
    ["with cgroup namespaces", true],
    ["in one cgroup namespace", "shared"],
  ])("siblings in one PID namespace see each their own, %s", async (_, namespaces) => {
    const own = testScope();
    const pod = Cgroup.create(own, testName("pod"));
    pod.delegate();
    const [first, second, third] = ["pause", "app", "side"].map((name) => pod.child(own, name));
    const pause = await Container.start(own, {
      ...(first !== undefined && { cgroup: first }),
      memory: 64 * MIB,
      cgroupNamespace: namespaces !== false,
    });
    const beside = (cgroup: Cgroup | undefined, bytes: number): Promise<Container> =>
      Container.start(own, {
        ...(cgroup !== undefined && { cgroup }),
        memory: bytes,
        cgroupNamespace: namespaces === "shared" ? pause : namespaces === true,
        pidsOf: pause,
      });
    const app = await beside(second, 80 * MIB);
    const side = await beside(third, 96 * MIB);
    const all = [pause, app, side];
    // More than once: what is remembered of one is not the other's.
    for (let round = 0; round < 2; round += 1) {
      expect(await Promise.all(all.map(memory))).toEqual([64, 80, 96]);
    }
    const ids = await Promise.all(all.map((one) => one.id(daemon)));
    expect(new Set(ids).size).toBe(3);
    const listed = loadAddon()
      .scanContainers()
      .map(({ id }) => id);
    // Of those that share both namespaces one is listed: docs/guide/monitoring.md.
    const some = expect.arrayContaining(namespaces === "shared" ? ids.slice(0, 1) : ids);
    expect(listed).toEqual(some);
  });

  it("a visitor from a session of the host sees the init's", async () => {
    const own = testScope();
    const container = await Container.start(own, { memory: 96 * MIB });
    const visit = ["nsenter", "-t", `${container.init}`, "-p", "-m", "cat"];
    const text = await output([...visit, daemon.path("proc/meminfo")]);
    expect(memTotalKb(text) / 1024).toBe(96);
  });

  it("two PID namespaces in one cgroup have one container's figures and each its own age", async () => {
    const own = testScope();
    const old = await Container.start(own, { memory: 96 * MIB });
    const age = async (one: Container): Promise<number> =>
      Number((await one.read(daemon.path("proc/uptime"))).split(" ")[0]);
    await until("the first is old enough", async () => (await age(old)) > 2);
    const young = await Container.start(own, { cgroup: old.cgroup });
    expect(await young.id(daemon)).toBe(await old.id(daemon));
    expect(await memory(young)).toBe(96);
    const [ageOfOld, ageOfYoung] = [await age(old), await age(young)];
    expect(ageOfYoung).toBeLessThan(ageOfOld - 1.5);
    const keeper = keepUptimeOpen(own, young, daemon.path("proc/uptime"));
    const kept = await keeper();
    expect(kept.uptime).toBeGreaterThanOrEqual(ageOfYoung);
    expect(kept.uptime).toBeLessThan(ageOfOld - 1);
    const byId = daemon.path("containers", await old.id(daemon));
    const before = readStat(byId);
    await old.kill();
    await until("its end is noticed", () => !old.isAlive);
    for (let round = 0; round < 5; round += 1) {
      const again = await keeper();
      expect(again.uptime).toBeGreaterThanOrEqual(kept.uptime);
      expect(again.uptime).toBeLessThan((await age(young)) + 0.5);
      expect(again.idle).toBeGreaterThanOrEqual(kept.idle);
      const now = readStat(byId);
      for (const [index, ticks] of now.cpu.entries()) {
        expect(ticks).toBeGreaterThanOrEqual(before.cpu[index] ?? 0);
      }
      expect(now.uptime).toBeGreaterThanOrEqual(before.uptime);
    }
  });

  it.each([
    ["the first", true],
    ["the second", false],
  ])(
    "the date of boot fits the uptime in each, where %s has a time namespace",
    async (_, isFirst) => {
      const own = testScope();
      const booted = hostBoot();
      const offset = { bootOffset: HEAD_START - Math.floor(hostUptime()) };
      const first = await Container.start(own, isFirst ? offset : {});
      const bootOf = async (one: Container): Promise<{ up: number; btime: number }> => {
        const text = await one.read(daemon.path("proc/stat"));
        const { up } = uptime(await one.read(daemon.path("proc/uptime")));
        return { up, btime: stat(text).others.get("btime") ?? Number.NaN };
      };
      await bootOf(first);
      const second = await Container.start(own, { cgroup: first.cgroup, ...(!isFirst && offset) });
      expect(await second.id(daemon)).toBe(await first.id(daemon));
      const [shifted, plain] = isFirst ? [first, second] : [second, first];
      for (let round = 0; round < 2; round += 1) {
        const { up, btime } = await bootOf(shifted);
        expect(up).toBeGreaterThanOrEqual(HEAD_START);
        expect(Math.abs(btime + up - Date.now() / 1000)).toBeLessThan(SLACK_S);
        // Without one, start times count from the node's boot: docs/design/times.md.
        expect(Math.abs((await bootOf(plain)).btime - booted)).toBeLessThan(SLACK_S);
      }
    },
  );

  function hostUptime(): number {
    return uptime(readFileSync("/proc/uptime", "utf8")).up;
  }

  function hostBoot(): number {
    return stat(readFileSync("/proc/stat", "utf8")).others.get("btime") ?? Number.NaN;
  }

  function readStat(tree: string): { readonly cpu: readonly number[]; readonly uptime: number } {
    const [line = ""] = readFileSync(`${tree}/proc/stat`, "utf8").split("\n");
    const [uptime = ""] = readFileSync(`${tree}/proc/uptime`, "utf8").split(" ");
    return { cpu: line.split(/ +/).slice(1).map(Number), uptime: Number(uptime) };
  }
});
