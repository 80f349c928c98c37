// Keepers end, and others go on with what the service manager kept for them.

import { spawn } from "node:child_process";
import { existsSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { errnoOf } from "../../src/errors.js";
import { polledMountpointOf } from "../../src/polled.js";
import { asService, emptyRestGroups, serviceProcesses } from "../support/calls.js";
import { MIB } from "../support/cgroups.js";
import { haveProgram, outputSync } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { temporaryDirectory } from "../support/daemon.js";
import { follow } from "../support/follow.js";
import { Managed } from "../support/managed.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { isTraced } from "../support/proc.js";
import { program } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { inLong, itLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import {
  FREEZER,
  makeFreezer,
  Storm,
  type StormResult,
  stopped,
  workersOf,
} from "./never-down-support.js";

/** SIGRTMIN: end for the next keeper to go on. */
const LEAVE = 34;

/** Sends to a datagram socket until there is no room. */
const FILL = `
import socket, sys
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.setblocking(False)
try:
    while True:
        to.sendto(b"STATUS=", sys.argv[1])
except BlockingIOError:
    pass
`;

const ROUNDS = inLong(2, 40);

/** What both connections have in the store, and the keeper itself. */
const KEPT = [
  ...["fuse-0-0", "fuse-1-0", "launch-0-0", "memo-0-0"],
  ...["refusal-0-0", "refusal-1-0", "state-0-0", "state-1-0"],
];

const REFUSING = "status no worker serves, readers get an error";

describeLive("a keeper whose service manager keeps descriptors", ["g++", "python3"], () => {
  async function underLoad(
    managed: Managed,
    disturb: (storm: Storm) => Promise<void>,
  ): Promise<StormResult> {
    const scope = testScope();
    const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(managed) });
    const storm = await Storm.start(scope, container, "", 4);
    await disturb(storm);
    return storm.end();
  }

  /** Has the manager read nothing more, with no room for another message. */
  function stopReading(scope: Scope, managed: Managed, keeperPid: number): void {
    process.kill(managed.pid, "SIGSTOP");
    scope.defer(() => void process.kill(managed.pid, "SIGCONT"));
    const environment = readFileSync(`/proc/${keeperPid}/environ`, "latin1").split("\0");
    const notify = environment.find((variable) => variable.startsWith("NOTIFY_SOCKET="));
    outputSync(["python3", "-c", FILL, notify?.slice("NOTIFY_SOCKET=".length) ?? ""]);
  }

  function expectWhole(result: StormResult): void {
    expect(result.failures).toEqual({});
    expect(result.inFlight).toEqual({});
    expect(result.hung).toBe(0);
    expect(result.reads).toBeGreaterThan(100);
  }

  it("is followed by one that goes on with its mount when it is killed", async () => {
    const managed = await Managed.start(testScope(), []);
    expect(managed.stored.toSorted()).toEqual(KEPT);
    const { device } = managed;
    const first = await managed.serving();
    const result = await underLoad(managed, async () => {
      let before = first;
      for (let i = 0; i < ROUNDS; i += 1) {
        await pause(300 + Math.random() * 300);
        process.kill(before.keeperPid, "SIGKILL");
        before = await managed.serving(before.keeperPid);
      }
    });
    expectWhole(result);
    const last = await managed.serving();
    expect(managed.device).toBe(device);
    expect(last.generation).toBeGreaterThan(first.generation);
    expect(last.uptimeMs).toBeGreaterThan(ROUNDS * 300);
    // A worker tells how many it has answered at its next beat, which none of the killed ones reached.
    await until("requests are counted", async () => {
      return (await managed.serving()).requests > first.requests;
    });
  });

  it("leaves the mount to the next one at a restart, and takes it away at a stop", async () => {
    const managed = await Managed.start(testScope(), []);
    const { device } = managed;
    const result = await underLoad(managed, async () => {
      let before = await managed.serving();
      for (let i = 0; i < ROUNDS; i += 1) {
        await pause(300);
        managed.tell("restart");
        before = await managed.serving(before.keeperPid);
      }
    });
    expectWhole(result);
    expect(managed.device).toBe(device);
    managed.tell("stop");
    await managed.ended();
    expect(managed.isMounted).toBe(false);
  });

  it("has the sockets of system calls with it", async () => {
    const scope = testScope();
    const calls = temporaryDirectory(scope, "calls");
    const managed = await Managed.start(scope, ["--calls-directory", calls]);
    const first = await managed.serving();
    expect(first).toMatchObject({ descriptors: 3, stored: KEPT.length + 3 });
    const socket = readFileSync("/proc/net/unix", "utf8").match(
      new RegExp(`\\d+ ${calls}/.*`, "g"),
    );
    process.kill(first.keeperPid, "SIGKILL");
    const next = await managed.serving(first.keeperPid);
    expect(next).toMatchObject({ descriptors: 3, stored: KEPT.length + 3 });
    // The same ones: who had connected to them has not been turned away.
    expect(
      readFileSync("/proc/net/unix", "utf8").match(new RegExp(`\\d+ ${calls}/.*`, "g")),
    ).toEqual(socket);
  });

  /** A keeper that is told to leave when its manager, which reads nothing, lacks one descriptor. */
  async function leaveBusy() {
    const scope = testScope();
    const calls = temporaryDirectory(scope, "calls");
    const managed = await Managed.start(scope, ["--calls-directory", calls]);
    const { device } = managed;
    const first = await managed.serving();
    const given = KEPT.length + first.descriptors;
    expect(first).toMatchObject({ stored: given });
    stopReading(scope, managed, first.keeperPid);
    // A runtime that is about to hand a listener over.
    const runtime = createConnection(join(calls, "oci.sock"));
    scope.defer(() => void runtime.destroy());
    await until("the keeper has it", async () => {
      const now = await managed.serving();
      return now.descriptors === first.descriptors + 1 && now.stored === given;
    });
    process.kill(first.keeperPid, LEAVE);
    await until("it leaves", () => managed.logs.includes("leaving the mount to the next keeper"));
    const nextServes = async () => {
      managed.tell("restart");
      process.kill(managed.pid, "SIGCONT");
      const next = await managed.serving(first.keeperPid);
      expect(managed.device).toBe(device);
      return next;
    };
    const { keeperPid, descriptors } = first;
    return { managed, keeperPid, nextServes, stored: given, descriptors };
  }

  it("waits until a manager that is busy has taken what came last", async () => {
    const { nextServes, stored, descriptors } = await leaveBusy();
    expect(await nextServes()).toMatchObject({
      descriptors: descriptors + 1,
      stored: stored + 1,
    });
  });

  itLong("gives a manager that stood still with it as long as before", async () => {
    const { keeperPid, nextServes, stored, descriptors } = await leaveBusy();
    const rounds = () =>
      Number(/^voluntary.*\t(\d+)$/m.exec(readFileSync(`/proc/${keeperPid}/status`, "utf8"))?.[1]);
    process.kill(keeperPid, "SIGSTOP");
    // Longer than it waits for a manager.
    await pause(16_000);
    const before = rounds();
    process.kill(keeperPid, "SIGCONT");
    await until("it has looked", () => rounds() > before + 2);
    expect(await nextServes()).toMatchObject({
      descriptors: descriptors + 1,
      stored: stored + 1,
    });
  });

  itLong("leaves the mount though its manager never takes what came last", async () => {
    const { managed, nextServes, stored, descriptors } = await leaveBusy();
    await until("it has left", () => managed.logs.includes("does not take all descriptors"));
    expect(await nextServes()).toMatchObject({ descriptors, stored });
  });

  it("has a manager that is busy keep one of a name only", async () => {
    const scope = testScope();
    const managed = await Managed.start(scope, []);
    const first = await managed.serving();
    stopReading(scope, managed, first.keeperPid);
    outputSync(["umount", "--lazy", polledMountpointOf(managed.mountpoint)]);
    await until("it is mounted again", () => managed.logs.includes("mounting it again"));
    await until("a worker has it", async () => {
      return (await managed.serving()).generation > first.generation;
    });
    process.kill(managed.pid, "SIGCONT");
    await until("the manager has it", () => managed.stored.length === KEPT.length + 3);
    const polled = managed.events.filter((line) => line.endsWith(" fuse-1-0"));
    expect(polled.map((line) => line.split(" ")[0])).toEqual(["stored", "removed", "stored"]);
    // What it has under one name, and is given under another before that is removed, it would lose.
    const last = managed.events.filter((line) => /^(stored|removed) /.test(line)).slice(-6);
    expect(last.map((line) => line.split(" ")[0])).toEqual([
      ...["removed", "removed", "removed"],
      ...["stored", "stored", "stored"],
    ]);
  });

  it.runIf(haveProgram("strace"))("tells it again what memory was short for", async () => {
    const scope = testScope();
    const managed = await Managed.start(scope, []);
    const { keeperPid, generation } = await managed.serving();
    const short = ["-e", "trace=sendmsg", "-e", "inject=sendmsg:error=ENOMEM:when=1..6"];
    const tracer = spawn("strace", ["-qq", "-o", "/dev/null", ...short, "-p", `${keeperPid}`]);
    scope.defer(() => void tracer.kill("SIGKILL"));
    await until("it is short", () => isTraced(`/proc/${keeperPid}`));
    outputSync(["umount", "--lazy", polledMountpointOf(managed.mountpoint)]);
    await until("a worker has it", async () => (await managed.serving()).generation > generation);
    await until("the manager has it", () => managed.stored.length === KEPT.length + 3);
    expect(managed.events.filter((line) => line.startsWith("removed "))).toHaveLength(3);
  });

  it.runIf(existsSync(FREEZER))("leaves no worker behind that its manager waits for", async () => {
    const scope = testScope();
    const managed = await Managed.start(scope, []);
    const { keeperPid, workerPid } = await managed.serving();
    const service = testName("service");
    asService(scope, service, [keeperPid, ...workersOf(keeperPid)]);
    const freezer = makeFreezer(scope, join(FREEZER, testName("nd")));
    freezer.freeze(workerPid);
    managed.tell("restart");
    await until("it has left", () => managed.events.some((line) => line.startsWith("ended ")));
    expect(existsSync(`/proc/${workerPid}`)).toBe(true);
    expect(serviceProcesses(service)).not.toContain(workerPid);
    freezer.thaw();
    await managed.serving(keeperPid);
    await until("its cgroup is gone", () => emptyRestGroups().length === 0);
  });

  // The kernel waits for a grace period with each: seconds for so many.
  it("has its manager not wait until its worker has closed triggers", async () => {
    const TRIGGERS = 256;
    const scope = testScope();
    const managed = await Managed.start(scope, ["--max-triggers-per-container", `${TRIGGERS}`]);
    const { keeperPid, workerPid } = await managed.serving();
    const container = await Container.start(scope);
    const self = await container.output(["readlink", join(managed.mountpoint, "self")]);
    const link = join(managed.mountpoint, self.trim(), "proc/pressure");
    const file = join(readlinkSync(link), "memory");
    const argv = [program("trigger"), "hoard", `${TRIGGERS}`, file, "some 500000 2000000"];
    const hoard = follow(scope, container, argv);
    await until("it has all triggers", () => hoard.text === `${TRIGGERS} 0 0\n`);
    const service = testName("service");
    asService(scope, service, [keeperPid, ...workersOf(keeperPid)]);
    managed.tell("restart");
    await until("it has left", () => managed.events.some((line) => line.startsWith("ended ")));
    expect(existsSync(`/proc/${workerPid}`)).toBe(true);
    expect(serviceProcesses(service)).not.toContain(workerPid);
    await managed.serving(keeperPid);
    await until("it has ended", () => !existsSync(`/proc/${workerPid}`));
    await until("its cgroup is gone", () => emptyRestGroups().length === 0);
  });

  it("mounts anew when the mount that was kept has gone", async () => {
    const managed = await Managed.start(testScope(), []);
    const first = await managed.serving();
    await stopped(first.keeperPid);
    await stopped(first.workerPid);
    outputSync(["umount", "--lazy", managed.mountpoint]);
    process.kill(first.keeperPid, "SIGKILL");
    await managed.serving(first.keeperPid);
    expect(managed.isMounted).toBe(true);
    expect(managed.logs).toContain("not continuing with the earlier mount");
  });

  it("mounts anew when somebody has unmounted what is still used", async () => {
    const scope = testScope();
    const managed = await Managed.start(scope, []);
    const { keeperPid } = await managed.serving();
    const used = join(temporaryDirectory(scope, "used"), "meminfo");
    writeFileSync(used, "");
    outputSync(["mount", "--bind", join(managed.mountpoint, "proc/meminfo"), used]);
    scope.defer(() => outputSync(["umount", "--lazy", used]));
    outputSync(["umount", "--lazy", managed.mountpoint]);
    process.kill(keeperPid, "SIGKILL");
    await managed.serving(keeperPid);
    expect(managed.isMounted).toBe(true);
    expect(managed.logs).toContain("not continuing with the earlier mount: somebody has unmounted");
  });

  it("leaves readers an error, and the mount, while the configuration is wrong", async () => {
    const scope = testScope();
    const config = join(temporaryDirectory(scope, "nd"), "vprocfs.toml");
    writeFileSync(config, "");
    const managed = await Managed.start(scope, ["--config", config]);
    const { device } = managed;
    const first = await managed.serving();
    writeFileSync(config, "no-such-key = 1\n");
    process.kill(first.keeperPid, "SIGKILL");
    await until("readers get an error", () =>
      readFile(join(managed.mountpoint, "proc/meminfo")).then(
        () => false,
        (error: unknown) => errnoOf(error) === "ENOMEM",
      ),
    );
    writeFileSync(config, "");
    // By itself it would be after a while: never-down-damaged.test.ts.
    managed.tell("restart");
    await managed.serving(first.keeperPid);
    expect(managed.device).toBe(device);
    expect(await readFile(join(managed.mountpoint, "proc/meminfo"), "utf8")).toMatch(/^MemTotal:/);
  });

  /** A service whose readers get errors, because the configuration is wrong since a keeper ended. */
  async function refused() {
    const scope = testScope();
    const config = join(temporaryDirectory(scope, "nd"), "vprocfs.toml");
    writeFileSync(config, "");
    const managed = await Managed.start(scope, ["--config", config]);
    const { device } = managed;
    const { keeperPid } = await managed.serving();
    writeFileSync(config, "no-such-key = 1\n");
    process.kill(keeperPid, "SIGKILL");
    await until("readers get errors", () => managed.logs.includes("readers get errors"));
    return { managed, config, device, keeperPid };
  }

  it("is restarted at once, with the mount, when the configuration has been repaired", async () => {
    const { managed, config, device, keeperPid } = await refused();
    writeFileSync(config, "");
    managed.tell("restart");
    await managed.serving(keeperPid);
    // Not only when readers have had errors for so long that systemd is to try again.
    expect(managed.events.filter((line) => line.startsWith("ended"))).toEqual([
      "ended 9",
      "ended 0",
    ]);
    expect(managed.device).toBe(device);
  });

  it("is stopped while the configuration is wrong, and that is no failure", async () => {
    const { managed } = await refused();
    managed.tell("stop");
    await managed.ended();
    expect(managed.isMounted).toBe(false);
    expect(managed.events).toContain("ended 0");
    const removed = managed.events.filter((line) => line.startsWith("removed"));
    expect(removed).toEqual(expect.arrayContaining(["removed fuse-0-0", "removed fuse-1-0"]));
  });

  it("leaves the mount to the next one whatever it is doing when it is restarted", async () => {
    const managed = await Managed.start(testScope(), []);
    const { device } = managed;
    const first = await managed.serving();
    process.kill(first.keeperPid, "SIGHUP");
    await until("it reloads", () => managed.events.some((line) => line === "reloading 1"));
    managed.tell("restart");
    await until("it has begun again", () => managed.events.some((line) => line === "ended 0"));
    // The next one has no worker yet.
    await until("the next one goes on", () => managed.logs.includes("continuing with the mount"));
    managed.tell("restart");
    await managed.serving(first.keeperPid);
    expect(managed.device).toBe(device);
    expect(managed.logs).not.toContain("unmounting");
  });

  /** What starts a service whose workers fail at once as long as `condition` holds, an expression of Node. */
  function failing(scope: Scope, condition: string): string[] {
    const script = join(temporaryDirectory(scope, "nd"), "failing.cjs");
    writeFileSync(script, `if (process.argv[2] === "worker" && (${condition})) process.exit(1);\n`);
    return ["env", `NODE_OPTIONS=--require=${script}`];
  }

  it("says that it is up when it has the mount and its workers fail", async () => {
    const scope = testScope();
    const mark = join(temporaryDirectory(scope, "nd"), "mark");
    const launcher = failing(scope, `require("fs").existsSync("${mark}")`);
    const managed = await Managed.start(scope, ["--patience-ms", "1000"], { launcher });
    const { device } = managed;
    const { keeperPid } = await managed.serving();
    const before = managed.events.length;
    writeFileSync(mark, "");
    process.kill(keeperPid, "SIGKILL");
    await until("it has waited", () => managed.events.includes(REFUSING, before));
    expect(managed.events.slice(before)).toContain("ready 1");
    rmSync(mark);
    await managed.serving(keeperPid);
    expect(managed.device).toBe(device);
  });

  it("does not say so of a mount that nobody has read from yet", async () => {
    const scope = testScope();
    const starts = join(temporaryDirectory(scope, "nd"), "starts");
    // So many that the first ones come within patience, and the last ones after it.
    const managed = await Managed.start(scope, ["--patience-ms", "1000"], {
      launcher: failing(
        scope,
        `require("fs").appendFileSync("${starts}", "."), require("fs").statSync("${starts}").size < 7`,
      ),
    });
    await until("it is ready", () => managed.events.includes("status serving"));
    const refused = managed.events.indexOf(REFUSING);
    const ready = managed.events.indexOf("ready 1");
    expect(refused).toBeGreaterThanOrEqual(0);
    expect(ready).toBeGreaterThan(refused);
    expect(managed.events[ready + 1]).toBe("status serving");
  });

  it("unmounts at a restart when nothing was kept", async () => {
    const managed = await Managed.start(testScope(), [], { limit: 0 });
    const first = await managed.serving();
    managed.tell("restart");
    const next = await managed.serving(first.keeperPid);
    expect(next).toMatchObject({ generation: 1, restarts: 0 });
    expect(managed.logs).not.toContain("continuing with the mount");
  });
});
