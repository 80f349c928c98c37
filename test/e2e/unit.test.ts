// The helper under the options of the units that are shipped. What a node with systemd shows is in
// test/node; here each option is set the way systemd sets it.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { polledMountpointOf } from "../../src/polled.js";
import { helperPath, mountsOf, PLACES, statesOf } from "../support/attach.js";
import { Cgroup, isV2, MIB } from "../support/cgroups.js";
import { outputOf, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, vprocfs, withStandby } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { project } from "../support/project.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import {
  replaceWorker,
  servingAfter,
  standbyOf,
  standingBy,
  statusOf,
} from "./never-down-support.js";

withStandby();

type Command = readonly string[];

/** How each option of a unit that could forbid something is set without systemd. */
const SET: Readonly<Record<string, (value: string) => Command>> = {
  NoNewPrivileges: () => ["setpriv", "--no-new-privs"],
  SystemCallFilter: (value) => [
    program("filtered"),
    ...value
      .replace(/^~/, "")
      .split(" ")
      .flatMap((group) => ["--eperm", group]),
  ],
  RestrictSUIDSGID: () => [program("filtered"), "--no-openat2"],
  CapabilityBoundingSet: (value) => {
    const dropped = value.replace(/^~/, "").split(" ");
    return [
      "setpriv",
      `--bounding-set=${dropped.map((name) => `-${name.replace(/^CAP_/, "").toLowerCase()}`)}`,
    ];
  },
  // Of personality(2), realtime scheduling, other architectures and keyrings the helper has nothing.
  LockPersonality: () => [],
  RestrictRealtime: () => [],
  SystemCallArchitectures: () => [],
  SystemCallErrorNumber: () => [],
  KeyringMode: () => [],
};

/** What of a unit is not about what its processes may do. */
const HARMLESS =
  /^(Type|Notify|Exec|Restart|LimitNOFILE|Watchdog|Timeout|Kill|OOM|Tasks|RuntimeDirectory|FileDescriptorStore|Environment|Delegate|Memory|Slice|CPUWeight|ManagedOOM)/;

function optionsOf(unit: string): [string, string][] {
  const text = readFileSync(join(project, "packaging", unit), "utf8");
  const service = /^\[Service\]\n(.*?)(?:^\[|$(?![\s\S]))/ms.exec(text)?.[1] ?? "";
  return [...service.matchAll(/^([A-Za-z]+)=(.*)$/gm)]
    .map(([, name = "", value = ""]): [string, string] => [name, value])
    .filter(([name]) => !HARMLESS.test(name));
}

function oomKillsOf(cgroup: Cgroup): number {
  const counter = isV2 ? "memory.events" : "memory.oom_control";
  return Number(/^oom_kill (\d+)/m.exec(cgroup.read("memory", counter))?.[1]);
}

const UNITS = ["systemd/vprocfs.service", "debian/vprocfs-lxcfs-compat/lxcfs.service"];

describeLive("the shipped units", ["setpriv"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  beforeAll(async () => {
    daemon = await Daemon.start(scope);
  });

  async function attachUnder(command: Command): Promise<string[]> {
    const own = testScope();
    const container = await Container.start(own, { memory: 64 * MIB });
    const { mountpoint } = daemon;
    const places = ["--mountpoint", mountpoint, "--polled", polledMountpointOf(mountpoint)];
    const helper = [helperPath(), ...places, "--json"];
    const outcome = await run([...command, ...helper, `${container.init}`]);
    const states = statesOf(JSON.parse(outputOf(["vprocfs-attach"], outcome)));
    const mounted = mountsOf(container.init).filter((mount) => PLACES.includes(mount.mountpoint));
    expect(mounted).toHaveLength(PLACES.length);
    return states;
  }

  it.each(UNITS)("%s: the helper attaches under all its options together", async (unit) => {
    const command = optionsOf(unit).flatMap(([name, value]) => {
      const set = SET[name];
      if (set === undefined) {
        throw new Error(`${unit}: no test for ${name}=`);
      }
      return set(value);
    });
    expect(await attachUnder(command)).toEqual(["attached"]);
  });

  it("attaches where openat2(2) is refused, which doctor calls a problem", async () => {
    const refused = SET.RestrictSUIDSGID?.("yes") ?? [];
    expect(await attachUnder(refused)).toEqual(["attached"]);
    const under = await Daemon.startUnder(testScope(), refused);
    const problems = async ({ mountpoint }: Daemon): Promise<string[]> => {
      const { stdout } = await vprocfs("doctor", "--json", "--mountpoint", mountpoint);
      const findings: { level: string; what: string }[] = JSON.parse(`${stdout}`);
      return findings.filter(({ level }) => level === "problem").map(({ what }) => what);
    };
    const openat2 = "the service cannot call openat2(2) (ENOSYS): ";
    const said = [await problems(under), await problems(daemon)];
    expect(said.map((all) => all.some((what) => what.startsWith(openat2)))).toEqual([true, false]);
  });

  it("MemoryMax= without room for a standby ends that, and not the worker that serves", async () => {
    const own = testScope();
    const service = await Daemon.start(own);
    const cgroup = Cgroup.create(own, `/${testName("service")}`);
    cgroup.write("memory", "cgroup.procs", (await statusOf(service)).keeperPid);
    // One whose memory, and that of the standby after it, is charged to the cgroup.
    await replaceWorker(service, "reload");
    const { workerPid, generation } = await standingBy(service);
    const scoreOf = (pid: number): string => readFileSync(`/proc/${pid}/oom_score_adj`, "utf8");
    const standby = await standbyOf(service);
    expect([scoreOf(workerPid), scoreOf(standby)]).toEqual(["0\n", "1000\n"]);
    // Pages of programs, which others have read, are of a process's size and not of what it is charged
    // for: as much besides, so that the size of the limit decides.
    const ballast = join("/dev/shm", testName("ballast"));
    own.defer(() => rmSync(ballast, { force: true }));
    const fill = 'echo $$ >"$1/cgroup.procs"; exec head -c 64M /dev/zero >"$2"';
    await run(["sh", "-c", fill, "sh", cgroup.directory("memory"), ballast]);
    process.kill(standby, "SIGKILL");
    await until("the standby is gone", () => !existsSync(`/proc/${standby}`));
    const without = cgroup.memoryUsage;
    cgroup.limit({ memory: without + 4 * MIB, swap: 0 });
    await until("the limit ends a standby", () => oomKillsOf(cgroup) > 0);
    // Until the kernel has freed its memory, that counts, but it is no choice any more: whoever needs
    // a page then is ended too.
    await until("its memory is free", () => cgroup.memoryUsage < without + 2 * MIB);
    expect(await service.isServing()).toBe(true);
    expect(await statusOf(service)).toMatchObject({ workerPid, generation, restarts: 0 });
    cgroup.limit({ memory: null, swap: null });
    await standingBy(service);
    process.kill(workerPid, "SIGKILL");
    const after = await servingAfter(service, generation);
    expect(scoreOf(after.workerPid)).toBe("0\n");
    expect(await service.stop()).toBe(0);
  });

  it("a worker that crashes is not dumped while readers wait", async () => {
    const { workerPid } = await statusOf(daemon);
    const limits = readFileSync(`/proc/${workerPid}/limits`, "utf8");
    const [soft, hard] = /^Max core file size +(\w+) +(\w+)/m.exec(limits)?.slice(1) ?? [];
    const own = readFileSync(`/proc/${daemon.pid}/limits`, "utf8");
    expect({ soft, hard }).toEqual({
      soft: hard === "0" ? "0" : "1",
      hard: /^Max core file size +\w+ +(\w+)/m.exec(own)?.[1],
    });
  });

  it("MemoryMax= ends workers, which are replaced when it lets them, and not the service", async () => {
    const own = testScope();
    const service = await Daemon.start(own, "--standby", "off");
    const { keeperPid, workerPid, generation } = await statusOf(service);
    const cgroup = Cgroup.create(own, `/${testName("service")}`);
    // Less than a worker needs, and more than the keeper has.
    cgroup.limit({ memory: 16 * MIB, swap: 0 });
    cgroup.write("memory", "cgroup.procs", keeperPid);
    process.kill(workerPid, "SIGKILL");
    await until("the limit ends a worker", () => oomKillsOf(cgroup) > 0);
    cgroup.limit({ memory: null, swap: null });
    const after = await servingAfter(service, generation);
    expect(after.keeperPid).toBe(keeperPid);
    expect(await service.isServing()).toBe(true);
    expect(service.logs).toContain("signal 9");
    expect(await service.stop()).toBe(0);
  });
});
