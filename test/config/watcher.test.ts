// The watcher's own decisions, with events that the test makes up.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import {
  type HelperReport,
  helperAbort,
  type RunHelper,
  runHelper,
} from "../../src/attach/helper.js";
import { LeftAlone } from "../../src/attach/left-alone.js";
import { mountNamespaceOf, pidNamespaceOf } from "../../src/attach/namespaces.js";
import { ProcessScan } from "../../src/attach/scan.js";
import { Shortages } from "../../src/attach/shortages.js";
import { TenantLog } from "../../src/attach/tenant-log.js";
import { TrackedContainers } from "../../src/attach/tracked.js";
import { Visits } from "../../src/attach/visits.js";
import { Watcher } from "../../src/attach/watcher.js";
import { nativeCandidates } from "../../src/layout.js";
import { createLogger } from "../../src/log.js";
import { loadAddon } from "../../src/native/addon.js";
import type { RunningProgram, WatchEvent } from "../../src/native/binding.js";
import { runSync } from "../support/command.js";
import { container, FakeWatch, fakeBinding } from "../support/fake-binding.js";
import { withPreload } from "../support/programs.js";
import { DEADLINE_MS, until } from "../support/wait.js";

/** A process in a PID namespace of its own, and in our mount namespace unless `more` says otherwise. */
async function elsewhere(more: readonly string[] = []): Promise<number> {
  const child = spawn("unshare", [...more, "--pid", "--fork", "--kill-child", "sleep", "1000"]);
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const list = `/proc/${child.pid}/task/${child.pid}/children`;
  const pid = await until("it has a child", () => Number(readFileSync(list, "utf8")) || undefined);
  // It may not have asked for its parent's end yet.
  onTestFinished(() => void runSync(["kill", "-9", `${pid}`]));
  return pid;
}

/** What a watcher needs that no test is about. */
const USUAL = {
  settings: {
    mountpoint: "/nowhere",
    fsType: "fuse.lxcfs",
    source: "vprocfs",
    skipFiles: [],
    replaceLxcfs: false,
  },
  only: ["*"],
  exclude: [],
  nested: true,
  passId: false,
  log: createLogger("error", "json"),
} as const;

/** A watcher to which the kernel refuses with `code` once to report new processes. */
function refusedOnce(code: string) {
  let refusals = 1;
  let isListening = false;
  let looked = false;
  class Watch extends FakeWatch {
    override start(): void {
      if (refusals > 0) {
        refusals -= 1;
        throw Object.assign(new Error(`cannot listen (${code})`), { code });
      }
      isListening = true;
    }
    override tenantOf(): number {
      looked ||= isListening;
      return 0;
    }
  }
  const { run } = fakeBinding([]);
  const binding = { Watch, identityOf: () => null, fnmatch: () => true, run };
  // By this clock scans take no time, and there is no long rest after one.
  const watcher = new Watcher({ ...USUAL, binding, now: () => 0 });
  onTestFinished(() => watcher.stop());
  watcher.start();
  return { watcher, isListening: () => isListening, hasLooked: () => looked };
}

it("listens as soon as the host has what that takes", async () => {
  const codes = ["EAGAIN", "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"];
  const refused = codes.map((code) => ({ code, ...refusedOnce(code) }));
  for (const { code, watcher } of refused) {
    expect(watcher.state()).toMatchObject({
      shortages: 1,
      lastShortage: { what: `cannot listen (${code})` },
    });
  }
  for (const { watcher, isListening } of refused) {
    await until("it listens", isListening);
    expect(watcher.state().shortages).toBe(1);
  }
});

it.runIf(process.getuid?.() === 0)(
  "looks at everything once it listens, for what has started meanwhile",
  async () => {
    await elsewhere(["--mount"]);
    const { hasLooked } = refusedOnce("EMFILE");
    await until("it looks while it listens", hasLooked);
  },
);

it("is not asked again to listen where the kernel refuses it for another reason", async () => {
  const records: Record<string, unknown>[] = [];
  const log = createLogger("warn", "json", { write: (line) => records.push(JSON.parse(line)) });
  class Watch extends FakeWatch {
    override start(): void {
      throw Object.assign(new Error("process connector: not permitted"), { code: "EPERM" });
    }
  }
  const { run } = fakeBinding([]);
  const binding = { Watch, identityOf: () => null, fnmatch: () => true, run };
  const watcher = new Watcher({ ...USUAL, log, binding });
  onTestFinished(() => watcher.stop());
  watcher.start();
  expect(records.map(({ reason }) => reason)).toEqual(["process connector: not permitted"]);
  expect(watcher.state().problem).toBe("process connector: not permitted");
  expect(watcher.state().shortages).toBe(0);
});

it("is asked again after long to listen where the kernel did not say why not", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const records: Record<string, unknown>[] = [];
  const log = createLogger("info", "json", { write: (line) => records.push(JSON.parse(line)) });
  const message = "process connector: not supported";
  let starts = 0;
  class Watch extends FakeWatch {
    override start(): void {
      starts += 1;
      if (starts < 3) {
        throw Object.assign(new Error(message), { code: "EOPNOTSUPP" });
      }
    }
  }
  const { run } = fakeBinding([]);
  const binding = { Watch, identityOf: () => null, fnmatch: () => true, run };
  const watcher = new Watcher({ ...USUAL, log, binding });
  onTestFinished(() => watcher.stop());
  watcher.start();
  for (const begun of [1, 2]) {
    expect([starts, watcher.state().problem]).toEqual([begun, message]);
    vi.advanceTimersByTime(599_000);
    expect(starts).toBe(begun);
    vi.advanceTimersByTime(1000);
  }
  expect([starts, watcher.state().problem]).toEqual([3, undefined]);
  expect(records.map(({ msg }) => msg)).toEqual([
    "the kernel does not report new processes: only hooks find new containers",
    "the kernel reports new processes now",
  ]);
  vi.advanceTimersByTime(600_000);
  expect(starts).toBe(3);
});

it("can end more than ten helpers at a time, without a warning of Node's", async () => {
  const warnings: Error[] = [];
  const take = (warning: Error): void => void warnings.push(warning);
  process.on("warning", take);
  onTestFinished(() => void process.off("warning", take));
  let killed = 0;
  const binding = {
    run: () => {
      let end = (): void => {};
      const ended = new Promise<Awaited<RunningProgram["ended"]>>((resolve) => {
        end = () => resolve({ stdout: "", stderr: "", status: null, signal: 9 });
      });
      const kill = (): void => {
        killed += 1;
        end();
      };
      return { ended, kill };
    },
  };
  const abort = helperAbort();
  const run = { action: "attach", pid: 1, name: "web1" } as const;
  const runs = Array.from({ length: 12 }, () =>
    runHelper(binding, USUAL.settings, run, abort.signal),
  );
  abort.abort();
  for (const report of await Promise.all(runs)) {
    expect(report.problems).toEqual(["it was killed"]);
  }
  expect(killed).toBe(12);
  // Node tells of a warning with the next tick.
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toEqual([]);
});

it.runIf(process.getuid?.() === 0)(
  "every tenant has a number of its own, also after one whose namespace had the same",
  async () => {
    const { Watch } = loadAddon();
    const watch = new Watch(() => {});
    expect(watch.tenantOf(process.pid)).toBe(0);
    const seen = new Set<number>();
    for (let count = 1; count <= 5; count += 1) {
      const pid = await elsewhere();
      const tenant = watch.tenantOf(pid);
      seen.add(tenant);
      expect(seen.size).toBe(count);
      expect(watch.tenantOf(pid)).toBe(tenant);
      expect(tenant % 2 ** 32).toBe(pidNamespaceOf(pid));
      process.kill(pid, "SIGKILL");
      await until("it has ended", () => pidNamespaceOf(pid) === undefined || undefined);
    }
  },
);

it.runIf(process.getuid?.() === 0)(
  "says how many files it has detached, from containers that were at it at the same time",
  async () => {
    const inits = [await elsewhere(["--mount"]), await elsewhere(["--mount"])];
    const waiting: (() => void)[] = [];
    class Watch extends FakeWatch {
      override tenantOf(pid = 0): number {
        return pid;
      }
    }
    const watcher = new Watcher({
      ...USUAL,
      binding: {
        Watch,
        identityOf: (pid) => (inits.includes(pid) ? container({ init: pid }) : null),
        fnmatch: () => true,
        run: fakeBinding([]).run,
      },
      run: async (_, { pid }) => {
        // None ends before all of them have started.
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
          for (const go of waiting.length === inits.length ? waiting : []) {
            go();
          }
        });
        const files: HelperReport["files"] = [{ path: "/proc/stat", state: "detached" }];
        return { pid, id: "1", files, problems: [], busy: false, isShort: false };
      },
    });
    onTestFinished(() => watcher.stop());
    expect(await watcher.detachAll(false)).toBe(inits.length);
  },
);

it.runIf(process.getuid?.() === 0)(
  "stops while the mounts of a namespace that has ended are being taken away",
  async () => {
    const { Watch } = loadAddon();
    let pid = 0;
    let isRead = false;
    let hasStopped = false;
    const watch = new Watch((events) => {
      isRead ||= events.some((event) => event.pid === pid && event.kind === "mounts");
      // At once: what is left of it is being taken away.
      if (events.some((event) => event.pid === pid && event.kind === "ended")) {
        watch.stop();
        hasStopped = true;
      }
    });
    watch.start();
    onTestFinished(() => watch.stop());
    // 4096 mounts: each recursive bind doubles what there is.
    const script =
      "mount -t tmpfs none /mnt && cd /mnt && mkdir 0 1 2 3 4 5 6 7 8 9 a b && " +
      "for i in *; do mount --rbind . $i; done && echo ready && exec sleep 1000";
    const child = spawn("unshare", ["--mount", "--pid", "--fork", "sh", "-c", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
    await once(child.stdout, "data");
    const list = `/proc/${child.pid}/task/${child.pid}/children`;
    pid = Number(readFileSync(list, "utf8").trim());
    onTestFinished(() => void runSync(["kill", "-9", `${pid}`]));
    // What has made the namespace is in it too, and would keep it.
    child.kill("SIGKILL");
    expect(watch.follow(pid)).toBe("followed");
    await until("its mounts have been read", () => isRead);
    process.kill(pid, "SIGKILL");
    await until("the watch has stopped", () => hasStopped);
  },
);

it.runIf(process.getuid?.() === 0)(
  "an event that is put off does not stand in for another one of a namespace with its number",
  async () => {
    const namespace = mountNamespaceOf(process.pid) ?? 0;
    const pid = await elsewhere();
    const found = container({ init: pid });
    let tell = (_: readonly WatchEvent[]): void => {};
    class Watch extends FakeWatch {
      constructor(onEvents: (events: readonly WatchEvent[]) => void) {
        super();
        tell = onEvents;
      }
    }
    let asked = 0;
    const served: number[] = [];
    const watcher = new Watcher({
      ...USUAL,
      // Its runtime has not moved it to its cgroups when it is seen first.
      binding: {
        Watch,
        identityOf: () => (asked++ === 0 ? null : found),
        fnmatch: (pattern) => pattern === "*",
        run: fakeBinding([]).run,
      },
      run: (_, run) => {
        served.push(run.pid);
        return Promise.resolve({
          pid: run.pid,
          id: "1",
          files: [],
          problems: [],
          busy: false,
          isShort: false,
        });
      },
    });
    onTestFinished(() => watcher.stop());
    // Of no container, and asked about again for a while.
    tell([{ kind: "appeared", pid: process.pid, namespace, tenant: 1, isInit: true }]);
    tell([{ kind: "appeared", pid, namespace, tenant: 1, isInit: true }]);
    await until("the other one is served", () => served.includes(pid));
    expect(served).toEqual([pid]);
  },
);

it.runIf(process.getuid?.() === 0)(
  "looks again at all that has a container's id, and does little itself for that",
  async () => {
    const pids = [await elsewhere(["--mount"]), await elsewhere(["--mount"])];
    let tell = (_: readonly WatchEvent[]): void => {};
    const asked: string[] = [];
    class Watch extends FakeWatch {
      constructor(onEvents: (events: readonly WatchEvent[]) => void) {
        super();
        tell = onEvents;
      }
      override tenantOf(pid: number): number {
        asked.push(`tenant of ${pid}`);
        return 1;
      }
      override representativeOf(pid: number) {
        asked.push(`representative of ${pid}`);
        return super.representativeOf(pid);
      }
    }
    const served: number[] = [];
    const watcher = new Watcher({
      ...USUAL,
      binding: {
        Watch,
        // The same cgroup, with two PID namespaces.
        identityOf: (init) => container({ id: "7", init }),
        fnmatch: (pattern) => pattern === "*",
        run: fakeBinding([]).run,
      },
      run: async (_, run) => {
        served.push(run.pid);
        return reportOf([{ path: "/proc/stat", state: "present" }]);
      },
    });
    onTestFinished(() => watcher.stop());
    for (const pid of pids) {
      const namespace = mountNamespaceOf(pid) ?? 0;
      tell([{ kind: "appeared", pid, namespace, tenant: 1, isInit: true }]);
    }
    await watcher.idle();
    served.length = 0;
    asked.length = 0;
    watcher.lookAgain(["8"]);
    watcher.lookAgain(["7"]);
    await watcher.idle();
    expect(served).toEqual(pids);
    expect(asked).toEqual(pids.map((pid) => `tenant of ${pid}`));
  },
);

it.runIf(process.getuid?.() === 0)(
  "files no report that comes after its namespace has ended: a later one may have its number",
  async () => {
    const [init, pid] = [await elsewhere(["--mount"]), await elsewhere(["--mount"])];
    const found = container({ init });
    let tell = (_: readonly WatchEvent[]): void => {};
    class Watch extends FakeWatch {
      constructor(onEvents: (events: readonly WatchEvent[]) => void) {
        super();
        tell = onEvents;
      }
    }
    const event = (kind: "appeared" | "ended", of: number): void => {
      const namespace = mountNamespaceOf(of) ?? 0;
      tell([{ kind, pid: of, namespace, tenant: 1, isInit: true }]);
    };
    const records: Record<string, unknown>[] = [];
    let doesEnd = true;
    const watcher = new Watcher({
      ...USUAL,
      log: createLogger("info", "json", { write: (line) => records.push(JSON.parse(line)) }),
      binding: {
        Watch,
        identityOf: () => found,
        fnmatch: (pattern) => pattern === "*",
        run: fakeBinding([]).run,
      },
      run: async (_, run) => {
        if (run.pid === pid && doesEnd) {
          event("ended", pid);
          doesEnd = false;
        }
        return reportOf([{ path: "/proc/stat", state: "attached" }]);
      },
    });
    onTestFinished(() => watcher.stop());
    for (const one of [init, pid, pid]) {
      event("appeared", one);
      await watcher.idle();
    }
    expect(records.map(({ msg, pid: by }) => [msg, by])).toEqual([
      ["attached", init],
      ["attached", pid],
    ]);
  },
);

/**
 * A watcher with one tenant that has more visits waiting than scans may add to, and that can have `room`.
 * Its clock stands still unless `passing()` waits: a scan is followed by a rest of 20 times what it took by it.
 */
async function crowded(room: "followed" | "full") {
  const WAITING = 2500;
  // No process has it: of an init that has ended nothing is looked for.
  const NOBODY = 2 ** 22;
  const known = await elsewhere();
  const other = await elsewhere(["--mount"]);
  let nowMs = 0;
  let scans = 0;
  let tell = (_: readonly WatchEvent[]): void => {};
  class Watch extends FakeWatch {
    constructor(onEvents: (events: readonly WatchEvent[]) => void) {
      super();
      tell = onEvents;
    }
    override tenantOf(pid = 0): number {
      scans += pid === other ? 1 : 0;
      return pid === other ? 1 : 0;
    }
    override follow(): "followed" {
      asked.push(room);
      return room as "followed";
    }
  }
  const asked: string[] = [];
  const served: number[] = [];
  const watcher = new Watcher({
    ...USUAL,
    binding: {
      Watch,
      identityOf: (pid) => container({ init: pid }),
      fnmatch: (pattern) => pattern === "*",
      run: fakeBinding([]).run,
    },
    run: async (_, { pid }) => {
      served.push(pid);
      return reportOf([]);
    },
    now: () => nowMs,
  });
  onTestFinished(() => watcher.stop());
  const sparing = vi.spyOn(ProcessScan.prototype, "beginSparingly");
  onTestFinished(() => sparing.mockRestore());
  const crowd = (kind: "appeared" | "ended"): void =>
    tell(
      Array.from({ length: WAITING }, (_, namespace) => {
        return { kind, pid: NOBODY, namespace, tenant: 1, isInit: true };
      }),
    );
  const event = (kind: WatchEvent["kind"]): void => {
    const namespace = mountNamespaceOf(known) ?? 0;
    tell([{ kind, pid: known, namespace, tenant: 1, isInit: true }]);
  };
  const passing = (what: string, isDone: () => boolean, stepMs = 100): Promise<boolean> =>
    until(what, () => {
      nowMs += stepMs;
      return isDone();
    });
  return {
    watcher,
    known,
    other,
    asked,
    served,
    crowd,
    event,
    passing,
    sparing,
    scans: () => scans,
  };
}

it.runIf(process.getuid?.() === 0)(
  "serves again what is served and has changed, however many visits of its tenant wait",
  async () => {
    const { known, served, crowd, event, passing } = await crowded("followed");
    event("appeared");
    await until("it is served", () => served.length === 1);
    crowd("appeared");
    event("mounts");
    await passing("it is served again", () => served.length === 2, 20_000);
    expect(served).toEqual([known, known]);
  },
);

it.runIf(process.getuid?.() === 0)(
  "leaves out what a scan finds while too many visits of its tenant wait, and finds it once they are done",
  async () => {
    const { watcher, other, served, crowd, event, passing, sparing, scans } =
      await crowded("followed");
    crowd("appeared");
    event("lost");
    await until("it has been found", () => scans() === 1);
    const { waiting } = watcher.state();
    expect(waiting).toBeGreaterThan(2048);
    expect(sparing).not.toHaveBeenCalled();
    // What has ended does not wait.
    crowd("ended");
    expect(watcher.state().waiting).toBe(0);
    await until("it has been found again", () => scans() === 2);
    expect(sparing).toHaveBeenCalledTimes(1);
    await passing("it is served", () => served.length > 0);
    expect(served).toEqual([other]);
  },
);

it.runIf(process.getuid?.() === 0)(
  "scans no more for a tenant of which nothing else can be followed, until there is room",
  async () => {
    const { watcher, asked, served, crowd, event, passing, sparing, scans } = await crowded("full");
    crowd("appeared");
    event("lost");
    await until("it has been found", () => scans() === 1);
    event("appeared");
    crowd("ended");
    await passing("there is no room", () => asked.length > 0);
    await watcher.idle();
    expect([asked, served]).toEqual([["full"], []]);
    expect(sparing).not.toHaveBeenCalled();
    event("lost");
    await passing("all are looked at again", () => asked.length > 1);
    expect(scans()).toBe(2);
  },
);

/** Visits of one namespace, with what helpers report and what is logged of it. */
async function visitsWith(run: RunHelper, now = () => 0, isInit = true) {
  const pid = await elsewhere(isInit ? [] : ["--mount"]);
  const namespace = mountNamespaceOf(pid) ?? 0;
  const records: Record<string, unknown>[] = [];
  const log = createLogger("info", "json", { write: (line) => records.push(JSON.parse(line)) });
  let isPending = false;
  let searches = 0;
  const tracked = new TrackedContainers(() => 0);
  const visits = new Visits({
    ...USUAL,
    log,
    only: ["web1"],
    binding: fakeBinding([], () => container({ init: isInit ? pid : process.pid })),
    run,
    watch: new FakeWatch(),
    tracked,
    shortages: new Shortages(USUAL.log),
    hasPending: () => isPending,
    after: () => {},
    look: () => {},
    lookLater: () => {
      isPending = true;
    },
    onFull: () => {},
    lookForOthers: () => {
      searches += 1;
    },
    rest: () => {},
    onError: (error) => {
      throw error;
    },
    now,
  });
  const visit = () => {
    isPending = false;
    return visits.visit({ pid, namespace, tenant: 1, isInit }, 0);
  };
  return { visits, visit, records, pid, namespace, tracked, searches: () => searches };
}

function reportOf(files: HelperReport["files"]): HelperReport {
  return { pid: 1, id: "1", files, problems: [], busy: false, isShort: false };
}

it.runIf(process.getuid?.() === 0)(
  "a tenant pays for the helper and for what the watcher does until that runs",
  async () => {
    let nowMs = 0;
    const { visit } = await visitsWith(
      async () => {
        nowMs += 5;
        await new Promise((resolve) => setImmediate(resolve));
        nowMs += 1000;
        return { ...reportOf([]), cpuUs: 7000 };
      },
      () => nowMs,
    );
    expect(await visit()).toBe(5 + 7);
  },
);

it.runIf(process.getuid?.() === 0)(
  "a tenant pays for every helper, whatever becomes of its report",
  async () => {
    const reports = [{ ...reportOf([]), cpuUs: 5_000_000 }];
    const { visit, namespace, tracked } = await visitsWith(
      async () => reports.shift() ?? { ...reportOf([]), cpuUs: 2_000_000 },
    );
    // One with other PIDs in the same namespace, by which that was served: its /proc is tried first, and is none.
    const other = await elsewhere();
    tracked.add(container({ init: other }), namespace).served.set(namespace, other);
    expect(await visit()).toBe(5000 + 2000);
    // One that an operator detaches meanwhile.
    const detached = await visitsWith(async (_, { action }) => {
      const found = container({ init: detached.pid });
      const leftAlone = new LeftAlone(() => found);
      leftAlone.set(found, true, []);
      onTestFinished(() => leftAlone.set(found, false, []));
      return { ...reportOf([]), cpuUs: action === "attach" ? 3_000_000 : 1_000_000 };
    });
    expect(await detached.visit()).toBe(3000 + 1000);
  },
);

it.runIf(process.getuid?.() === 0)(
  "looks for others when a process ends while the helper runs, unless it was an init",
  async () => {
    const endsMeanwhile = async (isInit: boolean): Promise<number> => {
      const { visit, pid, searches } = await visitsWith(
        async () => {
          process.kill(pid, "SIGKILL");
          await until("it has ended", () => mountNamespaceOf(pid) === undefined);
          return { ...reportOf([]), problems: ["it has ended"] };
        },
        undefined,
        isInit,
      );
      await visit();
      return searches();
    };
    expect([await endsMeanwhile(true), await endsMeanwhile(false)]).toEqual([0, 1]);
  },
);

it.runIf(process.getuid?.() === 0)(
  "a container that takes files away is left with its will, also where one can never be attached",
  async () => {
    const left: number[] = [];
    const { visit } = await visitsWith(async (_, { leave = [] }) => {
      left.push(leave.length);
      return reportOf([
        { path: "/proc/stat", state: leave.includes("/proc/stat") ? "left" : "attached" },
        { path: "/proc/uptime", state: "failed", reason: "never" },
      ]);
    });
    for (let count = 0; count < 7; count += 1) {
      await visit();
    }
    // The first time nothing had been taken away.
    expect(left).toEqual([0, 0, 0, 0, 0, 0, 1]);
  },
);

it("a tenant has some lines in an hour, then one that says that more are left out", () => {
  const records: Record<string, unknown>[] = [];
  const write = (line: string) => void records.push(JSON.parse(line));
  let now = 0;
  const log = new TenantLog(createLogger("info", "json", { write }), () => now);
  const tell = (tenant: number, times: number): number => {
    const before = records.length;
    for (let time = 0; time < times; time += 1) {
      log.info(tenant, { container: `web${tenant}/${time}` }, "attached");
    }
    return records.length - before;
  };
  expect([tell(1, 300), tell(1, 300), tell(2, 3)]).toEqual([201, 0, 3]);
  expect(records[200]).toMatchObject({ container: "web1/200", lines: 200 });
  now = 3_599_999;
  expect([tell(1, 1), tell(3, 1)]).toEqual([0, 1]);
  now += 1;
  expect([tell(1, 300), tell(2, 300), tell(3, 300)]).toEqual([201, 201, 200]);
});

it("what is only told, or not even that, leaves a tenant its warnings", () => {
  const messagesAt = (level: "info" | "warn"): string[] => {
    const messages: string[] = [];
    const write = (line: string) => void messages.push(String(JSON.parse(line).msg));
    const log = new TenantLog(createLogger(level, "json", { write }), () => 0);
    for (let time = 0; time < 300; time += 1) {
      log.info(1, { container: "web1" }, "attached");
    }
    for (let time = 0; time < 300; time += 1) {
      log.warn(1, { container: "web1" }, "failed");
    }
    return messages;
  };
  const leftOut = (what: string) => expect.stringContaining(`too many ${what} about`);
  const warnings = [...Array(50).fill("failed"), leftOut("warnings")];
  expect(messagesAt("warn")).toEqual(warnings);
  expect(messagesAt("info")).toEqual([
    ...Array(200).fill("attached"),
    leftOut("lines"),
    ...warnings,
  ]);
});

it.runIf(process.getuid?.() === 0)(
  "what becomes of a container's namespaces is logged as far as its tenant has lines left",
  async () => {
    const { visit, records } = await visitsWith(async () =>
      reportOf([{ path: "/proc/uptime", state: "attached" }]),
    );
    for (let count = 0; count < 250; count += 1) {
      await visit();
    }
    const told = records.filter(({ level }) => level === "info");
    expect(told).toHaveLength(200);
    const warned = records.filter(({ level }) => level === "warn").map(({ msg }) => msg);
    expect(warned).toEqual([
      expect.stringContaining("keeps unmounting"),
      expect.stringContaining("too many lines"),
    ]);
  },
);

it.runIf(process.getuid?.() === 0)(
  "a file that is attached later than others is not attached again",
  async () => {
    const reports = [
      reportOf([
        { path: "/proc/stat", state: "attached" },
        { path: "/proc/meminfo", state: "present" },
        { path: "/proc/uptime", state: "failed", reason: "busy" },
      ]),
      reportOf([
        { path: "/proc/stat", state: "present" },
        { path: "/proc/meminfo", state: "healed" },
        { path: "/proc/uptime", state: "attached" },
      ]),
      reportOf([{ path: "/proc/uptime", state: "attached" }]),
    ];
    const { visit, records } = await visitsWith(async () => reports.shift() ?? reportOf([]));
    for (let count = 0; count < 3; count += 1) {
      await visit();
    }
    expect(records.map(({ msg, files }) => [msg, files])).toEqual([
      ["attached", 1],
      ["attached", 1],
      ["attached again", 1],
      ["attached again", 1],
    ]);
  },
);

it.runIf(process.getuid?.() === 0)(
  "a helper of another vprocfs does not count as one that hangs, unless it does not end",
  async () => {
    let now = 0;
    let busy = true;
    const { visits, visit, records } = await visitsWith(
      async () => ({
        ...reportOf([]),
        problems: busy ? ["another run for its tenant has not ended"] : [],
        busy,
      }),
      () => now,
    );
    const hungAt = async (atMs: number): Promise<number> => {
      now = atMs;
      await visit();
      return visits.hung;
    };
    const warnings = () => records.filter(({ level }) => level === "warn").map(({ msg }) => msg);
    expect([await hungAt(0), await hungAt(9000)]).toEqual([0, 0]);
    busy = false;
    expect(await hungAt(9500)).toBe(0);
    busy = true;
    expect([await hungAt(10_000), await hungAt(20_000)]).toEqual([0, 0]);
    expect(warnings()).toEqual([]);
    expect([await hungAt(21_000), await hungAt(30_000)]).toEqual([1, 1]);
    expect(warnings()).toEqual([
      "a helper hangs in this container: starting no other until it ends",
    ]);
    busy = false;
    expect(await hungAt(31_000)).toBe(0);
  },
);

it.runIf(process.getuid?.() === 0)(
  "nothing is said to hang where nobody looks any more",
  async () => {
    let now = 0;
    const { visits, visit, pid } = await visitsWith(
      async () => ({ ...reportOf([]), problems: ["busy"], busy: true }),
      () => now,
    );
    await visit();
    now = 20_000;
    await visit();
    expect(visits.hung).toBe(1);
    const found = container({ init: pid });
    const leftAlone = new LeftAlone(() => found);
    leftAlone.set(found, true, []);
    onTestFinished(() => leftAlone.set(found, false, []));
    await visit();
    expect(visits.hung).toBe(0);
  },
);

/** Asks for the tenant of a process without a descriptor left, and again when it is told to look. */
const SHORT_OF_DESCRIPTORS = `
  const fs = require("node:fs");
  const { exitNow, Watch } = require(process.argv[1]);
  const pid = Number(process.argv[2]);
  const watch = new Watch((events) => {
    if (events.some(({ kind }) => kind === "lost")) {
      console.log(watch.state().shortages > 0, watch.tenantOf(pid) > 0);
      exitNow(0);
    }
  });
  watch.start();
  // The watch keeps no program running.
  setTimeout(() => {}, Number(process.argv[3]));
  const taken = [];
  try {
    for (;;) taken.push(fs.openSync("/dev/null"));
  } catch {}
  const tenant = watch.tenantOf(pid);
  taken.forEach((fd) => fs.closeSync(fd));
  console.log(tenant);
`;

it.runIf(process.getuid?.() === 0)(
  "looks again at what it had no descriptor for when it asked whose it is",
  async () => {
    const pid = await elsewhere();
    const addon = nativeCandidates("vprocfs.node").find(existsSync) ?? "";
    const script = 'ulimit -n 256; exec "$@"';
    const node = [process.execPath, "-e", SHORT_OF_DESCRIPTORS, addon, `${pid}`, `${DEADLINE_MS}`];
    const { stdout, stderr } = runSync(["/bin/sh", "-c", script, "sh", ...node]);
    expect([stdout, stderr]).toEqual(["0\ntrue true\n", ""]);
  },
);

/** Follows all mount namespaces of one tenant, of which there is not enough room for all. */
const CROWDED = `
  const { readFileSync } = require("node:fs");
  const { exitNow, Watch } = require(process.argv[1]);
  const watch = new Watch(() => {});
  watch.start();
  const pids = process.argv.slice(2).map(Number);
  const answers = pids.map((pid) => watch.follow(pid));
  const { refused, short } = watch.state();
  const full = answers.filter((answer) => answer === "full").length;
  // Others may have begun meanwhile.
  console.log(full > 0, refused >= full, short === refused);
  exitNow(0);
`;

it.runIf(process.getuid?.() === 0)(
  "counts what it has no room for although its tenant has less than it may",
  async () => {
    // Of 256 descriptors it takes those for 16.
    const each = "for i in 1 2 3 4 5 6 7 8 9 10; do unshare --mount sleep 1000 & done";
    const script = `${each}; ${each}; wait`;
    const argv = ["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script];
    const child = spawn("unshare", argv);
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
    const childrenOf = (pid: number | undefined): number[] =>
      readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
        .split(" ")
        .filter(Boolean)
        .map(Number);
    const init = await until("it has a child", () => childrenOf(child.pid)[0]);
    onTestFinished(() => void runSync(["kill", "-9", `${init}`]));
    const pids = await until("all have namespaces of their own", () => {
      const found = childrenOf(init).filter(
        (pid) => mountNamespaceOf(pid) !== mountNamespaceOf(init),
      );
      return found.length === 20 && found;
    });
    const addon = nativeCandidates("vprocfs.node").find(existsSync) ?? "";
    const limited = 'ulimit -n 256; exec "$@"';
    const node = [process.execPath, "-e", CROWDED, addon, ...pids.map(String)];
    const { stdout, stderr } = runSync(["/bin/sh", "-c", limited, "sh", ...node]);
    expect([stdout, stderr]).toEqual(["true true true\n", ""]);
  },
);

/** Begins to listen with 0, 1 and 2 descriptors left, which are too few, and then with enough. */
const SHORT_WHEN_IT_BEGINS = `
  const fs = require("node:fs");
  const { spawn } = require("node:child_process");
  const { exitNow, Watch } = require(process.argv[1]);
  const appeared = [0, 1, 2].map((left) => new Promise((resolve) => {
    const watch = new Watch((events) => {
      if (events.some(({ kind }) => kind === "appeared")) resolve();
    });
    const taken = [];
    try {
      for (;;) taken.push(fs.openSync("/dev/null"));
    } catch {}
    taken.splice(0, left).forEach((fd) => fs.closeSync(fd));
    let code;
    try {
      watch.start();
    } catch (error) {
      code = error.code;
    }
    taken.forEach((fd) => fs.closeSync(fd));
    console.log(left, code);
    watch.start();
  }));
  const argv = ["--mount", "--pid", "--fork", "--kill-child", "sleep", "1000"];
  const child = spawn("unshare", argv, { stdio: "ignore" });
  const end = (done) => {
    child.kill("SIGKILL");
    console.log(done);
    exitNow(0);
  };
  setTimeout(() => end("late"), Number(process.argv[2]));
  Promise.all(appeared).then(() => end("appeared"));
`;

it.runIf(process.getuid?.() === 0)(
  "reports new processes once there are descriptors, of which there were too few when it began",
  () => {
    const addon = nativeCandidates("vprocfs.node").find(existsSync) ?? "";
    const script = 'ulimit -n 256; exec "$@"';
    const node = [process.execPath, "-e", SHORT_WHEN_IT_BEGINS, addon, `${DEADLINE_MS}`];
    const { stdout, stderr } = runSync(["/bin/sh", "-c", script, "sh", ...node]);
    expect([stdout, stderr]).toEqual(["0 EMFILE\n1 EMFILE\n2 EMFILE\nappeared\n", ""]);
  },
);

/** Prints whether the kernel reports new processes, or why not. */
const LISTENING = `
  const { exitNow, Watch } = require(process.argv[1]);
  const watch = new Watch(() => {});
  try {
    watch.start();
    console.log("listens");
  } catch ({ code, message }) {
    console.log(code, message);
  }
  exitNow(0);
`;

it.runIf(process.getuid?.() === 0).each([
  ["the host's namespaces", [], /^listens$/],
  ["a PID namespace of its own", ["unshare", "--pid", "--fork"], /^EOPNOTSUPP process connector: /],
  // Before Linux 6.6 it is refused at once.
  ["a user namespace of its own", ["unshare", "-Ur"], /^(EOPNOTSUPP|EPERM) process connector: /],
])("in %s it knows whether the kernel reports new processes", (_, apart, said) => {
  const addon = nativeCandidates("vprocfs.node").find(existsSync) ?? "";
  const { stdout, stderr } = runSync([...apart, process.execPath, "-e", LISTENING, addon]);
  expect([stdout.trim(), stderr]).toEqual([expect.stringMatching(said), ""]);
});

/** Begins to listen while no answer of the kernel's arrives, and then with answers. */
const UNANSWERED = `
  const { exitNow, Watch } = require(process.argv[1]);
  const watch = new Watch(() => {});
  for (const _ of [1, 2]) {
    try {
      watch.start();
      console.log("listens");
    } catch ({ code }) {
      console.log(code);
    }
    require("node:fs").rmSync(process.env.VPROCFS_TEST_UNANSWERED, { force: true });
  }
  exitNow(0);
`;

it.runIf(process.getuid?.() === 0)("listens when the kernel answers after all", async () => {
  const directory = mkdtempSync(join(tmpdir(), "vprocfs-watcher-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const unanswered = join(directory, "unanswered");
  writeFileSync(unanswered, "");
  const addon = nativeCandidates("vprocfs.node").find(existsSync) ?? "";
  const { stdout, stderr } = await withPreload(
    "nolog",
    { VPROCFS_TEST_UNANSWERED: unanswered },
    async () => runSync([process.execPath, "-e", UNANSWERED, addon]),
  );
  expect([stdout, stderr]).toEqual(["EOPNOTSUPP\nlistens\n", ""]);
});

/** Ends as Node does by itself, while its watches are there. */
const ENDING = `
  const { Watch } = require(process.argv[1]);
  const watches = Array.from({ length: 20 }, () => new Watch(() => {}));
  watches.forEach((watch) => watch.start());
`;

it.runIf(process.getuid?.() === 0)("a program with watches may end by itself", () => {
  const addon = nativeCandidates("vprocfs.node").find(existsSync) ?? "";
  const { status, stderr } = runSync([process.execPath, "-e", ENDING, addon]);
  expect([status, stderr]).toEqual([0, ""]);
});
