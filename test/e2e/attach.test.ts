// The attach helper on running containers: what it mounts, replaces, refuses and takes away.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { LeftAlone } from "../../src/attach/left-alone.js";
import { loadAddon } from "../../src/native/addon.js";
import { polledMountpointOf } from "../../src/polled.js";
import {
  attach,
  filesOf,
  helperPath,
  mountsOf,
  PLACES,
  report,
  statesOf,
} from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { background, output, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, temporaryDirectory, vprocfs } from "../support/daemon.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { commandOf } from "../support/proc.js";
import { memTotalKb } from "../support/procfile.js";
import { program } from "../support/programs.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const MEMORY = 64 * MIB;
const IN_PROC = PLACES.filter((path) => path.startsWith("/proc/")).length;
/** A file below a directory that is mounted as a whole. */
const MASKED = "/sys/devices/system/cpu/kernel_max";
const LIMITS = { memory: 128 * MIB, swap: 0, quota: 1 };

/** What a shell does to have another root, as runtimes do it. */
function moveTo(root: string): string {
  return `cd ${root} && mkdir old && pivot_root . old && exec /bin/wait`;
}

/** A process in mount and PID namespaces of its own, in a container's cgroup, without a procfs. */
async function bare(scope: Scope, container: Container, setup: string): Promise<number> {
  const join_ = container.cgroup.directories.map((at) => `echo $$ >${at}/cgroup.procs`).join(";");
  const script = `${join_}; exec unshare -C -p -f -m sh -c 'umount -l /proc; ${setup}; echo ready; exec sleep 1000'`;
  const child = background(scope, ["/bin/sh", "-c", script]);
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await until("it is set up", () => text.includes("ready"));
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8");
  return Number(children.trim());
}

/** What systemd does for ProtectKernelTunables=: what is mounted below /sys is read-only as well. */
const RESTRICT =
  "mount --make-rslave / && mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && " +
  "for at in $(findmnt -rnRo TARGET /sys | sort -u); do mount -o remount,bind,ro $at || exit; done";

/** Has a process sleep in a container, after `script` in a mount namespace of its own; returns its PID. */
async function sleeping(scope: Scope, container: Container, script?: string): Promise<number> {
  const procs = join(container.cgroup.directories[0] ?? "", "cgroup.procs");
  const pids = (): string[] => readFileSync(procs, "utf8").trim().split("\n");
  const known = pids();
  const sleep = ["sleep", "1000000"];
  const first =
    script === undefined
      ? []
      : [
          "unshare",
          "--mount",
          "--propagation",
          "unchanged",
          "/bin/sh",
          "-c",
          `${script} && exec "$@"`,
          "sh",
        ];
  container.start(scope, [...first, ...sleep]);
  const found = await until("it sleeps", () =>
    pids().find((pid) => !known.includes(pid) && commandOf(pid) === "sleep"),
  );
  return Number(found);
}

/** What is mounted where the copies for user namespaces are: "proc rw". */
function copiesOf(pid: number): string[] {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, "utf8").matchAll(
    /^\S+ \S+ \S+ \S+ \/sys\/bus\/clocksource\/drivers\S* (\w+).* - (\w+)/gm,
  );
  return [...lines].map(([, flag, type]) => `${type} ${flag}`);
}

describeLive("attach", ["unshare"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let host: number;

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
    host = memTotalKb(await daemon.read("proc/meminfo"));
  });

  describe.each([
    ["a container", undefined],
    ["a container in a user namespace", 500_000],
  ])("%s", (_, userBase) => {
    it("gets every file, once, and loses it without a trace", async () => {
      const own = testScope();
      const options = { memory: MEMORY, ...(userBase !== undefined && { userBase }) };
      const container = await Container.start(own, options);
      const before = mountsOf(container.init);
      expect(statesOf(await report(daemon, container.init))).toEqual(["attached"]);
      expect(filesOf(container.init)).toEqual(PLACES);
      expect(memTotalKb(await container.read("/proc/meminfo"))).toBe(MEMORY / 1024);
      expect(await container.shell("grep -c ' /proc/.* fuse.lxcfs ' /proc/mounts")).toBe(
        `${IN_PROC}\n`,
      );
      expect(statesOf(await report(daemon, container.init))).toEqual(["present"]);
      expect(statesOf(await report(daemon, container.init, ["--check"]))).toEqual(["present"]);
      expect(filesOf(container.init)).toEqual(PLACES);
      expect(statesOf(await report(daemon, container.init, ["--detach"]))).toEqual(["detached"]);
      expect(mountsOf(container.init)).toEqual(before);
      expect(memTotalKb(await container.read("/proc/meminfo"))).toBe(host);
    });
  });

  it.each([
    ["mounts copies of proc and sysfs", "true", ["sysfs rw", "sysfs rw", "proc rw"], 0],
    // The mask itself, and its copy on what covers the directory.
    [
      "keeps masks below a directory",
      `mount --bind /dev/null ${MASKED}`,
      ["sysfs rw", "proc rw"],
      2,
    ],
  ])("comes to the same on Linux 5.3: %s", async (_, setup, copies, masks) => {
    const own = testScope();
    const container = await Container.start(own, { memory: MEMORY });
    await container.shell(setup);
    // The tests' own init runs no program of its namespace, as a runtime that is still at work.
    const main = await sleeping(own, container);
    const before = mountsOf(main);
    const on = (...flags: string[]) => report(daemon, main, flags, [program("older")]);
    const attached = await on();
    expect([statesOf(attached), attached.problems]).toEqual([["attached"], []]);
    expect([filesOf(main), copiesOf(main)]).toEqual([PLACES, copies]);
    const onMask = mountsOf(main).filter(({ mountpoint }) => mountpoint === MASKED);
    expect(onMask).toHaveLength(masks);
    expect(statesOf(await on())).toEqual(["present"]);
    expect(statesOf(await on("--detach"))).toEqual(["detached"]);
    expect(mountsOf(main)).toEqual(before);
  });

  it("two at once mount once", async () => {
    const container = await Container.start(testScope(), { memory: MEMORY });
    const runs = await Promise.all([1, 2, 3, 4].map(() => report(daemon, container.init)));
    expect(runs.flatMap(({ problems }) => problems)).toEqual([]);
    expect(filesOf(container.init)).toEqual(PLACES);
  });

  it("leaves out what it is told to", async () => {
    const container = await Container.start(testScope(), { memory: MEMORY });
    const skips = ["proc/uptime", "/proc/stat", "meminfo", "/sys/*"];
    await report(
      daemon,
      container.init,
      skips.flatMap((pattern) => ["--skip", pattern]),
    );
    const skipped = ["/proc/uptime", "/proc/stat", "/proc/meminfo"];
    const left = PLACES.filter((path) => !skipped.includes(path) && !path.startsWith("/sys/"));
    expect(filesOf(container.init)).toEqual(left);
  });

  it("leaves the containers that it is told to", async () => {
    const container = await Container.start(testScope(), { memory: MEMORY });
    const its = "*vprocfs-test-*";
    for (const patterns of [
      ["--exclude", its],
      ["--name", "web1", "--exclude", "web?"],
      ["--name", "web1", "--only", "db*"],
    ]) {
      const { status, stderr } = await attach(daemon, container.init, ["--strict", ...patterns]);
      expect(stderr).toBe("vprocfs-attach: left alone: the patterns exclude this container\n");
      expect(status).toBe(0);
      expect(filesOf(container.init)).toEqual([]);
    }
    await report(daemon, container.init, ["--only", its, "--name", "web1", "--exclude", "db*"]);
    expect(filesOf(container.init)).toEqual(PLACES);
  });

  it("what a container mounts over its files does not come out of it", async () => {
    const container = await Container.start(testScope(), { memory: MEMORY });
    await report(daemon, container.init);
    await container.shell("mount --bind /dev/null /proc/meminfo");
    expect(memTotalKb(await daemon.read("proc/meminfo"))).toBe(host);
    const id = await container.id(daemon);
    expect(memTotalKb(await daemon.read("containers", id, "proc/meminfo"))).toBe(MEMORY / 1024);
  });

  it("leaves a runtime's mask, and covers what covers it", async () => {
    const container = await Container.start(testScope(), { memory: MEMORY });
    await report(daemon, container.init);
    await container.shell(
      "mount --bind /dev/null /proc/uptime; mount --bind /proc/version /proc/stat",
    );
    const { files } = await report(daemon, container.init);
    const states = new Map(files.map(({ path, state }) => [path, state]));
    expect(states.get("/proc/uptime")).toBe("left");
    expect(states.get("/proc/stat")).toBe("healed");
    expect(await container.read("/proc/stat")).toMatch(/^cpu /);
  });

  it("a mount of a vprocfs that was killed is replaced, and no reader sees the host", async () => {
    const own = testScope();
    const container = await Container.start(own, { memory: MEMORY });
    const other = await Daemon.start(own);
    await report(other, container.init);
    const { mountpoint } = other;
    other.kill();
    await until("it is dead", async () => {
      return (await container.run(["cat", "/proc/meminfo"])).status !== 0;
    });
    await until("it has ended", () => other.hasEnded);
    const next = await Daemon.startAt(own, mountpoint);
    const reader = container.start(own, [
      "/bin/sh",
      "-c",
      "while [ ! -e /tmp/nothing ]; do grep MemTotal /proc/meminfo 2>/dev/null || echo dead; done",
    ]);
    let seen = "";
    reader.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      seen += chunk;
    });
    await until("the reader reads", () => seen.includes("dead"));
    expect(statesOf(await report(next, container.init))).toEqual(["replaced"]);
    await until("it reads what is new", () => seen.includes("MemTotal"));
    expect(seen).not.toContain(`${host} kB`);
    expect(filesOf(container.init)).toEqual(PLACES);
  });

  it("does not touch a chroot's /proc, whoever is in it", async () => {
    const own = testScope();
    const container = await Container.start(own, { memory: MEMORY });
    const root = temporaryDirectory(own, "chroot");
    const build =
      `mount -t tmpfs none ${root}; mkdir ${root}/proc ${root}/sys ${root}/bin; ` +
      `cp ${program("syscalls")} ${root}/bin/wait; mount -t proc proc ${root}/proc; ` +
      `mount -t sysfs sysfs ${root}/sys`;
    await container.shell(build);
    const inside = container.start(own, ["chroot", root, "/bin/wait"]);
    const procs = join(container.cgroup.directories[0] ?? "", "cgroup.procs");
    const chrooted = (): string | undefined =>
      readFileSync(procs, "utf8")
        .split("\n")
        .find((pid) => pid !== "" && commandOf(pid) === "wait");
    await until("it is there", () => chrooted() !== undefined);
    expect(statesOf(await report(daemon, Number(chrooted())))).toEqual(["attached"]);
    expect(statesOf(await report(daemon, container.init))).toEqual(["present"]);
    expect(filesOf(container.init)).toEqual(PLACES);
    inside.kill("SIGKILL");
    await until("nobody is in it any more", () => chrooted() === undefined);
    // What debootstrap and image builders do.
    await container.shell(`umount ${root}/proc && umount ${root}/sys && umount -R ${root}`);
  });

  it("gives a restricted service no copy of proc by which it could write to the kernel", async () => {
    const own = testScope();
    const container = await Container.start(own, { memory: MEMORY });
    // As systemd has it.
    await container.shell("mount --make-rshared /");
    const first = await sleeping(own, container, RESTRICT);
    // The tests' own init runs no program of its namespace, as a runtime that is still at work.
    const main = await sleeping(own, container);
    await report(daemon, main);
    const all = ["sysfs rw", "sysfs rw", "proc rw"];
    expect(copiesOf(main)).toEqual(all);
    // Only the empty directory that they are on has propagated.
    expect(copiesOf(first)).toEqual(["sysfs rw"]);
    const second = await sleeping(own, container, RESTRICT);
    expect(copiesOf(second)).toEqual(["sysfs rw", "sysfs ro", "proc ro"]);
    const mount = "unshare -Urpf --mount-proc true";
    const tries = async (pid: number): Promise<number | null> =>
      (await run(["nsenter", "-t", `${pid}`, "-m", "-p", "sh", "-c", mount])).status;
    expect([await tries(main), await tries(second)]).toEqual([0, 1]);
    for (const service of [first, second]) {
      expect((await report(daemon, service)).problems).toEqual([]);
      // Of sysfs it has what it could always see.
      expect(copiesOf(service).slice(-1)).toEqual(["sysfs ro"]);
      expect(copiesOf(service)).not.toContainEqual(expect.stringContaining("proc"));
    }
    expect(copiesOf(main)).toEqual(all);
    for (const process of [main, first, second]) {
      await report(daemon, process, ["--detach"]);
      expect(copiesOf(process)).toEqual([]);
    }
  });

  it("leaves another live vprocfs's files", async () => {
    const own = testScope();
    const container = await Container.start(own, { memory: MEMORY });
    const other = await Daemon.start(own);
    await report(other, container.init);
    expect(statesOf(await report(daemon, container.init))).toEqual(["left"]);
    expect(statesOf(await report(daemon, container.init, ["--detach"]))).toEqual([]);
    expect(filesOf(container.init)).toEqual(PLACES);
  });

  describe("where something is not as it should be", () => {
    it.each([
      ["another file system", "mount -t tmpfs none /proc", "its /proc is not a procfs"],
      ["another container's proc", "true", "its /proc is"],
    ])("/proc is %s: says so", async (_, setup, reason) => {
      const own = testScope();
      const container = await Container.start(own, { memory: MEMORY });
      const pid = await bare(own, container, setup);
      const { problems } = await report(daemon, pid);
      expect(problems.join()).toContain(reason);
      expect((await attach(daemon, pid, ["--strict"])).status).toBe(1);
      expect((await attach(daemon, pid)).status).toBe(0);
    });

    it("/proc is a symlink: follows nothing", async () => {
      const own = testScope();
      const container = await Container.start(own, { memory: MEMORY });
      const root = temporaryDirectory(own, "root");
      const pid = await bare(
        own,
        container,
        `mount -t tmpfs none ${root}; mkdir ${root}/real ${root}/bin; ln -s /real ${root}/proc; ` +
          `mount -t proc proc ${root}/real; cp ${program("syscalls")} ${root}/bin/wait; echo ready; ` +
          moveTo(root),
      );
      await until("it is there", () => readFileSync(`/proc/${pid}/comm`, "utf8") === "wait\n");
      const { problems } = await report(daemon, pid);
      expect(problems).toEqual(["its /proc is a symlink"]);
    });

    it("/proc is a plain directory: says so", async () => {
      const own = testScope();
      const container = await Container.start(own, { memory: MEMORY });
      const root = temporaryDirectory(own, "root");
      const pid = await bare(
        own,
        container,
        `mount -t tmpfs none ${root}; mkdir ${root}/proc ${root}/bin; ` +
          `cp ${program("syscalls")} ${root}/bin/wait; echo ready; ${moveTo(root)}`,
      );
      await until("it is there", () => readFileSync(`/proc/${pid}/comm`, "utf8") === "wait\n");
      expect((await report(daemon, pid)).problems).toEqual(["its /proc is not a procfs"]);
    });

    it("/proc is read-only: works all the same", async () => {
      const own = testScope();
      const container = await Container.start(own, { memory: MEMORY });
      const pid = await bare(own, container, "mount -t proc -o ro proc /proc");
      expect(statesOf(await report(daemon, pid))).toEqual(["attached"]);
    });

    it("a file is a symlink's, or of another file system: is left", async () => {
      const container = await Container.start(testScope(), { memory: MEMORY });
      await container.shell(
        "mount -t tmpfs none /sys/devices/system && mkdir /sys/devices/system/cpu",
      );
      const { files } = await report(daemon, container.init);
      const cpu = files.find(({ path }) => path.endsWith("system/cpu"));
      expect(cpu).toMatchObject({ state: "failed", reason: "not on a sysfs" });
      expect(files.filter(({ state }) => state === "attached")).toHaveLength(IN_PROC + 1);
    });

    it("its /sys and /dev are the host's own: leaves what the host would see too", async () => {
      const own = testScope();
      const { cgroup } = await Container.start(own, { memory: MEMORY });
      const setup = cgroup.directories.map((at) => `echo $$ >${at}/cgroup.procs`).join(" && ");
      const inside = "mount -t proc proc /proc && exec sleep 1000000";
      const shared = "mount --make-shared /sys && mount --make-shared /dev";
      const apart = ["unshare", "--fork", "--kill-child", "--mount"];
      const start = `${apart.join(" ")} -C -p --propagation unchanged sh -c '${inside}'`;
      const script = `${shared} && ${setup} && exec ${start}`;
      const child = background(own, [...apart, "/bin/sh", "-c", script]);
      const procs = join(cgroup.directory("memory"), "cgroup.procs");
      const pid = await until("it sleeps", () =>
        readFileSync(procs, "utf8")
          .split("\n")
          .find((one) => one !== "" && commandOf(one) === "sleep"),
      );
      const polled = polledMountpointOf(daemon.mountpoint);
      const places = ["--mountpoint", daemon.mountpoint, "--polled", polled];
      const argv = ["nsenter", "-t", `${child.pid}`, "-m", helperPath(), "--strict", "--json"];
      const done = JSON.parse(await output([...argv, ...places, pid]));
      const why = (path: string) => done.files.find((one: { path: string }) => one.path === path);
      for (const path of ["/dev/kmsg", "/sys/devices/system/cpu"]) {
        expect(why(path)).toEqual({ path, state: "left", reason: "the host would see it too" });
      }
      expect(filesOf(Number(pid))).toContain("/proc/meminfo");
      expect(filesOf(child.pid ?? 0)).toEqual([]);
    });

    it("a file is not there: does without it", async () => {
      const container = await Container.start(testScope(), { memory: MEMORY });
      await container.shell("mount -t tmpfs none /sys/devices/system");
      const done = await report(daemon, container.init, ["--strict"]);
      expect(statesOf(done)).toEqual(["attached"]);
      expect(filesOf(container.init)).toEqual(PLACES.filter((path) => !path.startsWith("/sys/")));
    });

    it.each([
      ["a process that is gone", 4_194_300, "there is no such process"],
      ["a process of the host", process.pid, "it is not in a container"],
    ])("%s", async (_, pid, reason) => {
      const outcome = await attach(daemon, pid);
      expect(outcome).toMatchObject({ status: 0 });
      expect(outcome.stderr).toBe(`vprocfs-attach: process ${pid}: ${reason}\n`);
      expect((await attach(daemon, pid, ["--strict"])).status).toBe(1);
    });

    it("no vprocfs runs there", async () => {
      const own = testScope();
      const container = await Container.start(own, { memory: MEMORY });
      const mountpoint = temporaryDirectory(own, "nothing");
      const outcome = await attach({ mountpoint }, container.init);
      expect(outcome.status).toBe(0);
      expect(outcome.stderr).toContain(`no vprocfs on ${mountpoint}`);
    });

    it("who asks is not root", async () => {
      const outcome = await run([
        ...["setpriv", "--reuid", "65534", "--clear-groups", "--"],
        ...[helperPath(), "--mountpoint", daemon.mountpoint, "1"],
      ]);
      expect(outcome).toMatchObject({ status: 0, stderr: "vprocfs-attach: must be run as root\n" });
    });

    it.each([
      [["--nonsense"]],
      [["0"]],
      [["abc"]],
      [[]],
      [["1", "2"]],
      [["--timeout-ms", "x", "1"]],
    ])("arguments %j: exit status 2", async (argv) => {
      const outcome = await run([helperPath(), ...argv]);
      expect(outcome.status).toBe(2);
      expect(outcome.stderr).toMatch(/^vprocfs-attach: .*\n$/);
    });

    it("whoever asks for help: it names the options that the guide has", async () => {
      const guide = readFileSync(join(project, "docs/guide/attach.md"), "utf8");
      const rows = guide.match(/^## The helper$.*?^###/ms)?.[0].match(/^\| `--.*? \|/gm) ?? [];
      const options = rows.join().match(/--[a-z-]+/g) ?? [];
      expect(options).toContain("--check");
      const outcome = await run([helperPath(), "--help"]);
      expect(outcome).toMatchObject({ status: 0, stderr: "" });
      expect(options.filter((option) => !outcome.stdout.includes(`\n  ${option} `))).toEqual([]);
    });

    it("containers that die meanwhile", async () => {
      const own = testScope();
      const containers = await Promise.all(
        Array.from({ length: 8 }, () => Container.start(own, { memory: MEMORY })),
      );
      const runs = containers.map(async (container) => {
        const done = attach(daemon, container.init, ["--json"]);
        await container.kill();
        return done;
      });
      for (const outcome of await Promise.all(runs)) {
        expect(outcome.status).toBe(0);
      }
      expect(await daemon.isServing()).toBe(true);
    });
  });

  describeLive("the commands", ["lxc-create", "lxc-start", "busybox"], () => {
    it("attach by name, and leave alone what was detached", async () => {
      const own = testScope();
      const container = await LxcContainer.start(own, LIMITS);
      const { identityOf } = loadAddon();
      const isLeftAlone = (): boolean => {
        const found = identityOf(container.init);
        return found !== null && new LeftAlone(identityOf).has(found);
      };
      const on = ["--mountpoint", daemon.mountpoint, container.name];
      const attached = await vprocfs("attach", ...on);
      expect(`${attached.stdout}`).toBe(
        `${container.name}: ${PLACES.length} attached, 0 already mounted\n`,
      );
      expect(memTotalKb(await container.output(["cat", "/proc/meminfo"]))).toBe(128 * 1024);
      const again = await vprocfs("attach", ...on);
      expect(`${again.stdout}`).toBe(
        `${container.name}: 0 attached, ${PLACES.length} already mounted\n`,
      );
      const gone = `${container.name}: ${PLACES.length} detached\n`;
      expect(`${(await vprocfs("detach", "--for-now", ...on)).stdout}`).toBe(gone);
      expect(isLeftAlone()).toBe(false);
      await vprocfs("attach", ...on);
      expect(`${(await vprocfs("detach", ...on)).stdout}`).toBe(gone);
      expect(filesOf(container.init)).toEqual([]);
      expect(isLeftAlone()).toBe(true);
      await vprocfs("attach", "--automatic", ...on);
      expect(filesOf(container.init)).toEqual([]);
      expect(isLeftAlone()).toBe(true);
    });

    it("attach automatically what is not excluded, also where the watcher is off", async () => {
      const own = testScope();
      const container = await LxcContainer.start(own, LIMITS);
      const config = join(temporaryDirectory(own, "config"), "vprocfs.toml");
      const on = ["--config", config, "--mountpoint", daemon.mountpoint, container.name];
      const filesWith = async (toml: string): Promise<string[]> => {
        writeFileSync(config, toml);
        expect((await vprocfs("attach", "--automatic", ...on)).status).toBe(0);
        return filesOf(container.init);
      };
      expect(await filesWith(`attach-exclude = "lxc:${container.name}"`)).toEqual([]);
      expect(await filesWith('attach-only = "others*"')).toEqual([]);
      expect(await filesWith('watch = "off"')).toEqual(PLACES);
    });

    it("names what is wrong", async () => {
      const none = await vprocfs("attach", "--mountpoint", daemon.mountpoint, "no-such");
      expect(none).toMatchObject({ status: 1 });
      expect(none.stderr).toContain("no container 'no-such'");
      expect(await vprocfs("attach", "--mountpoint", daemon.mountpoint)).toMatchObject({
        status: 2,
        stderr: "vprocfs: name either a container or --all\n",
      });
    });
  });

  describeLive("in place of LXCFS", ["lxcfs"], () => {
    it.each([
      ["--replace", ["--replace"]],
      ["--replace-lxcfs on", ["--replace-lxcfs", "on"]],
      ["--replace-lxcfs yes", ["--replace-lxcfs", "yes"]],
    ])("replaces its mounts while it serves, when asked to by %s", async (_, asked) => {
      const own = testScope();
      const directory = temporaryDirectory(own, "lxcfs");
      const pidFile = join(temporaryDirectory(own, "run"), "pid");
      background(own, ["lxcfs", "-f", "-p", pidFile, directory]);
      own.defer(() => run(["umount", "--lazy", directory]));
      await until("LXCFS serves", () => existsSync(join(directory, "proc/meminfo")));
      const bound = ["proc/meminfo", "proc/stat", "proc/uptime", "sys/devices/system/cpu/online"];
      const binds = bound.map((file) => [join(directory, file), `/${file}`] as const);
      const container = await Container.start(own, { memory: MEMORY, binds });
      // Its own alone, or ours alone: figures of both in one container do not fit each other.
      expect(statesOf(await report(daemon, container.init))).toEqual(["left"]);
      expect(filesOf(container.init)).toEqual([]);
      await report(daemon, container.init, asked);
      const theirs = () =>
        mountsOf(container.init).filter(({ source, root }) => source === "lxcfs" && root !== "/");
      expect(theirs()).toEqual([]);
      expect(filesOf(container.init)).toEqual(PLACES);
      expect(memTotalKb(await container.read("/proc/meminfo"))).toBe(MEMORY / 1024);
      // Nothing of it comes to light again.
      await report(daemon, container.init, ["--detach"]);
      expect(theirs()).toEqual([]);
    });

    it("comes to the same in whatever order the two were mounted", async () => {
      const own = testScope();
      const directory = temporaryDirectory(own, "lxcfs");
      const pidFile = join(temporaryDirectory(own, "run"), "pid");
      background(own, ["lxcfs", "-f", "-p", pidFile, directory]);
      own.defer(() => run(["umount", "--lazy", directory]));
      await until("LXCFS serves", () => existsSync(join(directory, "proc/meminfo")));
      const bound = ["proc/meminfo", "proc/stat", "proc/uptime"];
      const theirs = (pid: number) =>
        mountsOf(pid).filter(({ source, root }) => source === "lxcfs" && root !== "/").length;
      for (const flags of [[], ["--replace"]]) {
        const container = await Container.start(own, { memory: MEMORY });
        await report(daemon, container.init);
        const binds = bound.map((file) => `mount --bind ${join(directory, file)} /${file}`);
        await container.shell(binds.join("; "));
        expect(theirs(container.init)).toBe(bound.length);
        for (let times = 0; times < 2; times += 1) {
          const { files } = await report(daemon, container.init, flags);
          expect(files.filter(({ state }) => state === "failed")).toEqual([]);
          const replaced = flags.length > 0;
          expect(filesOf(container.init)).toEqual(replaced ? PLACES : []);
          expect(theirs(container.init)).toBe(replaced ? 0 : bound.length);
          expect(memTotalKb(await container.read("/proc/meminfo"))).toBe(MEMORY / 1024);
        }
      }
    });
  });

  it("takes a whole directory that LXCFS's hook has bound for what it is", async () => {
    const own = testScope();
    const other = await Daemon.start(own);
    const binds = [[other.path("proc/pressure"), "/proc/pressure"]] as const;
    const container = await Container.start(own, { memory: MEMORY, binds });
    const pressure = async (flags: readonly string[] = []) => {
      const { files } = await report(daemon, container.init, flags);
      return files.filter(({ path }) => path.startsWith("/proc/pressure"));
    };
    const path = "/proc/pressure";
    expect(await pressure()).toMatchObject([{ path, state: "left" }]);
    other.kill();
    await until("it is dead", () => other.hasEnded);
    await output(["umount", "--lazy", other.mountpoint]);
    expect(await pressure(["--leave", path])).toEqual([]);
    expect(await pressure()).toMatchObject([{ path, state: "replaced" }]);
    expect(await pressure()).toMatchObject([{ path, state: "present" }]);
    expect(await container.read("/proc/pressure/cpu")).toMatch(/^some avg10=/);
    await report(daemon, container.init, ["--detach"]);
    expect(filesOf(container.init)).toEqual([]);
  });
});
