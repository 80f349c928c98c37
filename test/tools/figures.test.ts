// What the process that serves tells operators' commands, on its socket.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createConnection } from "node:net";
import { basename, dirname } from "node:path";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Companion } from "../../src/daemon.js";
import type { CountedContainer, Engine } from "../../src/engine/engine.js";
import { askFigures, figuresCompanion, figuresSocketOf } from "../../src/figures.js";
import { testName } from "../support/names.js";
import { until } from "../support/wait.js";

const log = pino({ level: "silent" });

/** An engine that counts as many requests as an id is long, of those whose inits are known. */
function engine(): Engine {
  const use = { used: 3, limit: 10, tenantLimit: 5, refused: 2, short: 1 };
  return {
    containers: async (those: readonly CountedContainer[]) =>
      those
        .filter(({ init = 0 }) => init > 0)
        .map(({ id }) => ({ id, requests: id.length, load: [0.5, 0, 0] })),
    counters: () => ({ resources: { open_files: use } }),
    features: () => ({
      kernelLogMissing: ["process connector: none"],
      kernelLogProblem: "/dev/kmsg: EACCES",
    }),
  } as unknown as Engine;
}

/** As operator-socket.ts: how long after a failure it is tried again, ms. */
const AGAIN_MS = 5000;

describe.runIf(process.getuid?.() === 0)("figures of a daemon", () => {
  let mountpoint: string;
  let started: Companion[];
  const companionOf = (version: string): Companion => {
    const binding = { version, openat2Error: () => 0 };
    const metrics = "127.0.0.1:9761";
    const companion = figuresCompanion({
      ...{ mountpoint, binding, metrics, replaceLxcfs: true, attaching: undefined, log },
      metricsState: async () => ({ problem: "the address is in use", isPending: false }),
    });
    companion.start(engine());
    return companion;
  };
  const start = async (version: string): Promise<Companion> => {
    const companion = companionOf(version);
    started.push(companion);
    await until("it answers", async () => (await askFigures(mountpoint))?.version === version);
    return companion;
  };

  beforeEach(() => {
    mountpoint = `/${testName("figures-")}`;
    mkdirSync(dirname(figuresSocketOf(mountpoint)), { recursive: true, mode: 0o700 });
    started = [];
  });
  afterEach(async () => {
    for (const companion of started) {
      await companion.stop(true);
    }
  });

  it("are told later where the socket cannot be made at first", async () => {
    const path = figuresSocketOf(mountpoint);
    const inTheWay = `${path}.${process.pid.toString(36).toUpperCase()}`;
    mkdirSync(inTheWay);
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const answers = start("1.2.3");
    expect(await askFigures(mountpoint)).toBeUndefined();
    vi.advanceTimersByTime(AGAIN_MS);
    rmdirSync(inTheWay);
    vi.advanceTimersByTime(AGAIN_MS);
    vi.useRealTimers();
    await answers;
    expect(readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path)))).toEqual([
      basename(path),
    ]);
  });

  it("are told later also where an earlier worker has left the place meanwhile", async () => {
    const path = figuresSocketOf(mountpoint);
    const inTheWay = `${path}.${process.pid.toString(36).toUpperCase()}`;
    mkdirSync(inTheWay);
    writeFileSync(path, "");
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    started.push(companionOf("1.2.3"));
    rmSync(path);
    rmdirSync(inTheWay);
    vi.advanceTimersByTime(AGAIN_MS);
    vi.useRealTimers();
    await until("it answers", async () => (await askFigures(mountpoint))?.version === "1.2.3");
  });

  it("leave the place to a later worker that has taken it", async () => {
    const path = figuresSocketOf(mountpoint);
    const inTheWay = `${path}.${process.pid.toString(36).toUpperCase()}`;
    mkdirSync(inTheWay);
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    started.push(companionOf("1.2.3"));
    rmdirSync(inTheWay);
    writeFileSync(path, "");
    vi.advanceTimersByTime(AGAIN_MS);
    vi.useRealTimers();
    expect(existsSync(inTheWay)).toBe(false);
    expect(statSync(path).isFile()).toBe(true);
  });

  it("are those of the containers that were named, and of what all share", async () => {
    await start("1.2.3");
    const those = [
      { id: "abc", init: 7 },
      { id: "de", init: 8 },
    ];
    expect(await askFigures(mountpoint, those)).toEqual({
      version: "1.2.3",
      pid: process.pid,
      kernelLog: false,
      replaceLxcfs: true,
      metrics: "127.0.0.1:9761",
      watchProblem: "",
      kernelLogMissing: ["process connector: none"],
      kernelLogProblem: "/dev/kmsg: EACCES",
      callsProblem: "",
      metricsProblem: "the address is in use",
      metricsPending: false,
      resources: { open_files: { used: 3, limit: 10, refused: 2, short: 1 } },
      containers: { abc: { requests: 3, load: 0.5 }, de: { requests: 2, load: 0.5 } },
    });
  });

  it("are told also where the mount point's name takes all the room that a socket's path has", async () => {
    mountpoint = `${mountpoint}-`.padEnd(81, "x");
    const { pid } = process;
    Object.defineProperty(process, "pid", { value: 4_194_303 });
    onTestFinished(() => void Object.defineProperty(process, "pid", { value: pid }));
    await start("1");
    expect(figuresSocketOf(mountpoint)).toHaveLength("/run/vprocfs/.figures".length + 80);
  });

  it("are for root only", async () => {
    await start("1");
    expect(statSync(figuresSocketOf(mountpoint)).mode & 0o777).toBe(0o600);
  });

  it("are not known where nobody serves", async () => {
    expect(await askFigures(mountpoint)).toBeUndefined();
  });

  it("come from the next worker while the one before ends", async () => {
    const before = await start("1");
    await start("2");
    await before.stop(false);
    expect((await askFigures(mountpoint))?.version).toBe("2");
  });

  it("leave nothing behind", async () => {
    const companion = await start("1");
    await companion.stop(true);
    const path = figuresSocketOf(mountpoint);
    expect(existsSync(path)).toBe(false);
    const names = readdirSync(dirname(path)).filter((name) =>
      `/run/vprocfs/${name}`.startsWith(path),
    );
    expect(names).toEqual([]);
  });

  it("are not for questions that make no sense", async () => {
    await start("1");
    const socket = createConnection(figuresSocketOf(mountpoint));
    const ended = new Promise<string>((resolve) => {
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString();
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(text));
    });
    socket.end("{nonsense");
    expect(await ended).toBe("");
    expect((await askFigures(mountpoint))?.version).toBe("1");
  });
});
