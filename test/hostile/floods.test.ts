// One container asks without end, or holds what the kernel needs to tell of files. Another one's reads
// go on: none fails, and they take no longer than with as many threads beside them that only burn CPU.

import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { readStatus } from "../../src/keeper-status.js";
import { polledMountpointOf } from "../../src/polled.js";
import { isV2, MIB } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { counters } from "../support/counters.js";
import { Daemon, vprocfs, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { attackFrom, expectWithin, pulseOf, Watch } from "../support/pulse.js";
import { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

withStandby();

const THREADS = inLong(40, 200);
const MEASURED_MS = inLong(500, 20_000);
/** What opening a file may take that the kernel is to be told of, on a machine that does nothing else. */
const HELD_MS = 1000;
/** Of writes to limits by each thread. */
const ROUNDS = 50_000;
const V1_LIMITS = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];

/** System calls of a process that have read something, so far. */
function readsOf(pid: number): number {
  return Number(/^syscr: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

describeLive("floods of one container", ["busybox"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let workerPid: number;
  let hostile: Container;
  let victim: Container;
  let files: Record<"stat" | "polled" | "log" | "pressure" | "hostile" | "hostileLog", string>;
  let watch: Watch;

  async function attack(own: Scope, argv: readonly string[]): Promise<void> {
    await attackFrom(own, hostile, argv);
  }

  /** Takes as much CPU time as the attacks, and asks for nothing. */
  function burn(own: Scope): Promise<void> {
    return attack(own, [program("pages"), "0", `${THREADS}`, files.hostile]);
  }

  beforeAll(async () => {
    daemon = await Daemon.start(scope, "--log-format", "json");
    ({ workerPid } = await readStatus(daemon.mountpoint));
    hostile = await Container.start(scope, { name: "hostile", memory: 256 * MIB });
    victim = await Container.start(scope, { name: "victim", memory: 64 * MIB });
    const place = async (one: Container): Promise<string> =>
      join("containers", await one.id(daemon));
    const tree = async (one: Container): Promise<string> => daemon.path(await place(one));
    files = {
      stat: join(await tree(victim), "proc/stat"),
      polled: join(await tree(victim), "proc/pressure/cpu"),
      log: join(polledMountpointOf(daemon.mountpoint), await place(victim), "dev/kmsg"),
      pressure: join(await tree(hostile), "proc/pressure/cpu"),
      hostile: join(await tree(hostile), "proc/stat"),
      hostileLog: join(polledMountpointOf(daemon.mountpoint), await place(hostile), "dev/kmsg"),
    };
    watch = new Watch(victim, MEASURED_MS, files.stat, burn);
    await watch.measure();
  });

  it.each([
    "poll",
    "readdir",
    "stat",
    "lookup",
    "signals",
    "access",
    "pread",
    "open",
    "write",
    "ioctl",
  ])("of %s", async (what) => {
    const file = what === "poll" || what === "write" ? files.pressure : files.hostile;
    await watch.expectPulse((own) => attack(own, [program("flood"), what, `${THREADS}`, file]));
  });

  it.each(["stat", "fstat", "seek", "read", "poll", "open", "write"])(
    "of %s of a kernel log",
    async (what) => {
      const argv = [program("flood"), what, `${THREADS}`, files.hostileLog];
      await watch.expectPulse((own) => attack(own, argv));
      await watch.expectPulse((own) => attack(own, argv), files.log);
    },
  );

  it("of lookup in a directory of all", async () => {
    const argv = [program("flood"), "lookup", `${THREADS}`, daemon.path("proc/stat")];
    await watch.expectPulse((own) => attack(own, argv));
  });

  it("of poll, beside containers that compute", async () => {
    const hogs = await Promise.all(
      ["hog", "other"].map((name) => Container.start(testScope(), { name, memory: 64 * MIB })),
    );
    const compute = async (own: Scope): Promise<void> => {
      for (const hog of hogs) {
        await attackFrom(own, hog, [program("pages"), "0", "2", files.hostile]);
      }
    };
    const beside = new Watch(victim, MEASURED_MS, files.stat, async (own) => {
      await compute(own);
      await burn(own);
    });
    await beside.measure();
    await beside.expectPulse(async (own) => {
      await compute(own);
      await attack(own, [program("flood"), "poll", `${THREADS}`, files.pressure]);
    });
  });

  it("of poll, beside others' files that are polled", async () => {
    // On the connection of what is polled, which has few threads.
    const argv = [program("flood"), "poll", `${THREADS}`, files.pressure];
    await watch.expectPulse((own) => attack(own, argv), files.polled);
  });

  it("of inodes that the kernel forgets", async () => {
    const forgotten = async (): Promise<number> => {
      const { FORGET = 0, BATCH_FORGET = 0 } = (await counters(daemon, workerPid)).requests;
      return FORGET + BATCH_FORGET;
    };
    const before = await forgotten();
    // As when its memory is short all the time: what the kernel has of files goes, too.
    const empty = join(hostile.cgroup.directory("memory"), "memory.force_empty");
    const [file, text] = existsSync(empty)
      ? [empty, "0"]
      : [join(empty, "../memory.reclaim"), "1G"];
    await watch.expectPulse(async (own) => {
      await attack(own, [program("flood"), "walk", `${THREADS}`, files.hostile]);
      let isOver = false;
      const squeeze = async (): Promise<void> => {
        while (!isOver) {
          // EAGAIN: not all of it.
          await writeFile(file, text).catch(() => {});
        }
      };
      const squeezing = squeeze();
      own.defer(() => {
        isOver = true;
        return squeezing;
      });
      await until("much is forgotten", async () => (await forgotten()) > before + 100);
    });
  });

  it("of writes to its limits, which are nobody's concern until they are read", async () => {
    const meminfo = join(files.hostile, "../meminfo");
    const names = isV2 ? ["memory.max", "memory.high"] : V1_LIMITS;
    const limits = names.map((name) => join(hostile.cgroup.directory("memory"), name));
    const write = (rounds: number) => [program("relimit"), "2", `${rounds}`, ...limits];
    await watch.expectPulse((own) => attack(own, write(0)));
    await hostile.read(meminfo);
    // While nobody reads, the worker is told of few.
    const before = readsOf(workerPid);
    await hostile.output(write(ROUNDS));
    expect(readsOf(workerPid) - before).toBeLessThan(ROUNDS / 10);
    const own = testScope();
    await attack(own, write(0));
    // Beside what asks as often as it may, all changes of the victim's are seen.
    await attack(own, [program("flood"), "open", `${THREADS}`, meminfo]);
    for (let mib = 64; mib < 164; mib += 1) {
      victim.cgroup.limit({ memory: mib * MIB });
      const text = readFileSync(join(files.stat, "../meminfo"), "utf8");
      expect(text).toMatch(new RegExp(`^MemTotal: +${mib * 1024} kB`));
    }
  });

  it("of pages that are held while the kernel is to be told of files", async () => {
    // Every second time what the kernel has of this file is to be replaced before it is opened.
    const online = join(
      daemon.path("containers", await victim.id(daemon)),
      "sys/devices/system/cpu/online",
    );
    const slowest = (): number => {
      let most = 0;
      for (let round = 0; round < inLong(20, 200); round += 1) {
        victim.cgroup.limit({ quota: round % 2 === 0 ? 1 : null });
        const begun = performance.now();
        expect(readFileSync(online, "utf8")).toMatch(/^0/);
        most = Math.max(most, performance.now() - begun);
      }
      return most;
    };
    const underAttack = async (own: Scope): Promise<number> => {
      await attack(own, [program("pages"), `${THREADS}`, "8", files.hostile]);
      const most = slowest();
      expect((await pulseOf(victim, MEASURED_MS, files.stat)).failed).toBe(0);
      return most;
    };
    const besideBurners = async (): Promise<number> => {
      const own = new Scope();
      try {
        await burn(own);
        return Math.max(HELD_MS, 2 * slowest());
      } finally {
        await own.close();
      }
    };
    await expectWithin(HELD_MS, underAttack, besideBurners);
  });

  it("of notices for pages that are read, while workers follow one another and end", async () => {
    const scope = testScope();
    const own = await Daemon.start(scope, "--log-format", "json");
    const grower = await Container.start(scope, { name: "grower", memory: 64 * MIB });
    const file = join(own.path("containers", await grower.id(own)), "proc/stat");
    const growing = new Scope();
    scope.defer(() => growing.close());
    await attackFrom(growing, grower, [program("grow"), "2", `${THREADS}`, file]);
    for (let round = 0; round < inLong(3, 20); round += 1) {
      const { status, stderr } = await vprocfs("reload", "--mountpoint", own.mountpoint);
      expect(stderr).toBe("");
      expect(status).toBe(0);
    }
    const { restarts, workerPid: last } = await readStatus(own.mountpoint);
    expect(restarts).toBe(0);
    await own.stop();
    expect(own.logs).not.toMatch(/did not drain|did not stop|does not end/);
    await until("the last worker has ended", () => !existsSync(`/proc/${last}`));
  });
});
