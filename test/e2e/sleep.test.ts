// Containers stand still while the node sleeps, whoever dies meanwhile.

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { defaultOf } from "../../src/config.js";
import { figuresSocketOf } from "../../src/figures.js";
import { readMounts } from "../../src/mountinfo.js";
import type { ContainerInfo } from "../../src/native/binding.js";
import {
  type Freezer,
  freezerOf,
  isFreezeRequested,
  isFrozen,
  setFrozen,
} from "../../src/sleep/freezer.js";
import { freezeContainers } from "../../src/sleep/prepare.js";
import { SLEEP_RECORD, thawRecorded } from "../../src/sleep/record.js";
import { MIB } from "../support/cgroups.js";
import { haveProgram, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, temporaryDirectory, vprocfs, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { OciContainer } from "../support/oci.js";
import { program } from "../support/programs.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter, statusOf } from "./never-down-support.js";

withStandby();

const HOOK = join(project, "packaging/systemd/vprocfs-sleep");

async function containerOf(init: number): Promise<ContainerInfo> {
  const { stdout } = await vprocfs("ls", "--json");
  const all: ContainerInfo[] = JSON.parse(`${stdout}`);
  const found = all.find((one) => one.init === init);
  if (found === undefined) {
    throw new Error("there is no such container");
  }
  return found;
}

async function freezerWithin(init: number): Promise<Freezer> {
  const freezer = freezerOf(await containerOf(init), readMounts(), []);
  if (freezer === undefined) {
    throw new Error("it has no freezer");
  }
  return freezer;
}

async function attached(scope: Scope, daemon: Daemon, container: Container): Promise<Freezer> {
  const place = ["--mountpoint", daemon.mountpoint];
  expect((await vprocfs("attach", `${container.init}`, ...place)).status).toBe(0);
  const freezer = await freezerWithin(container.init);
  scope.defer(() => {
    setFrozen(freezer, false);
  });
  return freezer;
}

async function sleep(daemon: Daemon, when: "pre" | "post"): Promise<Record<string, unknown>> {
  const outcome = await vprocfs("sleep", when, "--json", "--mountpoint", daemon.mountpoint);
  expect(outcome.status, outcome.stderr).toBe(0);
  return JSON.parse(`${outcome.stdout}`);
}

/** Which of them are to stand still. */
function states(...freezers: readonly Freezer[]): boolean[] {
  return freezers.map((freezer) => isFreezeRequested(freezer));
}

describeLive("a node that goes to sleep", ["timeout"], () => {
  it("has the containers that have the files frozen meanwhile, and no others", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const [one, two, bare] = await Promise.all(
      ["one", "two", "bare"].map((name) => Container.start(scope, { name, memory: 64 * MIB })),
    );
    if (one === undefined || two === undefined || bare === undefined) {
      throw new Error("no containers");
    }
    const [first, second] = [
      await attached(scope, daemon, one),
      await attached(scope, daemon, two),
    ];
    const without = await freezerWithin(bare.init);
    const id = await one.id(daemon);
    // What it waits for is there when it wakes up.
    const waiter = one.start(scope, [
      program("trigger"),
      "poll",
      "/proc/pressure/io",
      "full 1900000 2000000",
    ]);
    expect(setFrozen(second, true)).toBe(true);
    const { frozen, late } = await sleep(daemon, "pre");
    expect({ frozen, late }).toEqual({ frozen: [id], late: [] });
    expect(isFrozen(first)).toBe(true);
    expect(states(first, second, without)).toEqual([true, true, false]);
    // Twice is once.
    expect((await sleep(daemon, "pre")).frozen).toHaveLength(1);
    expect(await sleep(daemon, "post")).toEqual({ thawed: 1 });
    // Who froze it is who thaws it.
    expect(states(first, second, without)).toEqual([false, true, false]);
    expect(existsSync(SLEEP_RECORD)).toBe(false);
    expect(await sleep(daemon, "post")).toEqual({ thawed: 0 });
    expect(await one.read("/proc/meminfo")).toContain("MemTotal:");
    expect(waiter.exitCode).toBeNull();
  });

  it("leaves none frozen that the worker or the keeper does not live to thaw", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await Container.start(scope, { memory: 64 * MIB });
    const freezer = await attached(scope, daemon, container);
    const { generation, workerPid } = await statusOf(daemon);
    await sleep(daemon, "pre");
    process.kill(workerPid, "SIGKILL");
    await servingAfter(daemon, generation);
    await until("the next worker thaws it", () => !isFreezeRequested(freezer));
    await sleep(daemon, "pre");
    await daemon.stop();
    expect(states(freezer)).toEqual([false]);
    // With nobody left.
    const other = await Daemon.start(scope);
    const again = await attached(scope, other, container);
    await sleep(other, "pre");
    const status = await statusOf(other);
    process.kill(status.keeperPid, "SIGKILL");
    for (const pid of other.processes) {
      process.kill(pid, "SIGKILL");
    }
    expect(await sleep(other, "post")).toEqual({ thawed: 1 });
    expect(states(again)).toEqual([false]);
  });

  it.runIf(haveProgram("runc"))(
    "freezes containers of runc by the freezer that they have",
    async () => {
      const scope = testScope();
      const daemon = await Daemon.start(scope);
      const limits = { memory: 64 * MIB, swap: 0, quota: 1 };
      const container = await OciContainer.start(scope, "runc", daemon, limits);
      const other = await OciContainer.start(scope, "runc", daemon, limits);
      const freezer = await freezerWithin(container.init);
      const beside = await freezerWithin(other.init);
      scope.defer(() => {
        setFrozen(freezer, false);
        setFrozen(beside, false);
      });
      // Neither are containers of other tests frozen, nor do their daemons thaw this one.
      const record = join(temporaryDirectory(scope, "record"), "frozen");
      const [ours, outside] = [await containerOf(container.init), await containerOf(other.init)];
      const { keeperPid, workerPid } = await statusOf(daemon);
      const frozen = await freezeContainers({
        containers: [
          ours,
          // One within it stands still with it: there may be thousands.
          { ...ours, id: "nested", cgroup: `${ours.cgroup}/nested` },
          // One that it has started in a cgroup elsewhere does not.
          { ...outside, tenant: ours.id },
        ],
        identity: { fsType: String(defaultOf("fsType")), source: String(defaultOf("source")) },
        serving: [keeperPid, workerPid],
        record,
      });
      expect(frozen).toEqual({ frozen: [ours.id, outside.id], late: [] });
      expect(states(freezer, beside)).toEqual([true, true]);
      expect([isFrozen(freezer), isFrozen(beside)]).toEqual([true, true]);
      expect(thawRecorded(record)).toBe(2);
      expect([isFrozen(freezer), isFrozen(beside)]).toEqual([false, false]);
    },
  );

  it("is held up by the hook only while something serves", async () => {
    const scope = testScope();
    const directory = temporaryDirectory(scope, "hook");
    const called = join(directory, "called");
    const script = `#!/bin/sh\necho "$*" >>${called}\nexec sleep 600\n`;
    const command = join(directory, "vprocfs");
    writeFileSync(command, script, { mode: 0o755 });
    const env = { ...process.env, VPROCFS: command, SLEEP_HOOK_SECONDS: "3" };
    const hook = (when: string) => run(["sh", HOOK, when, "suspend"], { env });
    const daemon = await Daemon.start(scope);
    await until("it answers", () => existsSync(figuresSocketOf(daemon.mountpoint)));
    expect((await hook("pre")).status).toBe(0);
    expect((await hook("neither")).status).toBe(0);
    expect(readFileSync(called, "utf8")).toBe("sleep pre\n");
    await daemon.stop();
    rmSync(called);
    // Where no other vprocfs has left anything either.
    const alone = `mount -t tmpfs tmpfs /run/vprocfs && exec sh ${HOOK} pre suspend`;
    expect((await run(["unshare", "--mount", "sh", "-c", alone], { env })).status).toBe(0);
    expect(existsSync(called)).toBe(false);
  });
});
