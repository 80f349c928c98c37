// Containers that are frozen for a suspend, on recorded cgroups: whose freezer it is, what is recorded.

import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Logger, pino } from "pino";
import { beforeEach, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import type { Mount } from "../../src/mountinfo.js";
import {
  ancestorsOf,
  type Freezer,
  freezerAt,
  freezerOf,
  isFreezeRequested,
  isFrozen,
  setFrozen,
} from "../../src/sleep/freezer.js";
import { sleepGuard } from "../../src/sleep/guard.js";
import {
  hasRecords,
  isRecorded,
  recorded,
  recordFrozen,
  thawRecorded,
} from "../../src/sleep/record.js";
import { temporaryDirectory } from "../support/daemon.js";
import { fileScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const scope = fileScope();
const INIT = 4711;
let root: string;
let procfs: string;

function put(path: string, text: string): void {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), text);
}

function mount(fsType: string, mountpoint: string, ...superOptions: string[]): Mount {
  const place = { id: 1, parentId: 1, device: "0:1", root: "/", source: fsType };
  return { ...place, fsType, mountpoint: join(root, mountpoint), superOptions };
}

function isIn(pid: number, ...lines: string[]): void {
  put(`proc/${pid}/cgroup`, `${lines.join("\n")}\n`);
}

function v2(path: string, frozen = 0): string {
  put(`unified${path}/cgroup.freeze`, `${frozen}\n`);
  put(`unified${path}/cgroup.events`, `populated 1\nfrozen ${frozen}\n`);
  return join(root, `unified${path}/cgroup.freeze`);
}

function v1(path: string): string {
  put(`freezer${path}/freezer.state`, "THAWED\n");
  put(`freezer${path}/freezer.self_freezing`, "0\n");
  return join(root, `freezer${path}/freezer.state`);
}

let mounts: Mount[];
const controlOf = (cgroup: string, excluded: readonly number[] = []): string | undefined =>
  freezerOf({ init: INIT, cgroup }, mounts, excluded, procfs)?.control;

beforeEach(() => {
  root = temporaryDirectory(scope, "sleep");
  procfs = join(root, "proc");
  mounts = [mount("cgroup2", "unified"), mount("cgroup", "freezer", "rw", "freezer")];
});

describe("the freezer of a container", () => {
  it("is that of its cgroup2 directory, wherever its init has gone below it", () => {
    const control = v2("/web1");
    v2("/web1/init.scope");
    isIn(INIT, "0::/web1/init.scope", "5:freezer:/web1");
    v1("/web1");
    expect(controlOf("/web1")).toBe(control);
  });

  it("is v1's where it has no cgroup2 directory of its own", () => {
    const control = v1("/docker/a:b");
    v2("/");
    isIn(INIT, "0::/", "7:memory:/docker/a:b", "5:freezer:/docker/a:b");
    expect(controlOf("/docker/a:b")).toBe(control);
    mounts = mounts.slice(0, 1);
    expect(controlOf("/docker/a:b")).toBeUndefined();
  });

  it("is none of a cgroup in which others live that must not be frozen", () => {
    v2("/user.slice/session");
    v1("/");
    isIn(INIT, "0::/user.slice/session", "5:freezer:/");
    isIn(1, "0::/init.scope", "5:freezer:/");
    isIn(70, "0::/user.slice/session/deep", "5:freezer:/");
    isIn(71, "0::/user.slice/session2", "5:freezer:/");
    expect(controlOf("/user.slice/session", [1, 71])).toMatch(/session\/cgroup\.freeze$/);
    expect(controlOf("/user.slice/session", [1, 70])).toBeUndefined();
    // Nor of one in which nobody lives, of the root, or of what is not below the mount.
    put("unified/user.slice/session/cgroup.events", "populated 0\nfrozen 0\n");
    expect(controlOf("/user.slice/session", [1])).toBeUndefined();
    expect(controlOf("/")).toBeUndefined();
    v2("/../elsewhere");
    expect(controlOf("/../elsewhere")).toBeUndefined();
    rmSync(join(procfs, `${INIT}`), { recursive: true });
    expect(controlOf("/user.slice/session")).toBeUndefined();
  });

  it("is none of a cgroup2 directory in which a runtime and all that it has started live", () => {
    v2("/system.slice/containerd.service");
    const control = v1("/docker/a");
    isIn(INIT, "0::/system.slice/containerd.service", "5:freezer:/docker/a");
    expect(controlOf("/docker/a")).toBe(control);
    mounts = mounts.slice(0, 1);
    expect(controlOf("/docker/a")).toBeUndefined();
  });

  it("is that of v1's own path where paths differ, but not with whoever has started it", () => {
    const control = v1("/other/a");
    isIn(INIT, "0::/", "7:memory:/docker/a", "5:freezer:/other/a");
    put(`proc/${INIT}/stat`, `${INIT} (init) S 40 1 1`);
    put("proc/40/stat", "40 (shim) S 1 1 1");
    isIn(40, "0::/", "5:freezer:/other");
    expect(controlOf("/docker/a")).toBe(control);
    isIn(40, "0::/", "5:freezer:/other/a");
    expect(controlOf("/docker/a")).toBeUndefined();
  });

  it("is each container's own where they share a PID namespace", () => {
    v2("/pod/pause");
    const control = v2("/pod/app");
    isIn(INIT, "0::/pod/pause");
    expect(controlOf("/pod/app")).toBe(control);
  });

  it("is written to only while it is the same cgroup", () => {
    const freezer = freezerAt(v2("/web1"));
    if (freezer === undefined) {
      throw new Error("none");
    }
    expect([isFreezeRequested(freezer), isFrozen(freezer)]).toEqual([false, false]);
    expect(setFrozen(freezer, true)).toBe(true);
    expect(isFreezeRequested(freezer)).toBe(true);
    expect(setFrozen({ ...freezer, inode: freezer.inode + 1n }, false)).toBe(false);
    expect(readFileSync(freezer.control, "utf8")[0]).toBe("1");
    rmSync(join(root, "unified/web1"), { recursive: true });
    expect(setFrozen(freezer, false)).toBe(false);
    // What is gone holds up nobody.
    expect(isFrozen(freezer)).toBe(true);
  });

  it("spares all that wait for a process", () => {
    put("proc/30/stat", "30 (a) b) c) S 20 30 30");
    put("proc/20/stat", "20 (sh) S 1 20 20");
    put("proc/1/stat", "1 (init) S 0 1 1");
    expect(ancestorsOf(30, procfs)).toEqual([30, 20, 1]);
    expect(ancestorsOf(99, procfs)).toEqual([99]);
  });
});

describe("the record of frozen containers", () => {
  const record = (): string => join(root, "run/frozen");

  function frozenAt(control: string): Freezer {
    const freezer = freezerAt(control);
    if (freezer === undefined) {
      throw new Error("none");
    }
    return freezer;
  }

  function freeze(path: string): string {
    const control = v2(path, 1);
    recordFrozen(record(), frozenAt(control));
    return control;
  }

  it("has all that are to be thawed, whatever else is in it", () => {
    expect(recorded(record())).toEqual([]);
    const names = ["/a b", "/c\\x2dd", "/e\rf\u2028g\u2029"];
    const controls = names.map(freeze);
    writeFileSync(record(), "torn\n12\n3 relative\n", { flag: "a" });
    expect(recorded(record()).map(({ control }) => control)).toEqual(controls);
    rmSync(join(root, "unified/a b"), { recursive: true });
    expect(thawRecorded(record())).toBe(2);
    expect(controls.slice(1).map((one) => readFileSync(one, "utf8")[0])).toEqual(["0", "0"]);
    expect(thawRecorded(record())).toBe(0);
  });

  it("has what was recorded after a line that was torn, and no other cgroup of that name", () => {
    const freezer = frozenAt(v2("/web1", 1));
    mkdirSync(join(root, "run"));
    writeFileSync(record(), "12");
    recordFrozen(record(), freezer);
    expect(recorded(record())).toEqual([freezer]);
    expect(isRecorded(record(), freezer)).toBe(true);
    expect(isRecorded(record(), { ...freezer, inode: freezer.inode + 1n })).toBe(false);
  });

  it("is what somebody left who did not come to the end of thawing, too", () => {
    const first = freeze("/first");
    renameSync(record(), `${record()}.taken`);
    const second = freeze("/second");
    expect(thawRecorded(record())).toBe(2);
    expect([first, second].map((control) => readFileSync(control, "utf8")[0])).toEqual(["0", "0"]);
    expect(hasRecords(record())).toBe(false);
  });

  it("keeps those that cannot be thawed, and thaws all others", () => {
    const bad = freeze("/bad");
    const good = freeze("/good");
    // A write to it fails, whoever writes.
    rmSync(bad);
    mkdirSync(bad);
    expect(() => thawRecorded(record())).toThrow(/EISDIR/);
    expect(readFileSync(good, "utf8")[0]).toBe("0");
    expect(readdirSync(join(root, "run"))).toHaveLength(1);
    rmSync(bad, { recursive: true });
    expect(thawRecorded(record())).toBe(1);
    expect(hasRecords(record())).toBe(false);
  });

  it("is done with by whoever serves: at the start, in time, and at the end", async () => {
    const log: Logger = pino({ level: "silent" });
    const engine = {} as Engine;
    const state = (control: string) => readFileSync(control, "utf8")[0];
    const first = freeze("/first");
    const guard = sleepGuard(log, record(), 1);
    guard.start(engine);
    expect(state(first)).toBe("0");
    const second = freeze("/second");
    await until("it is thawed after the longest time", () => state(second) === "0");
    await guard.stop(false);
    const patient = sleepGuard(log, record(), 2 ** 30);
    patient.start(engine);
    const third = freeze("/third");
    await patient.stop(false);
    expect(state(third)).toBe("1");
    await sleepGuard(log, record(), 2 ** 30).stop(true);
    expect(state(third)).toBe("0");
  });

  it("is done with where whoever took it to thaw them was killed", async () => {
    const guard = sleepGuard(pino({ level: "silent" }), record(), 1);
    mkdirSync(join(root, "run"));
    guard.start({} as Engine);
    const control = freeze("/web1");
    renameSync(record(), `${record()}.taken`);
    await until("it is thawed", () => readFileSync(control, "utf8")[0] === "0");
    await guard.stop(false);
  });

  it("is done with in time also where the kernel cannot be asked to tell of it", async () => {
    const records: Record<string, unknown>[] = [];
    const log = pino({ level: "warn" }, { write: (line) => records.push(JSON.parse(line)) });
    // A directory that cannot be made, and that is there later.
    symlinkSync(join(root, "later"), join(root, "run"));
    const guard = sleepGuard(log, record(), 1, 1);
    guard.start({} as Engine);
    expect(records.map(({ msg }) => msg)).toEqual([
      "cannot watch for containers left frozen by a suspend: looking from time to time",
    ]);
    mkdirSync(join(root, "later"));
    const control = freeze("/web1");
    await until("it is thawed", () => readFileSync(control, "utf8")[0] === "0");
    await guard.stop(false);
  });

  it("is tried again and again where one cannot be thawed", async () => {
    let errors = 0;
    const log = pino({ level: "error" }, { write: () => (errors += 1) });
    const guard = sleepGuard(log, record(), 1);
    const control = freeze("/web1");
    rmSync(control);
    mkdirSync(control);
    guard.start({} as Engine);
    await until("it has failed some times", () => errors > 2);
    rmSync(control, { recursive: true });
    v2("/web1", 1);
    await until("it is thawed", () => readFileSync(control, "utf8")[0] === "0");
    await until("it is forgotten", () => !hasRecords(record()));
    await guard.stop(false);
  });
});
