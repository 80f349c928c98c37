// Readers that one worker has left in the middle of something: the next one goes on with it.

import { existsSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { cpus } from "node:os";
import { beforeAll, beforeEach, expect, it } from "vitest";
import { background, finished, output } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { counters } from "../support/counters.js";
import { Daemon, withStandby } from "../support/daemon.js";
import { keepUptimeOpen } from "../support/keep-open.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import {
  COPIES,
  contentOf,
  damage,
  damageRecords,
  OPEN_FILE,
  recordsOf,
  statesOf,
  TRIGGER,
} from "./never-down-memory.js";
import { replaceWorker, statusOf } from "./never-down-support.js";

withStandby();

/** Has the kernel drop what it has cached of a file, and reads it, as often as it is told to. */
const DROPS = `
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
def read():
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    # No further than the size that the kernel knows, which it would ask for.
    return os.pread(file, 64, 0)
text = read()
print("open", flush=True)
sys.stdin.readline()
print(all(read() == text for i in range(int(sys.argv[2]))), flush=True)
`;

/** In the record of an open file. */
const OPEN_REQUEST = 16;
const lacks = existsSync("/proc/pressure/cpu") ? [] : ["a kernel that accounts pressure"];

describeLive("a reader whose file the kernel does not keep", ["python3"], () => {
  it("has its renders counted by the next worker, too", async () => {
    const [times, perSecond] = [40, 20];
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--renders-per-second", `${perSecond}`);
    const container = await Container.start(scope, { quota: 1 });
    const path = daemon.path("containers", await container.id(daemon), "proc/cpuinfo");
    const reader = background(scope, ["python3", "-c", DROPS, path, `${times}`]);
    let said = "";
    reader.stdout?.on("data", (text: Buffer) => {
      said += text;
    });
    await until("it has it open", () => said === "open\n");
    await replaceWorker(daemon, "kill");
    const { workerPid } = await statusOf(daemon);
    const before = await counters(daemon, workerPid);
    reader.stdin?.write("\n");
    await until("it has read", () => said === "open\nTrue\n");
    const after = await counters(daemon, workerPid);
    expect((after.requests.READ ?? 0) - (before.requests.READ ?? 0)).toBeGreaterThanOrEqual(times);
    // The first one may wait because the container had to be found.
    expect(after.paced - before.paced).toBeGreaterThan(times / 4);
  });
});

describeLive("a worker that follows one whose files the kernel has cached", [], () => {
  const FILES = ["sys/devices/system/cpu/online", "proc/cpuinfo"];
  let daemon: Daemon;
  let container: Container;

  const scope = fileScope();

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
  });

  beforeEach(async () => {
    container = await Container.start(testScope(), { quota: 1 });
  });

  /** Its length changes with the quota, which is one CPU at first. */
  async function pathOf(file: string, of = daemon) {
    return of.path("containers", await container.id(of), file);
  }

  /** Of a reader in the middle of a file: what it has, and what else it finds. */
  async function halfRead(path: string, size?: number) {
    const reader = await open(path);
    testScope().defer(() => reader.close());
    const whole = await output(["cat", path]);
    const { buffer, bytesRead } = await reader.read(
      Buffer.alloc(whole.length + 100),
      0,
      size ?? whole.length,
    );
    const begin = `${buffer.subarray(0, bytesRead)}`;
    return { whole, all: async () => begin + (await reader.readFile("utf8")) };
  }

  it.each(
    FILES.flatMap((file) => [
      { file, what: "the end", size: undefined },
      { file, what: "the begin", size: 1 },
    ]),
  )("lets a reader that has $what of $file end with what it began", async ({ file, size }) => {
    const path = await pathOf(file);
    const { whole, all } = await halfRead(path, size);
    await replaceWorker(daemon, "kill");
    container.cgroup.limit({ quota: null });
    const changed = await until("the change shows", async () => {
      const text = await output(["cat", path]);
      return text.length > whole.length && text;
    });
    await stat(path);
    expect(await output(["cat", path])).toBe(changed);
    expect(await all()).toBe(whole);
  });

  it.each(FILES)(
    "does not take the end of such a reader of %s for that of its own",
    async (file) => {
      const path = await pathOf(file);
      const before = await open(path);
      await replaceWorker(daemon, "kill");
      const { whole, all } = await halfRead(path);
      await before.close();
      container.cgroup.limit({ quota: null });
      await until("the change shows", async () => {
        return (await output(["cat", path])).length > whole.length;
      });
      expect(await all()).toBe(whole);
    },
  );

  it.each(FILES)("tells a size of %s also where it is not known what was cached", async (file) => {
    // Whose state is damaged serves no other test.
    const own = await Daemon.start(testScope());
    // A container that began before would not see its mount.
    container = await Container.start(testScope(), { quota: 1 });
    const path = await pathOf(file, own);
    await halfRead(path, 1);
    const [state = -1] = statesOf(own, testScope());
    const status = await damage(own, () => {
      expect(damageRecords(state, COPIES)).toBe(1);
    });
    expect(status.statesIgnored).toBe(1);
    const { size } = await stat(path);
    expect(size).toBe((await output(["cat", path])).length);
  });
});

describeLive("a worker that follows one whose reader knows the size of a file", [], () => {
  it("shows it no more than that", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await Container.start(scope, { quota: 1, binds: bindsOf(daemon) });
    const calls = container.syscalls(scope);
    const fd = await calls.open("/proc/stat");
    const { size } = await calls.fstat(fd);
    await replaceWorker(daemon, "kill");
    container.cgroup.limit({ quota: null });
    const cpuLines = (text: string) => text.match(/^cpu\d/gm)?.length;
    await until("the change shows", async () => {
      return cpuLines(await calls.file("/proc/stat")) === cpus().length;
    });
    const text = await calls.read(fd, size);
    expect(text.endsWith("\n")).toBe(true);
    expect(cpuLines(text)).toBe(1);
    // From then on what is new, however long.
    await until("it is shown the change", async () => {
      return cpuLines(await calls.pread(fd, 100_000, 0)) === cpus().length;
    });
  });
});

describeLive("a worker that does not know who polls", [], polledUnknown, lacks);

function polledUnknown(): void {
  it("tells them that nothing will happen", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await Container.start(scope, {
      memory: 64 * 2 ** 20,
      binds: bindsOf(daemon),
    });
    const child = container.start(scope, [
      ...[program("trigger"), "poll", "/proc/pressure/io", "full 1900000 2000000"],
    ]);
    const outcome = finished(child);
    const states = statesOf(daemon, scope);
    await until("it polls", () =>
      states.some((state) => {
        const bytes = contentOf(state);
        // Each begins with what the kernel wants to be notified by.
        return recordsOf(bytes, TRIGGER).some((at) => bytes.readBigUInt64LE(at) !== 0n);
      }),
    );
    await damage(daemon, () => {
      for (const state of states) {
        damageRecords(state, OPEN_FILE, OPEN_REQUEST);
      }
    });
    expect((await outcome).stdout.toString()).toBe("armed\na\n");
  });
}

describeLive("a worker that follows one with an open /proc/uptime", ["python3"], () => {
  it("shows it the age of the PID namespace that opened it", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const old = await Container.start(scope, {});
    const age = async (one: Container): Promise<number> =>
      Number((await one.read(daemon.path("proc/uptime"))).split(" ")[0]);
    await until("the first is old enough", async () => (await age(old)) > 2);
    const young = await Container.start(scope, { cgroup: old.cgroup });
    const uptime = keepUptimeOpen(scope, young, daemon.path("proc/uptime"));
    const kept = await uptime();
    await replaceWorker(daemon, "kill");
    const again = (await uptime()).uptime;
    expect(again).toBeGreaterThanOrEqual(kept.uptime);
    expect(again).toBeLessThan((await age(old)) - 1.5);
  });
});
