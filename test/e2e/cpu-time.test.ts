// Live limits, and CPU time that is the container's own and never goes back.

import { beforeAll, expect, it } from "vitest";
import { Cgroup, isV2, MIB } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { Daemon } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import {
  type CpuLine,
  checkGrowth,
  checkStat,
  cpuList,
  memTotalKb,
  type Stat,
  statIds,
  uptime,
} from "../support/procfile.js";
import { program } from "../support/programs.js";
import { readRounds } from "../support/rounds.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const BUSY = ["/bin/sh", "-c", "while :; do :; done"];
const TICKS_PER_SECOND = 100;

/** CPU time that a cgroup has used, in ticks. */
function usedTicks(cgroup: Cgroup): number {
  return cgroup.cpuSeconds * TICKS_PER_SECOND;
}

function busy(line: CpuLine): number {
  return line.user + line.nice + line.system;
}

describeLive("CPU time and live limits", [], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let hostCpus: number[];

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
    hostCpus = cpuList(await daemon.read("sys/devices/system/cpu/online"));
  });

  async function statOf(container: Container): Promise<Stat> {
    return checkStat(await container.read(daemon.path("proc/stat")));
  }

  it("files that are read within a tick tell of one moment, until a limit changes", async () => {
    const own = testScope();
    const slow = await Daemon.start(own, "--tick-ms", "1000");
    const container = await Container.start(own, { memory: 64 * MIB, quota: 1 });
    const calls = container.syscalls(own);
    const pair = async (between: () => void): Promise<{ apart: number; tookMs: number }> => {
      const begun = performance.now();
      const { total } = checkStat(await calls.file(slow.path("proc/stat")));
      // For both to differ where they are of two moments.
      while (performance.now() < begun + 50);
      between();
      const { idle } = uptime(await calls.file(slow.path("proc/uptime")));
      return { apart: idle - total.idle / TICKS_PER_SECOND, tookMs: performance.now() - begun };
    };
    const within = async (between: () => void): Promise<number> =>
      until("both are read within a tick", async () => {
        // Limits are watched from their first reading on; what that told is told no longer then.
        await calls.file(slow.path("proc/uptime"));
        const old = performance.now();
        await until("a tick has passed", () => performance.now() > old + 1000);
        const { apart, tookMs } = await pair(between);
        return tookMs < 900 && { apart };
      }).then(({ apart }) => apart);
    expect(Math.abs(await within(() => {}))).toBeLessThanOrEqual(0.01);
    expect(await within(() => container.cgroup.limit({ quota: 0.9 }))).toBeGreaterThan(0.03);
  });

  it("every change of a limit is in the very next read", async () => {
    const own = testScope();
    const parent = Cgroup.create(own, `${(await Container.start(own)).cgroup.name}-parent`);
    const cgroup = parent.child(own, "child");
    const container = await Container.start(own, { cgroup, memory: 512 * MIB });
    const calls = container.syscalls(own);
    const memory = daemon.path("proc/meminfo");
    const online = daemon.path("sys/devices/system/cpu/online");
    const held = await calls.open(memory);
    await calls.read(held, 1);
    for (let round = 0; round < 60; round += 1) {
      const mebibytes = 100 + round;
      const target = round % 3 === 0 ? parent : cgroup;
      target.limit({ memory: mebibytes * MIB });
      expect(memTotalKb(await calls.pread(held, 65536, 0))).toBe(mebibytes * 1024);
      expect(memTotalKb(await calls.file(memory))).toBe(mebibytes * 1024);
      target.limit({ memory: null });
      const quota = 0.5 + (round % hostCpus.length);
      cgroup.limit({ quota });
      const expected = hostCpus.slice(0, Math.ceil(quota));
      expect(cpuList(await calls.file(online))).toEqual(expected);
      const cpu = hostCpus[round % hostCpus.length];
      cgroup.limit({ quota: null, cpuset: `${cpu}` });
      expect(cpuList(await calls.file(online))).toEqual([cpu]);
      expect(statIds(checkStat(await calls.file(daemon.path("proc/stat"))))).toEqual([cpu]);
      cgroup.limit({ cpuset: hostCpus.join(",") });
    }
  });

  it("no counter ever decreases while CPUs come and go", async () => {
    const own = testScope();
    const container = await Container.start(own, { quota: 1.5 });
    container.start(own, BUSY);
    container.start(own, BUSY);
    const calls = container.syscalls(own);
    const quotas = [0.5, 1.5, null, 1, 2, 0.2, 1.1];
    let before = checkStat(await calls.file(daemon.path("proc/stat")));
    for (let round = 0; round < 150; round += 1) {
      const quota = quotas[round % quotas.length];
      const cpuset = round % 5 === 0 ? `${hostCpus.at(-1)}` : hostCpus.join(",");
      container.cgroup.limit({ cpuset, ...(quota !== undefined && { quota }) });
      const now = checkStat(await calls.file(daemon.path("proc/stat")));
      checkGrowth(before, now);
      // A CPU that comes back goes on from where it was.
      const hidden = before.cpus.filter(({ name }) => now.cpus.every((cpu) => cpu.name !== name));
      before = { ...now, cpus: [...now.cpus, ...hidden] };
    }
    const { up } = uptime(await calls.file(daemon.path("proc/uptime")));
    const sum = before.total.all.reduce((ticks, column) => ticks + column, 0);
    expect(sum).toBeLessThanOrEqual((up * TICKS_PER_SECOND + 1) * hostCpus.length);
  });

  it.each([
    ["another file told of them", true],
    ["the limit was written", false],
  ])("CPUs that come or go count from when %s, not from the next read", async (_, told) => {
    const [, second] = hostCpus;
    if (second === undefined) {
      return;
    }
    const own = testScope();
    const container = await Container.start(own, { quota: 1 });
    const read = container.syscalls(own);
    // vprocfs is told of a write as late as this machine lets a thread run that waits, as the test
    // does meanwhile.
    let lateMs = 0;
    const secondAfter = async (quota: number): Promise<number> => {
      container.cgroup.limit({ quota });
      if (told) {
        const online = await read.file(daemon.path("sys/devices/system/cpu/online"));
        expect(cpuList(online)).toHaveLength(quota);
      }
      const written = performance.now();
      let last = written;
      await until("a second has passed", () => {
        const now = performance.now();
        lateMs = Math.max(lateMs, told ? 0 : 100 + now - last);
        last = now;
        return now > written + 1000;
      });
      return written;
    };
    const timeOf = async (name: string): Promise<number> => {
      const { cpus, total } = checkStat(await read.file(daemon.path("proc/stat")));
      const line = name === "cpu" ? total : cpus.find((cpu) => cpu.name === name);
      return (line?.all ?? []).reduce((sum, ticks) => sum + ticks, 0);
    };
    await timeOf("cpu");
    await secondAfter(2);
    // Each of user, nice, system, idle and steal is rounded to ticks.
    const leastMs = 1000 - lateMs;
    expect(await timeOf(`cpu${second}`)).toBeGreaterThan(leastMs / 10 - 5);
    const begun = performance.now();
    const before = await timeOf("cpu");
    lateMs = 0;
    const went = await secondAfter(1);
    const gained = (await timeOf("cpu")) - before;
    const mostMs = performance.now() - begun + (went - begun) + lateMs;
    expect(gained).toBeLessThan(mostMs / 10 + 2 * 5);
  });

  it("readers at once agree on what has been: sums hold, nothing goes back", async () => {
    const own = testScope();
    const container = await Container.start(own, { quota: 0.5 });
    container.start(own, BUSY);
    const argv = [program("drain"), "read", "300", daemon.path("proc/stat")];
    const outcomes = await Promise.all([1, 2, 3].map(() => container.run(argv)));
    for (const { stdout } of outcomes) {
      const rounds = readRounds(stdout).map(checkStat);
      for (const [index, now] of rounds.entries()) {
        checkGrowth(rounds[index - 1] ?? now, now);
      }
    }
  });

  it("is the time that the cgroup has used, and no CPU gains more than has passed", async () => {
    const own = testScope();
    const container = await Container.start(own, {});
    const usedBefore = usedTicks(container.cgroup);
    const first = await statOf(container);
    const usedFirst = usedTicks(container.cgroup);
    container.start(own, BUSY);
    await until("a second of CPU time is used", () => {
      return usedTicks(container.cgroup) > usedFirst + TICKS_PER_SECOND;
    });
    const low = usedTicks(container.cgroup);
    const now = await statOf(container);
    const high = usedTicks(container.cgroup);
    // Each of user, nice and system of each CPU is rounded to ticks.
    const slack = 3 * hostCpus.length + 1;
    const gained = busy(now.total) - busy(first.total);
    expect(gained).toBeGreaterThanOrEqual(low - usedFirst - slack);
    expect(gained).toBeLessThanOrEqual(high - usedBefore + slack);
    const elapsed = now.cpus.map((cpu, index) => {
      const before = first.cpus[index]?.all ?? [];
      return cpu.all.reduce((sum, ticks, column) => sum + ticks - (before[column] ?? 0), 0);
    });
    // All of a machine's CPUs live through the same time.
    expect(Math.max(...elapsed) - Math.min(...elapsed)).toBeLessThanOrEqual(8);
  });

  it("shows being throttled as steal, and no more than the kernel has counted", async () => {
    const own = testScope();
    const container = await Container.start(own, { quota: 0.2 });
    const throttledTicks = () => {
      const text = container.cgroup.read("cpu", "cpu.stat");
      return isV2
        ? Number(/^throttled_usec (\d+)$/m.exec(text)?.[1]) / 1e4
        : Number(/^throttled_time (\d+)$/m.exec(text)?.[1]) / 1e7;
    };
    const first = await statOf(container);
    // Programs that the reading takes may have used up a period's quota.
    expect(first.total.steal).toBeLessThanOrEqual(throttledTicks());
    container.start(own, BUSY);
    const { throttled } = container.cgroup;
    await until("the quota throttles", () => container.cgroup.throttled >= throttled + 10);
    const second = await statOf(container);
    expect(second.total.steal).toBeGreaterThan(first.total.steal);
    expect(second.total.steal).toBeLessThanOrEqual(throttledTicks() + 1);
    checkGrowth(first, second);
  });

  it("a neighbour's and the host's load is invisible", async () => {
    const own = testScope();
    const idle = await Container.start(own, { name: "idle" });
    const neighbour = await Container.start(own, { name: "neighbour" });
    const usedBefore = usedTicks(idle.cgroup);
    const before = await statOf(idle);
    const neighbourBefore = usedTicks(neighbour.cgroup);
    for (const _ of hostCpus) {
      neighbour.start(own, BUSY);
    }
    await until("the neighbour has used two seconds", () => {
      return usedTicks(neighbour.cgroup) > neighbourBefore + 2 * TICKS_PER_SECOND;
    });
    const after = await statOf(idle);
    const slack = 3 * hostCpus.length + 1;
    const used = usedTicks(idle.cgroup) - usedBefore;
    expect(busy(after.total) - busy(before.total)).toBeLessThanOrEqual(used + slack);
    expect(after.total.steal).toBe(0);
    for (const key of ["btime", "processes", "ctxt"]) {
      expect(after.others.has(key)).toBe(true);
    }
    expect(after.others.get("btime")).toBe(before.others.get("btime"));
  });
});
