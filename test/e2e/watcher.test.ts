// The watcher: containers get the files without anybody asking for them, and keep them.

import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { mountNamespaceOf, pidNamespaceOf } from "../../src/attach/namespaces.js";
import { loadAddon } from "../../src/native/addon.js";
import { polledMountpointOf } from "../../src/polled.js";
import { statField } from "../../src/processes.js";
import { DEEDS, seen } from "../support/as-before.js";
import { attach, filesOf, mountsOf, PLACES } from "../support/attach.js";
import { Cgroup, hierarchyOf, isV2, MIB } from "../support/cgroups.js";
import { output, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, temporaryDirectory, vprocfs } from "../support/daemon.js";
import { LxcContainer } from "../support/lxc.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { OciContainer } from "../support/oci.js";
import { openFilesOf } from "../support/proc.js";
import { memTotalKb } from "../support/procfile.js";
import { program } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { sized } from "../support/size.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const MEMORY = 64 * MIB;
/** Only what this test process makes: other containers of the machine are not ours. */
const MINE = `vprocfs-test-${process.pid}-*`;
/** For the daemon of all tests, and for one that a test has for itself. */
const SHARED = ["--watch", "on", "--attach-only", MINE, "--attach-exclude", "*-own"];
const OWN = ["--watch", "on", "--attach-only", `${MINE}-own`];

function isWhole(pid: number): boolean {
  return PLACES.every((place) => filesOf(pid).includes(place));
}

async function served(container: Container): Promise<Container> {
  await until("it has its files", () => isWhole(container.init));
  return container;
}

/** One whose first program runs: the tests' own init executes none, as those of runtimes do. */
async function started(scope: Scope, name = "c"): Promise<Container> {
  const container = await Container.start(scope, { memory: MEMORY, name });
  container.start(scope, ["sleep", "1000000"]);
  return container;
}

async function watched(scope: Scope): Promise<Container> {
  return served(await started(scope));
}

/** A first process that leaves its mount namespace for another. */
const MOVES = "exec unshare -m /bin/sh -c 'echo moved; exec sleep 1000000'";

/** The processes whose containers are left alone. */
function leftAlone(): number[] {
  return readdirSync("/run/vprocfs/left-alone").map((name) => Number(name.split("-")[0]));
}

/** How many mounts there are on a daemon's mount points, and elsewhere of what is mounted there. */
function countMounts({ mountpoint }: Daemon): number {
  const places = [mountpoint, polledMountpointOf(mountpoint)];
  const mounts = mountsOf(process.pid);
  const there = mounts.filter((mount) => places.includes(mount.mountpoint));
  const devices = new Set(there.map(({ device }) => device));
  return mounts.filter(({ device }) => devices.has(device)).length;
}

/** umount(8) wants itself in the /proc that it sees. */
const UNMOUNT = 'import ctypes; assert ctypes.CDLL(None).umount2(b"/proc/meminfo", 0) == 0';

describeLive("the watcher", ["unshare", "nsenter", "python3"], () => {
  const scope = fileScope();
  let daemon: Daemon;

  beforeAll(async () => {
    daemon = await Daemon.start(scope, ...SHARED);
  });

  it("finds what runs before it, and what comes later", async () => {
    const own = testScope();
    const early = await started(own, "own");
    await Daemon.start(own, ...OWN);
    await served(early);
    const late = await served(await started(own, "own"));
    expect(memTotalKb(await late.read("/proc/meminfo"))).toBe(MEMORY / 1024);
  });

  it("finds and serves them on Linux 5.3", async () => {
    const own = testScope();
    const early = await started(own, "own");
    await Daemon.startUnder(own, [program("older")], ...OWN);
    await served(early);
    const late = await served(await started(own, "own"));
    await late.shell("umount /proc/meminfo");
    await served(late);
    expect(memTotalKb(await late.read("/proc/meminfo"))).toBe(MEMORY / 1024);
  });

  it("gives back what was unmounted, and in the end no more", async () => {
    const container = await watched(testScope());
    for (let times = 0; times < 4; times += 1) {
      await container.shell("umount /proc/meminfo");
      await served(container);
    }
    const count = () => daemon.logs.split("keeps unmounting files").length;
    const before = count();
    for (let times = 0; count() === before && times < 20; times += 1) {
      await container.run(["umount", "/proc/meminfo"]);
      await until("it is back, or given up", () => isWhole(container.init) || count() > before);
    }
    expect(count()).toBe(before + 1);
    await container.run(["umount", "/proc/meminfo"]);
    await served(await watched(testScope()));
    expect(isWhole(container.init)).toBe(false);
  });

  it("uncovers what is covered, also by another proc", async () => {
    const container = await watched(testScope());
    await container.shell("mount --bind /proc/version /proc/stat");
    await until("stat is ours again", async () =>
      (await container.read("/proc/stat")).startsWith("cpu "),
    );
    await container.shell("mount -t proc proc /proc");
    await until("the new proc has the files", async () => {
      return memTotalKb(await container.read("/proc/meminfo")) === MEMORY / 1024;
    });
  });

  it("follows services with a /proc of their own", async () => {
    const own = testScope();
    const container = await watched(own);
    const script =
      "mount -t proc proc /proc; while :; do grep MemTotal /proc/meminfo; sleep 0.05; done";
    const service = container.start(own, ["unshare", "--mount", "/bin/sh", "-c", script]);
    let text = "";
    service.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    await until("it sees its own memory", () => text.includes(` ${MEMORY / 1024} kB`));
  });

  it("follows a service by what is left of it when the process ends by which it was known", async () => {
    const own = testScope();
    const container = await watched(own);
    // As services do that become daemons: the child executes no program.
    const script =
      "mount -t proc proc /proc; mount -t tmpfs none /mnt; mkfifo /mnt/wait; " +
      "(echo forked; exec >/dev/null 2>&1; read line <>/mnt/wait) & wait";
    const service = container.start(own, ["unshare", "--mount", "/bin/sh", "-c", script]);
    await once(service.stdout ?? service, "data");
    const outer = [process.pid, container.init].map(mountNamespaceOf);
    const inside = container.cgroup
      .read("memory", "cgroup.procs")
      .split("\n")
      .map(Number)
      .filter((pid) => ![undefined, ...outer].includes(mountNamespaceOf(pid)));
    const child = inside.find((pid) => inside.includes(Number(statField(pid, 4)))) ?? 0;
    const seesItsMemory = (): boolean =>
      memTotalKb(readFileSync(`/proc/${child}/root/proc/meminfo`, "utf8")) === MEMORY / 1024;
    await until("it has its files", seesItsMemory);
    const first = Number(statField(child, 4));
    process.kill(first, "SIGKILL");
    await until("it has ended", () => mountNamespaceOf(first) === undefined);
    // By a program in the host's PID namespace, of which the watcher does not hear.
    await output(["nsenter", "-t", `${child}`, "-m", "python3", "-c", UNMOUNT]);
    await until("they are back", seesItsMemory);
  });

  it("sees a container in a namespace whose number an init had that has moved on", async () => {
    const own = testScope();
    for (let times = 0; times < 10; times += 1) {
      const outer = await started(own);
      const moving = outer.start(own, ["unshare", "-p", "-f", "-m", "/bin/sh", "-c", MOVES]);
      let text = "";
      moving.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      await until("it has moved", () => text.includes("moved"));
      await served(await started(own));
    }
  });

  it("does not follow them when it is told not to", async () => {
    const own = testScope();
    const ignoring = await Daemon.start(own, ...OWN, "--nested", "off");
    const container = await served(await started(own, "own"));
    const script = "mount -t proc proc /proc; exec sleep 1000";
    const service = container.start(own, ["unshare", "--mount", "/bin/sh", "-c", script]);
    await served(await started(own, "own"));
    await until("the service runs", () => (service.pid ?? 0) > 0);
    const times = () => ignoring.logs.split('"attached"').length - 1;
    await until("both containers were attached", () => times() >= 2);
    expect(times()).toBe(2);
  });

  it("takes no container in the PID namespace of another one for a part of that one", async () => {
    const own = testScope();
    const pod = Cgroup.create(own, testName("pod"));
    pod.delegate();
    const pause = await Container.start(own, { cgroup: pod.child(own, "pause"), memory: MEMORY });
    const cgroup = pod.child(own, "app");
    const app = await Container.start(own, { cgroup, memory: MEMORY, pidsOf: pause });
    const only = ["--attach-only", `/${pod.name}/*`];
    const { mountpoint } = await Daemon.start(own, "--watch", "on", ...only, "--nested", "off");
    await Promise.all([pause, app].map(served));
    const id = loadAddon().identityOf(app.init)?.id ?? "";
    await vprocfs("detach", "--mountpoint", mountpoint, id);
    // Hooks name the first process, too.
    expect(leftAlone()).toContain(app.init);
    await pause.shell("umount /proc/meminfo");
    await served(pause);
    expect(filesOf(app.init)).toEqual([]);
    await vprocfs("attach", "--mountpoint", mountpoint, id);
    expect(leftAlone()).not.toContain(app.init);
    await served(app);
  });

  it("follows a container by what is left of it when a PID namespace nested in it ends", async () => {
    const own = testScope();
    const pod = Cgroup.create(own, testName("pod"));
    pod.delegate();
    const inPod = (name: string, pidsOf?: Container): Promise<Container> =>
      Container.start(own, {
        cgroup: pod.child(own, name),
        memory: MEMORY,
        ...(pidsOf !== undefined && { pidsOf }),
      });
    const pause = await inPod("pause");
    const app = await inPod("app", pause);
    await Daemon.start(own, "--watch", "on", "--attach-only", `/${pod.name}/*`);
    await Promise.all([pause, app].map(served));
    // What the watcher has heard of before it serves this one.
    const heard = async (name: string): Promise<void> => {
      const probe = await inPod(name);
      probe.start(own, ["sleep", "1000000"]);
      await served(probe);
    };
    const unmount = (): Promise<string> =>
      output(["nsenter", "-t", `${app.init}`, "-m", "python3", "-c", UNMOUNT]);
    const script = ["/bin/sh", "-c", "echo runs; exec sleep 1000000"];
    const nesting = app.start(own, ["unshare", "--pid", "--fork", ...script]);
    await once(nesting.stdout ?? nesting, "data");
    await heard("after-start");
    await unmount();
    await served(app);
    const pids = app.cgroup.read("memory", "cgroup.procs").split("\n").filter(Boolean).map(Number);
    const outer = [process.pid, app.init].map(pidNamespaceOf);
    const init = pids.find((pid) => !outer.includes(pidNamespaceOf(pid))) ?? 0;
    process.kill(init, "SIGKILL");
    await once(nesting, "exit");
    await heard("after-end");
    await unmount();
    await served(app);
  });

  it("leaves alone what is excluded, and what was detached", async () => {
    const own = testScope();
    const excluding = await Daemon.start(own, ...OWN, "--attach-exclude", "*-own");
    const spared = await started(own, "own");
    await watched(own);
    expect(filesOf(spared.init)).toEqual([]);
    expect(excluding.logs).not.toContain("attached");
    const container = await watched(own);
    const name = container.cgroup.name;
    await vprocfs("detach", "--mountpoint", daemon.mountpoint, name);
    await served(await watched(own));
    expect(filesOf(container.init)).toEqual([]);
    await vprocfs("attach", "--mountpoint", daemon.mountpoint, name);
    await served(container);
  });

  it("a vprocfs that was killed and started again heals, one that is stopped leaves nothing", async () => {
    const own = testScope();
    const first = await Daemon.start(own, ...OWN);
    const start = () => started(own, "own");
    const containers = await Promise.all([start(), start(), start()]);
    const before = countMounts(first);
    const { mountpoint } = first;
    await Promise.all(containers.map(served));
    first.kill();
    await until("it has ended", () => first.hasEnded);
    const next = await Daemon.startAt(own, mountpoint, ...OWN);
    for (const container of containers) {
      await until("it reads its own figures again", async () => {
        const outcome = await container.run(["cat", "/proc/meminfo"]);
        return outcome.status === 0 && memTotalKb(`${outcome.stdout}`) === MEMORY / 1024;
      });
    }
    expect(countMounts(next)).toBe(before);
    await next.stop();
    for (const container of containers) {
      expect(filesOf(container.init)).toEqual([]);
    }
  });

  it("one that is stopped and leaves its files takes kernel logs out, which services look at", async () => {
    const own = testScope();
    const leaving = await Daemon.start(own, ...OWN, "--on-stop", "leave");
    const container = await served(await started(own, "own"));
    await leaving.stop();
    const kept = PLACES.filter((place) => !place.endsWith("/kmsg"));
    expect(filesOf(container.init)).toEqual(kept);
  });

  it("serves many that start at once", async () => {
    const own = testScope();
    const many = sized("VPROCFS_TEST_MANY", 20, 40);
    const containers = await Promise.all(Array.from({ length: many }, () => started(own)));
    await Promise.all(containers.map(served)).catch((error: unknown) => {
      throw new Error(daemon.logs.slice(-4000), { cause: error });
    });
    expect(daemon.hasEnded).toBe(false);
    expect(existsSync(daemon.path("containers"))).toBe(true);
    expect((await attach(daemon, containers[0]?.init ?? 0, ["--check", "--strict"])).status).toBe(
      0,
    );
  });
});

/** A hook of LXC that waits in the container's mount namespace, before LXC moves to its root. */
const WAITS = `#!/bin/sh
echo waits >"$0.out"
read line <"$0.in"
`;

describeLive("the watcher, in LXC", ["lxc-start", "mkfifo", "nsenter", "python3"], () => {
  it("sees what changes in a container that it followed before that had its root", async () => {
    const own = testScope();
    const hook = join(temporaryDirectory(own, "hook"), "waits");
    writeFileSync(hook, WAITS, { mode: 0o755 });
    await output(["mkfifo", `${hook}.in`]);
    const only = ["--attach-only", `*vprocfs-test-${process.pid}-*`];
    const { processes } = await Daemon.start(own, "--watch", "on", ...only);
    const lines = ["lxc.hook.version = 1", `lxc.hook.mount = ${hook}`];
    const limits = { memory: MEMORY, swap: 0, quota: 1 };
    const starting = LxcContainer.start(own, { ...limits, hostUsr: true, lines });
    await until("the hook waits", () => existsSync(`${hook}.out`));
    await until("its mounts are watched", () =>
      processes.some((pid) =>
        openFilesOf(pid).some((file) => {
          const [, of] = /^\/proc\/(\d+)\/mountinfo$/.exec(file) ?? [];
          return of !== undefined && !processes.includes(Number(of));
        }),
      ),
    );
    writeFileSync(`${hook}.in`, "on\n");
    const { init } = await starting;
    await until("it has its files", () => isWhole(init));
    await output(["nsenter", "-t", `${init}`, "-m", "python3", "-c", UNMOUNT]);
    await until("they are back", () => isWhole(init));
  });
});

describeLive("the watcher, with an OCI runtime", ["runc", "unshare", "nsenter"], () => {
  it("has user namespaces mount proc in what it found before its program ran", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own);
    const limits = { memory: MEMORY, swap: 0, quota: 1 };
    const variant = { plain: true, held: true };
    const container = await OciContainer.start(own, "runc", daemon, limits, variant);
    await Daemon.start(own, "--watch", "on", "--attach-only", `/${container.name}`);
    await until("it has its files", () => isWhole(container.init));
    await container.release();
    const deeds = DEEDS.filter(([what]) => what.includes("user namespace"));
    await until("they can", async () => {
      const done = Object.values(await seen(container.init, [], undefined, deeds));
      return done.length === 2 && done.every((status) => status === "0");
    });
  });

  it("has what the runtime masks masked on a CPU that is shown later", async () => {
    const own = testScope();
    const daemon = await Daemon.start(
      own,
      "--watch",
      "on",
      "--attach-only",
      `/vprocfs-test-${process.pid}-*`,
    );
    const masked = "/sys/devices/system/cpu/cpu1/topology";
    const limits = { memory: MEMORY, swap: 0, quota: 1 };
    const variant = { plain: true, maskedPaths: [masked] };
    const { init } = await OciContainer.start(own, "runc", daemon, limits, variant);
    await until("it has its files", () => isWhole(init));
    const look = () => run(["nsenter", "-t", `${init}`, "-m", "ls", "-A", masked]);
    expect((await look()).status).not.toBe(0);
    const [file, quota] = isV2 ? ["cpu.max", "100000 100000"] : ["cpu.cfs_quota_us", "100000"];
    const set = (cpus: number): void =>
      writeFileSync(join(hierarchyOf(init, "cpu"), file), quota.replace("1", `${cpus}`));
    // More often than what a container unmounts is mounted again.
    for (let times = 0; times < 7; times += 1) {
      set(2);
      await until("the CPU is there, and masked", async () => {
        const { status, stdout } = await look();
        return status === 0 && `${stdout}` === "";
      });
      set(1);
      await until("the CPU is gone", async () => (await look()).status !== 0);
    }
  });
});
