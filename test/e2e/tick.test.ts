// The contract tick: files out of the page cache, whole at every moment, and renewed.

import { open, readFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { readStatus } from "../../src/keeper-status.js";
import { MIB } from "../support/cgroups.js";
import { finished, output, run } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { counters } from "../support/counters.js";
import { Daemon, SETTLED, VIEWS, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { textOf } from "../support/proc.js";
import { checkMeminfo } from "../support/procfile.js";
import { cxxProgram } from "../support/programs.js";
import { inLong, isLong } from "../support/size.js";
import { swapOn } from "../support/swapfile.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

withStandby();

/** As it is by default. */
const TICK_MS = 10;
const SECONDS = inLong(1, 5);
/** Longer than three kills take, after which the reader is told to end. */
const KILLED_SECONDS = 60;
/** Far fewer than a busy machine makes; fewer would prove nothing. */
const LEAST_READS = 1_000 * SECONDS;

const TallySchema = z.object({
  reads: z.number(),
  empty: z.number(),
  cut: z.number(),
  mixed: z.number(),
  failed: z.number(),
  contents: z.number(),
  lengths: z.number(),
});
type Tally = z.infer<typeof TallySchema>;

const AnswerSchema = z.object({
  agreed: z.boolean(),
  tick: z.boolean(),
  flags: z.number(),
  timeout: z.number(),
});

const WHOLE = { empty: 0, cut: 0, mixed: 0, failed: 0 };

/** native/tick_reader.cc, with the one source of ours that it tests without a kernel. */
const compileReader = (): string => cxxProgram("tick_reader", "fuse/init.cc");

/** Take and give back memory, far from their limit, and burn CPU, for ever. */
const RESTLESS = [12_000_000, 90_000].map(
  (bytes) => `while :; do head -c ${bytes} /dev/zero | tail -c ${bytes} >/dev/null; done`,
);

describeLive("the contract tick", ["g++", "busybox"], () => {
  const scope = fileScope();
  let reader: string;
  let daemon: Daemon;
  let container: Container;
  let id: string;

  beforeAll(async () => {
    reader = compileReader();
    daemon = await Daemon.start(scope, "--consistency", "tick", "--log-format", "json");
    container = await Container.start(scope, {
      name: "tick",
      memory: 64 * MIB,
      binds: bindsOf(daemon),
    });
    id = await container.id(daemon);
    for (const script of RESTLESS) {
      container.start(scope, ["/bin/sh", "-c", script]);
    }
  });

  function own(view: string): string {
    return daemon.path("containers", id, view);
  }

  async function read(argv: readonly string[], inside: boolean): Promise<Tally> {
    const command = [reader, "read", ...argv];
    const text = inside ? await container.output(command) : await output(command);
    return TallySchema.parse(JSON.parse(text));
  }

  /** Until now: what the keeper knows is a beat old, which counts what others have asked. */
  async function requests(): Promise<number> {
    const { workerPid } = await readStatus(daemon.mountpoint);
    const by = Object.values((await counters(daemon, workerPid)).requests);
    return by.reduce((sum, one) => sum + one, 0);
  }

  const READERS = [
    [1, true],
    [4, true],
    [4, false],
  ] as const;
  for (const kind of ["meminfo", "stat", "uptime"]) {
    // What there is to share is the same for each file.
    for (const [threads, inside] of kind === "meminfo" || isLong ? READERS : READERS.slice(1, 2)) {
      const who = `${threads} reader${threads > 1 ? "s" : ""} ${inside ? "inside" : "on the host"}`;
      it(`${kind} is whole for ${who}`, async () => {
        const file = inside ? `/proc/${kind}` : own(`proc/${kind}`);
        let contents = 0;
        let reads = 0;
        await until("it renews, and is read often", async () => {
          const before = await requests();
          const tally = await read([kind, `${threads}`, `${SECONDS}`, file], inside);
          expect(tally).toMatchObject({ ...WHOLE, lengths: 1 });
          if (inside) {
            // Out of the page cache. On the host each path is looked up at its container's name.
            expect((await requests()) - before).toBeLessThan(tally.reads / 2);
          }
          // With a tick of 10 ms there could be 100 in a second, where all have a CPU.
          contents += tally.contents - 1;
          reads += tally.reads;
          return contents >= 20 && reads > LEAST_READS;
        });
      });
    }
  }

  it("serves every view of a container, as its parsers want it", async () => {
    for (const view of VIEWS) {
      const text = await readFile(own(view), "utf8");
      // A container that has used no disk has none.
      const end = view === "proc/diskstats" && text === "" ? undefined : "\n";
      expect({ view, end: text.at(-1) }).toEqual({ view, end });
      expect((await container.read(`/${view}`)).length).toBe(text.length);
    }
    checkMeminfo(await readFile(own("proc/meminfo"), "utf8"));
    expect(await container.output(["busybox", "nproc"])).toMatch(/^\d+\n$/);
  });

  describe("says what exact says:", () => {
    let exact: Daemon;
    let name: string;

    beforeAll(async () => {
      exact = await Daemon.start(scope);
      name = await (await Container.start(scope, { memory: 64 * MIB, quota: 1 })).id(exact);
    });

    it.each(SETTLED)("%s", async (view) => {
      // But for what fills it up to a length, and what the host decides: each daemon has read its
      // clock rates and its free memory at a moment of its own.
      const said = async (one: Daemon): Promise<string> =>
        (await readFile(one.path("containers", name, view), "utf8"))
          .replace(/ +(\n*)$/, "$1")
          .replaceAll(/^(cpu MHz|nr_dirty_\w*threshold).*$/gm, "$1");
      const [theirs, ours] = await until("a moment without change", async () => {
        const before = await said(exact);
        // What is in the page cache was made before, if it is younger.
        const since = performance.now();
        await until("it is renewed", () => performance.now() - since > 2 * TICK_MS);
        const between = await said(daemon);
        return before === (await said(exact)) && ([before, between] as const);
      });
      expect(ours).toBe(theirs);
    });
  });

  it("renews for sendfile(2), which sees whole files", async () => {
    for (const cat of [
      () => container.output(["busybox", "cat", "/proc/uptime"]),
      () => output(["busybox", "cat", own("proc/uptime")]),
    ]) {
      const first = await cat();
      expect(first).toMatch(/^\d+\.\d\d \d+\.\d\d *\n$/);
      await until("it renews", async () => (await cat()) !== first);
    }
    const meminfo = await output(["busybox", "cat", own("proc/meminfo")]);
    checkMeminfo(meminfo);
  });

  it("leaves in the page cache what has not changed", async () => {
    const { workerPid } = await readStatus(daemon.mountpoint);
    const asked = async () => (await counters(daemon, workerPid)).requests;
    const file = "/sys/devices/system/cpu/online";
    const text = await container.read(file);
    const before = await asked();
    // Nobody else reads.
    const after = await until("it is read in eight ticks", async () => {
      expect(await container.read(file)).toBe(text);
      const now = await asked();
      return (now.GETATTR ?? 0) - (before.GETATTR ?? 0) >= 8 && now;
    });
    expect((after.READ ?? 0) - (before.READ ?? 0)).toBe(0);
  });

  it("follows a change of limits", async () => {
    container.cgroup.limit({ memory: 80 * MIB });
    await until("the new limit is shown", async () => {
      return / 81920 kB/.test(await container.read("/proc/meminfo"));
    });
  });

  it("lists CPUs without blanks when they become fewer", async () => {
    const lists = ["online", "present"].map((name) => `sys/devices/system/cpu/${name}`);
    testScope().defer(() => container.cgroup.limit({ quota: null }));
    const before = await readFile(own("sys/devices/system/cpu/online"), "utf8");
    container.cgroup.limit({ quota: 1 });
    for (const list of lists) {
      await until("one CPU is shown", async () =>
        /^\d+\s*$/.test(await container.read(`/${list}`)),
      );
      // libbpf takes nothing but the list and its newline.
      expect(await container.read(`/${list}`)).toMatch(/^\d+\n$/);
      expect(await readFile(own(list), "utf8")).toMatch(/^\d+\n$/);
    }
    container.cgroup.limit({ quota: null });
    await until("all are shown again", async () => {
      return (await readFile(own("sys/devices/system/cpu/online"), "utf8")) === before;
    });
  });

  it("gives a process of the host EINVAL for what depends on the caller", async () => {
    for (const view of ["proc/meminfo", "proc/stat"]) {
      const { status, stderr } = await run(["cat", daemon.path(view)]);
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: expect.stringContaining("Invalid argument"),
      });
    }
    // A container's own node is found under the same name.
    expect(await container.read(daemon.path("proc/meminfo"))).toMatch(/^MemTotal/);
  });

  it.each(["proc/meminfo", "sys/devices/system/node/node0/meminfo"])(
    "gives it EINVAL for %s past the page cache too, and goes on",
    async (file) => {
      const { workerPid } = await readStatus(daemon.mountpoint);
      const outcome = await run(["dd", "iflag=direct", `if=${daemon.path(file)}`, "of=/dev/null"]);
      expect(outcome.stderr).toContain("Invalid argument");
      const after = await readStatus(daemon.mountpoint);
      expect([after.workerPid, after.restarts]).toEqual([workerPid, 0]);
    },
  );

  it("has no more for a reader that had the whole of a file before the worker was killed", async () => {
    swapOn(testScope(), 64);
    const swaps = async (): Promise<string> => await readFile(own("proc/swaps"), "utf8");
    container.cgroup.limit({ memory: 80 * MIB, swap: 0 });
    await until("no swap is shown", async () => !(await swaps()).includes("vswap"));
    container.cgroup.limit({ memory: 80 * MIB, swap: 32 * MIB });
    await until("its swap is shown", async () => (await swaps()).includes("vswap"));
    const file = await open(own("proc/swaps"));
    testScope().defer(async () => await file.close());
    const buffer = Buffer.alloc(1 << 16);
    const { bytesRead } = await file.read(buffer);
    const { workerPid, restarts } = await readStatus(daemon.mountpoint);
    process.kill(workerPid, "SIGKILL");
    await until("the next worker serves", async () => {
      const status = await readStatus(daemon.mountpoint);
      return status.state === "serving" && status.restarts > restarts;
    });
    expect(await file.read(buffer)).toMatchObject({ bytesRead: 0 });
    expect(await swaps()).toHaveLength(bytesRead);
  });

  it("goes on when the worker is killed", async () => {
    const before = await readStatus(daemon.mountpoint);
    const argv = [reader, "read", "meminfo", "2", `${KILLED_SECONDS}`, "/proc/meminfo"];
    const child = container.start(testScope(), argv);
    const outcome = finished(child);
    for (let kill = 1; kill <= 3; kill += 1) {
      const { workerPid } = await readStatus(daemon.mountpoint);
      process.kill(workerPid, "SIGKILL");
      await until("the next worker serves", async () => {
        const status = await readStatus(daemon.mountpoint);
        return status.state === "serving" && status.restarts >= before.restarts + kill;
      });
      const first = await container.read("/proc/uptime");
      await until("it renews", async () => (await container.read("/proc/uptime")) !== first);
    }
    const readers = container.cgroup.read("memory", "cgroup.procs").trim().split("\n");
    const isIt = (pid: string) => textOf(`/proc/${pid}/cmdline`).startsWith(`${reader}\0`);
    process.kill(Number(readers.find(isIt)), "SIGTERM");
    const { stdout, status } = await outcome;
    expect(status).toBe(0);
    expect(TallySchema.parse(JSON.parse(`${stdout}`))).toMatchObject(WHOLE);
  });
});

describeLive("a kernel", ["g++"], () => {
  const NO_OPEN_SUPPORT = 1 << 17;
  const AUTO_INVAL_DATA = 1 << 12;
  const ASYNC_READ = 1;
  // Beyond what operators of numbers reach.
  const INIT_EXT = 2 ** 30;
  const REQUEST_TIMEOUT = 2 ** 42;
  let reader: string;

  beforeAll(() => {
    reader = compileReader();
  });

  async function answerTo(offered: number, wanted: string): Promise<z.infer<typeof AnswerSchema>> {
    const text = await output([reader, "negotiate", offered.toString(16), wanted]);
    return AnswerSchema.parse(JSON.parse(text));
  }

  it.each([
    { offered: NO_OPEN_SUPPORT | AUTO_INVAL_DATA | ASYNC_READ, wanted: "tick", tick: true },
    { offered: NO_OPEN_SUPPORT | ASYNC_READ, wanted: "tick", tick: false },
    { offered: AUTO_INVAL_DATA | ASYNC_READ, wanted: "tick", tick: false },
    { offered: NO_OPEN_SUPPORT | AUTO_INVAL_DATA, wanted: "exact", tick: false },
  ])("that offers $offered, asked for $wanted, gives tick: $tick", async (row) => {
    const { flags, ...agreed } = await answerTo(row.offered, row.wanted);
    expect(agreed).toEqual({ agreed: true, tick: row.tick, timeout: 0 });
    // What only tick wants is not asked for in exact: the fall-back is exact as a whole.
    const asked = flags & (NO_OPEN_SUPPORT | AUTO_INVAL_DATA);
    expect(asked).toBe(row.tick ? NO_OPEN_SUPPORT | AUTO_INVAL_DATA : 0);
  });

  it.each([
    { offers: true, limits: true, timeout: 65_535 },
    { offers: true, limits: false, timeout: 0 },
    { offers: false, limits: true, timeout: 0 },
  ])("is asked for the longest requests where it has limits by itself: %o", async (row) => {
    const offered = INIT_EXT + (row.offers ? REQUEST_TIMEOUT : 0);
    const { flags, timeout } = await answerTo(offered, row.limits ? "longest" : "exact");
    expect(timeout).toBe(row.timeout);
    expect(flags).toBe(INIT_EXT + (row.timeout > 0 ? REQUEST_TIMEOUT : 0));
  });
});
