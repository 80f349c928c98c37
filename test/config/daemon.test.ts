import { EventEmitter } from "node:events";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type Companion, serve } from "../../src/daemon.js";
import { nativeEngine } from "../../src/engine/native.js";
import { createLogger } from "../../src/log.js";
import { FakeSession } from "../support/fake-binding.js";
import { until } from "../support/wait.js";

const OPTIONS = {
  mountpoint: "/mnt",
  fsType: "fuse.lxcfs",
  source: "vprocfs",
  maxThreads: 4,
  maxOpenPerContainer: 100,
  rendersPerSecond: 0,
  maxCpuPerContainer: 0,
  consistency: "exact",
  tickMs: 10,
  maxTriggersPerContainer: 32,
  bpf: "auto",
} as const;

function daemon(
  change: (session: FakeSession) => void = () => {},
  unmount = true,
  more: Partial<Parameters<typeof serve>[0]> = {},
) {
  const signals = new EventEmitter();
  const records: Record<string, unknown>[] = [];
  const sessions: FakeSession[] = [];
  class Session extends FakeSession {
    constructor(options: FakeSession["options"]) {
      super(options);
      change(this);
      sessions.push(this);
    }
  }
  const log = createLogger("debug", "json", {
    write: (record) => {
      records.push(JSON.parse(record));
    },
  });
  const status = serve({
    engine: nativeEngine({ Session }),
    options: OPTIONS,
    log,
    unmount: () => unmount,
    signals,
    ...more,
  });
  return { signals, records, status, session: sessions[0] };
}

describe("serve", () => {
  it("passes its options on and says in one line that it serves", async () => {
    const { signals, records, session, status } = daemon();
    expect(session?.options).toMatchObject(OPTIONS);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ level: "info", msg: "serving", mountpoint: "/mnt" });
    signals.emit("SIGTERM", "SIGTERM");
    await status;
  });

  it("says of a worker that it serves only once the keeper has told it to", async () => {
    const inherit = { controlFd: 3, fuseFd: 4, stateFd: 5 };
    const { signals, records, session, status } = daemon(
      (one) => {
        one.start = () => {};
      },
      true,
      { options: { ...OPTIONS, inherit } },
    );
    const said = () => records.map(({ msg }) => msg);
    expect(said()).toEqual(["ready, serves as soon as the keeper tells it to"]);
    session?.options.onServing();
    expect(said().slice(1)).toEqual(["serving"]);
    signals.emit("SIGTERM", "SIGTERM");
    await status;
  });

  it("starts what others rely on when a worker serves, the rest a little later, and each once", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const calls: string[] = [];
    const companion = (name: string): Companion => ({
      start: () => calls.push(`start ${name}`),
      stop: async () => void calls.push(`stop ${name}`),
    });
    const companions = [companion("first"), { ...companion("awaited"), isAwaited: true }];
    const inherit = { controlFd: 3, fuseFd: 4, stateFd: 5 };
    const options = { ...OPTIONS, inherit };
    const rested = daemon(() => {}, true, { options, companions });
    expect(calls).toEqual(["start awaited"]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(calls).toEqual(["start awaited", "start first"]);
    rested.signals.emit("SIGTERM", "SIGTERM");
    await rested.status;
    expect(calls.slice(2)).toEqual(["stop awaited", "stop first"]);
    calls.length = 0;
    const hurried = daemon(() => {}, true, { options, companions });
    hurried.signals.emit("SIGTERM", "SIGTERM");
    await hurried.status;
    expect(calls).toEqual(["start awaited", "start first", "stop awaited", "stop first"]);
  });

  it("asks once a second which containers show more CPUs, however often it is told of some", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const told: (readonly string[])[] = [];
    const companion: Companion = {
      start: () => {},
      stop: async () => {},
      moreCpus: (ids) => told.push(ids),
    };
    let noted: string[] = [];
    const take = (session: FakeSession): void => {
      session.moreCpus = () => noted.splice(0);
    };
    const { signals, session, status } = daemon(take, true, { companions: [companion] });
    // It is told only where there was none.
    const note = (id: string): void => {
      noted = [...new Set([...noted, id])];
      if (noted.length === 1) {
        session?.options.onMoreCpus();
      }
    };
    for (let ms = 0; ms < 3000; ms += 10) {
      note("1");
      note("2");
      vi.advanceTimersByTime(10);
    }
    expect(told.length).toBeLessThanOrEqual(3);
    expect(told[0]).toEqual(["1", "2"]);
    vi.useRealTimers();
    signals.emit("SIGTERM", "SIGTERM");
    await status;
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"])("unmounts and ends with 0 on %s", async (signal) => {
    const { signals, session, status } = daemon();
    signals.emit(signal, signal);
    signals.emit(signal, signal);
    expect(await status).toBe(0);
    expect(session?.calls).toEqual(["start", "stop true"]);
    expect(signals.eventNames()).toEqual([]);
  });

  it("goes on to its end when companions fail there, and says why", async () => {
    const done: string[] = [];
    const companion = (name: string, fails: boolean): Companion => {
      const note = (what: string): void => {
        done.push(`${what} ${name}`);
        if (fails) {
          throw new Error(`EROFS: ${what} ${name}`);
        }
      };
      return {
        start: () => {},
        stop: async () => note("stop"),
        unmounted: async () => note("unmounted"),
      };
    };
    const companions = [companion("a", false), companion("b", true)];
    const { signals, records, session, status } = daemon(() => {}, true, { companions });
    signals.emit("SIGTERM", "SIGTERM");
    expect(await status).toBe(0);
    expect(done).toEqual(["stop b", "stop a", "unmounted a", "unmounted b"]);
    expect(session?.calls).toEqual(["start", "stop true"]);
    const errors = records.filter(({ level }) => level === "error").map(({ error }) => error);
    expect(errors).toEqual(["EROFS: stop b", "EROFS: unmounted b"]);
  });

  it("leaves the mount alone when it is not its business", async () => {
    const { signals, session, status } = daemon(() => {}, false);
    signals.emit("SIGTERM", "SIGTERM");
    expect(await status).toBe(0);
    expect(session?.calls).toEqual(["start", "stop false"]);
  });

  it("warns about a lazy unmount", async () => {
    const { signals, records, status } = daemon((session) => {
      session.lazy = true;
    });
    signals.emit("SIGTERM", "SIGTERM");
    expect(await status).toBe(0);
    expect(records.at(-1)).toMatchObject({ level: "warn" });
  });

  it.each([undefined, true, false])(
    "says what the host lacks for kernel logs unless an earlier worker has (first: %s)",
    async (first) => {
      const lacks = (session: FakeSession) => {
        const features = session.features.bind(session);
        session.features = () => ({
          ...features(),
          kernelLogProblem: "/dev/kmsg: none",
          kernelLogMissing: ["bpf: none"],
        });
      };
      const isFirst = async () => first === true;
      const more = first === undefined ? {} : { isFirst };
      const { signals, records, status } = daemon(lacks, true, more);
      signals.emit("SIGTERM", "SIGTERM");
      expect(await status).toBe(0);
      const warned = records.filter(({ level }) => level === "warn").map(({ reason }) => reason);
      expect(warned).toEqual(first === false ? [] : ["/dev/kmsg: none", "bpf: none"]);
    },
  );

  it("waits with that until it is known", async () => {
    let kernelLogMissing: string[] | null = null;
    const unknown = (session: FakeSession) => {
      const features = session.features.bind(session);
      session.features = () => ({ ...features(), kernelLogMissing });
    };
    const { signals, records, session, status } = daemon(unknown);
    const said = () => records.filter(({ reason }) => reason === "printk: late").length;
    session?.options.onFeatures();
    expect(said()).toBe(0);
    kernelLogMissing = ["printk: late"];
    session?.options.onFeatures();
    session?.options.onFeatures();
    await until("it is said", () => said() > 0);
    signals.emit("SIGTERM", "SIGTERM");
    expect(await status).toBe(0);
    expect(said()).toBe(1);
  });

  it("says when it begins to answer system calls, and each time that it cannot", async () => {
    let callsProblem = "lxc.sock: in use";
    const { signals, records, session, status } = daemon((one) => {
      const features = one.features.bind(one);
      one.features = () => ({ ...features(), callsProblem });
      // Of a time when features tell of nothing yet.
      one.start = () => {
        one.options.onFeatures();
        one.options.onServing();
      };
    });
    const said = () =>
      records.map(({ msg }) => msg).filter((msg) => String(msg).includes("system calls"));
    const cannot = "not answering system calls of containers";
    const can = "answering system calls of containers from now on";
    session?.options.onFeatures();
    expect(said()).toEqual([cannot]);
    callsProblem = "";
    session?.options.onFeatures();
    session?.options.onFeatures();
    expect(said()).toEqual([cannot, can]);
    callsProblem = "lxc.sock: too long";
    session?.options.onFeatures();
    expect(said()).toEqual([cannot, can, cannot]);
    signals.emit("SIGTERM", "SIGTERM");
    expect(await status).toBe(0);
  });

  it("ends with 1 when the connection ends", async () => {
    const { records, session, status } = daemon();
    session?.options.onEnd("unmounted");
    expect(await status).toBe(1);
    expect(records.at(-1)).toMatchObject({ level: "error", reason: "unmounted" });
    expect(session?.calls.at(-1)).toMatch(/^stop/);
  });

  it("ends with 1 when stopping fails", async () => {
    const { signals, records, status } = daemon((session) => {
      session.stopError = new Error("EBUSY");
    });
    signals.emit("SIGTERM", "SIGTERM");
    expect(await status).toBe(1);
    expect(records.at(-1)).toMatchObject({ level: "error", error: "EBUSY" });
  });

  it("throws what start() throws and listens no longer", async () => {
    const { signals, status } = daemon((session) => {
      session.startError = Object.assign(new Error("mount: EBUSY"), { code: "EBUSY" });
    });
    await expect(status).rejects.toThrow("EBUSY");
    expect(signals.eventNames()).toEqual([]);
  });
});
