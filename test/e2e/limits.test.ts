// Limits of every size and at every depth, cgroups of every name, and their ends.

import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { errnoOf } from "../../src/errors.js";
import { Cgroup, MIB } from "../support/cgroups.js";
import { run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, vprocfs } from "../support/daemon.js";
import { look as lookThrough, type Sight } from "../support/look.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import {
  checkMeminfo,
  checkStat,
  cpuList,
  meminfo,
  memTotalKb,
  statIds,
  swaps,
  uptime,
  value,
} from "../support/procfile.js";
import { program } from "../support/programs.js";
import { readRounds } from "../support/rounds.js";
import { inLong } from "../support/size.js";
import { swapOn } from "../support/swapfile.js";
import { Syscalls } from "../support/syscalls.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const SWAP_MIB = 300;

describeLive("limits", [], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let hostTotal: number;
  let hostSwap: number;
  let hostCpus: number[];

  beforeAll(async () => {
    swapOn(scope, SWAP_MIB);
    daemon = await Daemon.start(scope);
    const host = meminfo(await daemon.read("proc/meminfo"));
    hostTotal = value(host, "MemTotal");
    hostSwap = value(host, "SwapTotal");
    hostCpus = cpuList(await daemon.read("sys/devices/system/cpu/online"));
  });

  function look(container: Container): Promise<Sight> {
    return lookThrough((view) => container.read(daemon.path(view)), hostCpus.length);
  }

  describe("of memory", () => {
    it.each([
      ["none", null],
      ["2^63-1", 2n ** 63n - 1n],
      ["2^62", 2n ** 62n],
      ["more than the host has", 2n ** 46n],
    ])("%s: the host's", async (_, memory) => {
      const container = await Container.start(testScope(), { memory });
      expect(await look(container)).toMatchObject({ total: hostTotal, swap: hostSwap });
    });

    it("some MiB, and no whole page", async () => {
      const own = testScope();
      const container = await Container.start(own, { memory: 96 * MIB });
      expect(await look(container)).toMatchObject({ total: 96 * 1024 });
      container.cgroup.limit({ memory: 96 * MIB + 1 });
      expect(await look(container)).toMatchObject({ total: 96 * 1024 });
    });

    it("below what is in use: what the kernel makes of it", async () => {
      const own = testScope();
      const container = await Container.start(own, { memory: 128 * MIB, swap: 0 });
      const eater = container.start(own, [program("eat"), "64"]);
      await until("memory is in use", () => container.cgroup.memoryUsage > 64 * MIB);
      for (const memory of [100 * MIB, 32 * MIB, 4096, 0]) {
        try {
          // v2 ends processes for it, v1 refuses.
          container.cgroup.write("memory", limitFile(container), memory);
        } catch (error) {
          expect(errnoOf(error)).toMatch(/^(EBUSY|EINVAL)$/);
        }
        const file = checkMeminfo(await readFromHost(container, "proc/meminfo"));
        const limit = Number(container.cgroup.read("memory", limitFile(container)));
        expect(value(file, "MemTotal")).toBe(Math.max(Math.floor(limit / 1024), 1));
        expect(value(file, "MemFree")).toBeLessThanOrEqual(36 * 1024);
      }
      expect(eater.exitCode).toBe(null);
    });
  });

  function limitFile(container: Container): string {
    return container.cgroup.directory("memory") === container.cgroup.directory("unified")
      ? "memory.max"
      : "memory.limit_in_bytes";
  }

  async function readFromHost(container: Container, view: string): Promise<string> {
    const shown = await vprocfs(
      ...["show", "--mountpoint", daemon.mountpoint],
      ...[`${container.init}`, view],
    );
    expect(shown.stderr).toBe("");
    return shown.stdout.toString();
  }

  describe("of swap", () => {
    it.each([
      ["0", 0, 0],
      ["128 MiB", 128 * MIB, 128 * 1024],
    ])("%s", async (_, swap, kilobytes) => {
      const container = await Container.start(testScope(), { memory: 128 * MIB, swap });
      expect(await look(container)).toMatchObject({ total: 128 * 1024, swap: kilobytes });
    });

    it("none: the host's", async () => {
      const container = await Container.start(testScope(), { memory: 128 * MIB, swap: null });
      expect(await look(container)).toMatchObject({ swap: hostSwap });
    });

    it("used: meminfo and swaps agree with the cgroup", async () => {
      const own = testScope();
      const limits = { memory: 64 * MIB, swap: 128 * MIB };
      const container = await Container.start(own, limits);
      container.start(own, [program("eat"), "128"]);
      const isUsed = () => container.cgroup.swapUsage > 32 * MIB;
      await until("something is swapped out", isUsed);
      await look(container);
      const before = container.cgroup.swapUsage;
      const text = await container.read(daemon.path("proc/meminfo"));
      const [line] = swaps(await container.read(daemon.path("proc/swaps")));
      const after = container.cgroup.swapUsage;
      const [low = 0, high = 0] = [before, after].sort((a, b) => a - b);
      const used = value(meminfo(text), "SwapTotal") - value(meminfo(text), "SwapFree");
      const slack = 2048;
      expect(used).toBeGreaterThanOrEqual(low / 1024 - slack);
      expect(used).toBeLessThanOrEqual(high / 1024 + slack);
      expect(line?.used).toBeGreaterThanOrEqual(low / 1024 - slack);
      expect(line?.used).toBeLessThanOrEqual(high / 1024 + slack);
      // Swap that is in use is shown, however small the limit becomes.
      try {
        container.cgroup.limit({ memory: 64 * MIB, swap: 1 * MIB });
      } catch (error) {
        expect(errnoOf(error)).toBe("EBUSY");
      }
      const small = checkMeminfo(await container.read(daemon.path("proc/meminfo")));
      const left = container.cgroup.swapUsage / 1024;
      expect(value(small, "SwapTotal")).toBeGreaterThanOrEqual(left - slack);
    });
  });

  describe("of CPUs", () => {
    it.each([
      ["the smallest quota", 0.01, 1],
      ["one CPU", 1, 1],
      ["more than one CPU", 1.01, 2],
      ["800 CPUs", 800, 800],
      ["none", null, 800],
    ])("%s", async (_, quota, most) => {
      const container = await Container.start(testScope(), { quota });
      const expected = hostCpus.slice(0, most);
      expect(await look(container)).toMatchObject({ online: expected });
    });

    it("every single one, by cpuset", async () => {
      const own = testScope();
      for (const cpu of hostCpus) {
        const container = await Container.start(own, { cpuset: `${cpu}`, quota: 1.5 });
        expect(await look(container)).toMatchObject({ online: [cpu] });
      }
    });
  });

  it("leave what a neighbour leaves of a parent that both share", async () => {
    const own = testScope();
    const parent = Cgroup.create(own, testName("shared"));
    parent.delegate();
    parent.limit({ memory: 256 * MIB });
    const beside = (name: string): Promise<Container> =>
      Container.start(own, { cgroup: parent.child(own, name), memory: 200 * MIB });
    const [one, other] = [await beside("one"), await beside("other")];
    const free = async (): Promise<number> => {
      const text = await one.read(daemon.path("proc/meminfo"));
      checkMeminfo(text);
      expect(value(meminfo(text), "MemTotal")).toBe(200 * 1024);
      expect(value(meminfo(text), "MemAvailable")).toBeLessThanOrEqual(200 * 1024);
      return value(meminfo(text), "MemFree");
    };
    expect(await free()).toBeGreaterThan(150 * 1024);
    const eater = other.start(own, [program("eat"), "160"]);
    await until("the neighbour's is not free", async () => (await free()) <= 96 * 1024);
    // More is in use than the parent may have, as far as the kernel lets it be so.
    parent.limit({ memory: 176 * MIB });
    await until("no more than what is left", async () => {
      const text = await one.read(daemon.path("proc/meminfo"));
      return value(meminfo(text), "MemFree") <= 16 * 1024;
    });
    parent.limit({ memory: 256 * MIB });
    eater.kill("SIGKILL");
    await until("it is free again", async () => (await free()) > 150 * 1024);
  });

  it("combine along 60 levels of cgroups", async () => {
    const own = testScope();
    const names = [testName("deep"), ...Array.from({ length: 59 }, (_, level) => `l${level}`)];
    const at = (depth: number): Cgroup => Cgroup.create(own, join(...names.slice(0, depth)));
    const container = await Container.start(own, { cgroup: at(60), memory: 200 * MIB });
    expect(await look(container)).toMatchObject({ total: 200 * 1024, online: hostCpus });
    at(5).limit({ memory: 80 * MIB });
    expect(await look(container)).toMatchObject({ total: 80 * 1024 });
    at(47).limit({ memory: 60 * MIB });
    at(10).limit({ quota: 1 });
    expect(await look(container)).toMatchObject({ total: 60 * 1024, online: [hostCpus[0]] });
    at(1).limit({ memory: 50 * MIB });
    expect(await look(container)).toMatchObject({ total: 50 * 1024, online: [hostCpus[0]] });
    expect(await daemon.isServing()).toBe(true);
  });

  it("show at once when they change, however young what others were shown", async () => {
    const own = testScope();
    const name = testName("at-once");
    const above = Cgroup.create(own, name);
    const container = await Container.start(own, {
      cgroup: Cgroup.create(own, join(name, "below")),
      memory: 200 * MIB,
    });
    const id = await container.id(daemon);
    // Synchronously, so that nothing lies between the change and the look.
    const see = (view: string): string => readFileSync(daemon.path("containers", id, view), "utf8");
    const cpus = (): number[] => statIds(checkStat(see("proc/stat")));
    for (let round = 0; round < 50; round += 1) {
      const memory = (60 + (round % 7)) * MIB;
      (round % 2 === 0 ? container.cgroup : above).limit({ memory });
      const other = round % 2 === 0 ? above : container.cgroup;
      other.limit({ memory: 100 * MIB });
      expect(memTotalKb(see("proc/meminfo"))).toBe(memory / 1024);
      expect(memTotalKb(see("proc/meminfo"))).toBe(memory / 1024);
      above.limit({ quota: 1 });
      expect(cpus()).toEqual([hostCpus[0]]);
      above.limit({ quota: null });
      expect(cpus()).toEqual(hostCpus);
      const only = hostCpus[round % hostCpus.length] ?? 0;
      container.cgroup.limit({ cpuset: `${only}` });
      expect(cpus()).toEqual([only]);
      expect(see("sys/devices/system/cpu/online")).toBe(`${only}\n`);
      container.cgroup.limit({ cpuset: hostCpus.join(",") });
      expect(cpus()).toEqual(hostCpus);
    }
  });

  describe("names", () => {
    const strange = [
      "with some spaces",
      " ",
      "100% %s%n%d",
      "quote'\"quote",
      "back\\slash\\040",
      "tab\tand \u00fcml\u00e4ut",
      "-n --help",
      "gone (deleted)",
      "a".repeat(255),
    ];
    it.each(strange)("%j", async (text) => {
      const own = testScope();
      const name = `${testName("")}${text}`.slice(0, 255);
      const container = await Container.start(own, {
        cgroup: Cgroup.create(own, name),
        memory: 80 * MIB,
      });
      expect(await look(container)).toMatchObject({ total: 80 * 1024 });
      const known: { name: string; init: number }[] = JSON.parse(
        `${(await vprocfs("ls", "--json")).stdout}`,
      );
      expect(known).toContainEqual(expect.objectContaining({ name, init: container.init }));
      const shown = await vprocfs("show", "--mountpoint", daemon.mountpoint, "--", name, "meminfo");
      expect(memTotalKb(`${shown.stdout}`)).toBe(80 * 1024);
      expect(await container.id(daemon)).toMatch(/^[a-z]?\d+$/);
    });

    it("the kernel takes no cgroup with a newline in its name", () => {
      const own = testScope();
      const beside = dirname(Cgroup.create(own, testName("beside")).directory("memory"));
      expect(() => mkdirSync(join(beside, `${testName("new\nline")}`))).toThrow();
    });

    it("of an init with parentheses and spaces", async () => {
      const own = testScope();
      const before = uptime(await daemon.read("proc/uptime")).up;
      for (const initName of ["a) b (c", ") ) )", "(", " ", ") R 1 1", "\\n"]) {
        const container = await Container.start(own, { initName, memory: 80 * MIB });
        const { up } = await look(container);
        const after = uptime(await daemon.read("proc/uptime")).up;
        expect(up).toBeGreaterThanOrEqual(0);
        expect(up).toBeLessThanOrEqual(after - before + 0.02);
      }
    });
  });

  describe("ends", () => {
    it("a container that ends under its readers shows its own figures or none", async () => {
      const own = testScope();
      for (let round = 0; round < inLong(4, 10); round += 1) {
        const life = testScope();
        const container = await Container.start(life, { memory: 77 * MIB });
        const id = await container.id(daemon);
        const paths = ["proc/meminfo", "proc/stat"].map((view) =>
          daemon.path("containers", id, view),
        );
        const held = Syscalls.start(own);
        const fd = await held.open(paths[0] ?? "");
        const inside = container.start(life, [program("drain"), "read", "1000000", "/proc/uptime"]);
        inside.stdout?.resume();
        const drains = paths.map((path) => run([program("drain"), "read", "1500", path]));
        await container.kill();
        await life.close();
        const [memory, times] = await Promise.all(drains);
        const errors = /^-(2|3|5|19)$/;
        for (const text of readRounds(memory?.stdout ?? Buffer.alloc(0))) {
          expect(errors.test(text) || memTotalKb(text) === 77 * 1024).toBe(true);
        }
        for (const text of readRounds(times?.stdout ?? Buffer.alloc(0))) {
          expect(errors.test(text) || checkStat(text).cpus.length > 0).toBe(true);
        }
        const last = await held.call("pread", fd, 65536, 0);
        expect(last.error === undefined ? memTotalKb(`${last.data}`) : 77 * 1024).toBe(77 * 1024);
      }
      expect(await daemon.isServing()).toBe(true);
    });
  });
});
