// The directories of sysfs in containers: who sees what of them, in both contracts.

import { constants, existsSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { readStatus } from "../../src/keeper-status.js";
import { MIB } from "../support/cgroups.js";
import { haveProgram, run } from "../support/command.js";
import { bindsOf, Container, type ContainerOptions } from "../support/container.js";
import { Daemon, SYSFS, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { cpuList } from "../support/procfile.js";
import { program } from "../support/programs.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

withStandby();

const CPU = "/sys/devices/system/cpu";
const NODE = "/sys/devices/system/node";
const USER_BASE = 400_000;
const cpus = cpuList(readFileSync(`${CPU}/online`, "utf8"));

/** Lines "PATH TYPE MODE OWNER LINK" of all that is below. */
const WALK = 'find "$@" -mindepth 1 -printf "%p %y %m %U:%G %l\\n" | sort';
/** Files that cat can read. */
const READABLE =
  'find "$@" -type f -exec sh -c \'for f; do cat "$f" >/dev/null 2>&1 && echo "$f"; done\' sh {} + | sort';

const NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];

function lines(text: string): string[] {
  return text.split("\n").filter(Boolean);
}

/** What is left of a CPU that is offline. */
const BARE =
  /^\/sys\/devices\/system\/cpu\/cpu\d+(\/(online|uevent|subsystem|driver|firmware_node))?$/;

/** The CPUs whose directories stay: below the highest shown one, and where one alone would be left. */
function bareOf(shown: readonly number[]): number[] {
  const others = cpus.filter((cpu) => !shown.includes(cpu));
  return others.filter((cpu, i) => cpu < Math.max(...shown) || (shown.length === 1 && i === 0));
}

/** What the host has that is hidden from a container with these CPUs of all. */
function isHidden(path: string, shown: readonly number[]): boolean {
  const cpu = /\/cpu(\d+)(?:\/|$| )/.exec(path)?.[1];
  const memory = /^\/sys\/devices\/system\/node\/node\d+\/memory\d+/.test(path);
  if (cpu === undefined || shown.includes(Number(cpu))) {
    return memory;
  }
  return !bareOf(shown).includes(Number(cpu)) || !BARE.test(path);
}

describeLive("directories of sysfs", ["busybox", "setpriv", "lscpu"], () => {
  describe.each(["exact", "tick"])("in %s", (consistency) => {
    const scope = fileScope();
    let daemon: Daemon;
    /** Its own /sys, as the host's kernel shows it to such a container. */
    let native: Container;
    let one: Container;
    let mapped: Container;
    let mappedNative: Container;

    function start(options: ContainerOptions): Promise<Container> {
      const binds = SYSFS.map((path) => [daemon.path("self", path), `/${path}`] as const);
      return Container.start(scope, { ...options, binds });
    }

    beforeAll(async () => {
      daemon = await Daemon.start(scope, "--consistency", consistency);
      native = await Container.start(scope, { name: "native" });
      one = await start({ name: "one", memory: 96 * MIB, quota: 1 });
      mapped = await start({ name: "mapped", memory: 96 * MIB, userBase: USER_BASE });
      mappedNative = await Container.start(scope, { name: "plain", userBase: USER_BASE });
    });

    it("have the host's names, types, modes, owners and links, but for CPUs not shown", async () => {
      const script = ["/bin/sh", "-c", WALK, "sh", ...SYSFS.map((path) => `/${path}`)];
      const theirs = lines(await native.output(script));
      const shown = cpus.slice(0, 1);
      expect(lines(await one.output(script))).toEqual(
        theirs.filter((line) => !isHidden(line.split(" ")[0] ?? "", shown)),
      );
      const all = theirs.filter((line) => !isHidden(line.split(" ")[0] ?? "", cpus));
      expect(lines(await mapped.output(script))).toEqual(
        // Outside of the user namespace, root is nobody.
        all.map((line) => line.replace(/ 0:0 /, " 65534:65534 ")),
      );
    });

    it.each([
      ["root", [], false],
      ["nobody", NOBODY, false],
      ["root of a user namespace", [], true],
      ["nobody of a user namespace", NOBODY, true],
    ] as const)(
      "%s reads what he could read natively, and no more",
      async (_, prefix, isMapped) => {
        const script = [...prefix, "/bin/sh", "-c", READABLE, "sh", ...SYSFS.map((p) => `/${p}`)];
        const theirs = lines(await (isMapped ? mappedNative : native).output(script));
        const shown = isMapped ? cpus : cpus.slice(0, 1);
        const ours = lines(await (isMapped ? mapped : one).output(script));
        expect(ours).toEqual(theirs.filter((path) => !isHidden(path, shown)));
        expect(ours.length).toBeGreaterThan(50);
      },
    );

    it("pass through what the host's files say", async () => {
      const calls = one.syscalls(testScope());
      const cpu = `${CPU}/cpu${cpus[0]}`;
      for (const path of [`${CPU}/kernel_max`, `${CPU}/modalias`, `${cpu}/topology/core_id`]) {
        expect(await calls.file(path)).toBe(readFileSync(path, "utf8"));
      }
      const read = await one.output(["busybox", "cat", `${CPU}/kernel_max`]);
      expect(read).toBe(readFileSync(`${CPU}/kernel_max`, "utf8"));
    });

    it("lead with their links into the container's own /sys", async () => {
      const target = await one.output(["readlink", "-f", `${CPU}/cpu${cpus[0]}/subsystem`]);
      expect(target).toBe("/sys/bus/cpu\n");
      expect(await one.output(["ls", `${CPU}/cpu${cpus[0]}/subsystem/`])).toContain("devices\n");
      if (SYSFS.includes("sys/devices/system/node")) {
        const node = /node\d+/.exec(await one.output(["ls", `${CPU}/cpu${cpus[0]}`]))?.[0];
        const inside = await one.output(["readlink", "-f", `${CPU}/cpu${cpus[0]}/${node}`]);
        expect(inside).toBe(`${NODE}/${node}\n`);
      }
    });

    it("cannot be written, and the host's files stay as they are", async () => {
      const own = testScope();
      const last = cpus.at(-1);
      const online = `${CPU}/cpu${last}/online`;
      const calls = mapped.syscalls(own);
      const root = one.syscalls(own);
      const before = readFileSync(`${CPU}/online`, "utf8");
      // One that is passed through, and some that are made here.
      const files = ["uevent", "online", "possible", "present", "offline"];
      for (const file of files.map((name) => `${CPU}/${name}`)) {
        for (const flags of [
          constants.O_WRONLY,
          constants.O_RDWR,
          constants.O_WRONLY | constants.O_TRUNC,
        ]) {
          const answer = await root.call("open", flags, file);
          // Without OPEN it is the write that fails.
          const { error } =
            answer.error === undefined ? await root.call("write", answer.result, 4) : answer;
          // udevadm goes on with other devices.
          const expected = file.endsWith("/uevent") ? "ENODEV" : "EROFS";
          expect({ file, flags, error }).toEqual({ file, flags, error: expected });
          expect((await calls.call("open", flags, file)).error).toBe("EACCES");
        }
        for (const words of [
          ["mkdir"],
          ["unlink"],
          ["chmod", 0o777],
          ["truncate", 0],
          ["rename"],
        ]) {
          expect((await root.call(...words, file)).error).toMatch(
            /^E(EXIST|NOENT|PERM|ROFS|ACCES)$/,
          );
        }
        // The kernel answers it alone in tick, where it does not ask whether the file system is read-only.
        const { error } = await root.call("access", 2, file);
        expect(error).toBe(consistency === "tick" ? undefined : "EROFS");
      }
      if (existsSync(online)) {
        await one.run(["/bin/sh", "-c", `echo 0 >${online}`]);
      }
      expect(readFileSync(`${CPU}/online`, "utf8")).toBe(before);
    });

    it("refuse new names as the kernel's own do", async () => {
      const own = testScope();
      const pairs = [
        [one, native],
        [mapped, mappedNative],
      ] as const;
      for (const [container, model] of pairs) {
        const [ours, theirs] = [container.syscalls(own), model.syscalls(own)];
        for (const directory of [CPU, `${CPU}/cpu${cpus[0]}`, `${CPU}/cpu${cpus[0]}/topology`]) {
          const name = `${directory}/new`;
          for (const words of [
            ["mkdir", name],
            ["mknod", name],
            ["symlink", name],
            ["unlink", `${directory}/uevent`],
            ["open", constants.O_CREAT, name],
            ["open", constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, name],
          ] as const) {
            const { error } = await ours.call(...words);
            const expected = (await theirs.call(...words)).error;
            expect({ words, error }).toEqual({ words, error: expected });
          }
        }
      }
    });

    it("agree for lscpu and all that counts CPUs", async () => {
      const parsed = lines(await one.output(["lscpu", "-p=CPU"])).filter((l) => !l.startsWith("#"));
      expect(parsed.map(Number)).toEqual(cpus.slice(0, 1));
      const summary = await one.output(["lscpu"]);
      expect(summary).toMatch(/^CPU\(s\): +1$/m);
      expect(summary).not.toMatch(/Off-line/);
      // By directories or by `possible`: threads run on all of them.
      const conf = Number(await one.output(["getconf", "_NPROCESSORS_CONF"]));
      expect(conf).toBeGreaterThanOrEqual(Math.min(cpus.length, 2));
      expect(await one.output(["getconf", "_NPROCESSORS_ONLN"])).toMatch(/^\d+\n$/);
    });

    it.runIf(SYSFS.includes("sys/devices/system/node"))(
      "have its memory on its nodes",
      async () => {
        const meminfo = await one.output(["/bin/sh", "-c", `cat ${NODE}/node*/meminfo`]);
        const totals = [...meminfo.matchAll(/^Node \d+ MemTotal: +(\d+) kB$/gm)];
        expect(totals.reduce((sum, [, kb]) => sum + Number(kb), 0)).toBe(96 * 1024);
        const list = await one.output(["/bin/sh", "-c", `cat ${NODE}/node*/cpulist`]);
        expect(lines(list).flatMap(cpuList)).toEqual(cpus.slice(0, 1));
      },
    );

    it.runIf(haveProgram("numactl"))("agree for numactl", async () => {
      const hardware = await one.output(["numactl", "--hardware"]);
      const sizes = [...hardware.matchAll(/^node \d+ size: (\d+) MB$/gm)];
      expect(sizes.reduce((sum, [, mb]) => sum + Number(mb), 0)).toBe(96);
      expect(hardware).toMatch(new RegExp(`^node \\d+ cpus: ${cpus[0]}$`, "m"));
    });

    it.runIf(cpus.length > 1)("follow a change of limits, directories held open too", async () => {
      const own = testScope();
      const calls = one.syscalls(own);
      const second = `${CPU}/cpu${cpus[1]}`;
      const coreId = `${second}/topology/core_id`;
      const names = async (): Promise<string[]> =>
        (await calls.list(CPU)).map(({ name }) => name).filter((name) => /^cpu\d+$/.test(name));
      const error = async (path: string): Promise<string | undefined> =>
        (await calls.call("stat", path)).error;
      expect(await error(coreId)).toBe("ENOENT");
      one.cgroup.limit({ quota: 2 });
      own.defer(async () => one.cgroup.limit({ quota: 1 }));
      await until("it can be read", async () => !(await error(coreId)));
      expect(await names()).toHaveLength(2);
      const file = await calls.open(coreId);
      one.cgroup.limit({ quota: 1 });
      await until("one is shown", async () => (await error(coreId)) === "ENOENT");
      // What is open stays whole.
      expect(await calls.rest(file)).toBe(readFileSync(coreId, "utf8"));
      one.cgroup.limit({ quota: 1, cpuset: `${cpus[0]}` });
      own.defer(async () => one.cgroup.limit({ cpuset: `${cpus[0]}-${cpus.at(-1)}` }));
      await until("it is gone", async () => (await error(second)) === "ENOENT");
      expect(await names()).toEqual([`cpu${cpus[0]}`]);
    });

    it.runIf(cpus.length > 1)("have the next CPU as the kernel shows one that is off", async () => {
      const bare = `${CPU}/cpu${cpus[1]}`;
      expect(await one.output(["cat", `${bare}/online`])).toBe("0\n");
      expect((await one.run(["ls", `${bare}/topology`])).status).not.toBe(0);
      expect(await one.output(["cat", `${CPU}/present`])).toBe(`${cpus[0]}\n`);
      expect(cpuList(await one.output(["cat", `${CPU}/offline`]))).toEqual(cpus.slice(1));
      expect(await one.output(["cat", `${CPU}/possible`])).toBe(
        readFileSync(`${CPU}/possible`, "utf8"),
      );
    });

    // The kernel writes a value for every possible CPU, into room for as many as libbpf has counted.
    it.runIf(haveProgram("bpftool"))(
      "have bpftool read maps that are kept for each CPU",
      async () => {
        const make = "type percpu_array key 4 value 64 entries 64 name each";
        const { status, stdout, stderr } = await one.run([
          ...["unshare", "--mount", "sh", "-ec"],
          "mount -t bpf bpf /mnt; " +
            `bpftool map create /mnt/map ${make}; bpftool -j map dump pinned /mnt/map`,
        ]);
        expect(status, `${stderr}`).toBe(0);
        const elements: { values: { cpu: number }[] }[] = JSON.parse(`${stdout}`);
        expect(elements).toHaveLength(64);
        const possible = cpuList(readFileSync(`${CPU}/possible`, "utf8"));
        for (const { values } of elements) {
          expect(values.map(({ cpu }) => cpu)).toEqual(possible);
        }
      },
    );

    it("keep what is held open over a worker's death", async () => {
      const own = testScope();
      const calls = one.syscalls(own);
      const path = `${CPU}/cpu${cpus[0]}/topology/package_cpus_list`;
      const fd = await calls.open(path);
      const text = await calls.file(path);
      const { workerPid, restarts } = await readStatus(daemon.mountpoint);
      process.kill(workerPid, "SIGKILL");
      await until("another serves", async () => {
        return (await readStatus(daemon.mountpoint)).restarts > restarts;
      });
      expect(await calls.rest(fd, 1)).toBe(text);
      expect(await calls.file(path)).toBe(text);
      expect(await one.output(["/bin/sh", "-c", `cd ${CPU}/cpu${cpus[0]} && /bin/pwd`])).toBe(
        `${CPU}/cpu${cpus[0]}\n`,
      );
    });

    it("tell nobody of another container", async () => {
      const own = testScope();
      const other = await Container.start(own, { name: "other", cpuset: `${cpus.at(-1)}` });
      // By the names that are everybody's, in turns.
      for (let round = 0; round < 5; round += 1) {
        for (const [container, shown] of [
          [one, cpus.slice(0, 1)],
          [other, cpus.slice(-1)],
        ] as const) {
          const found = await container.output(["ls", daemon.path(CPU)]);
          const bare = container === one ? cpus.slice(1, 2) : cpus.slice(0, -1);
          const names = [...shown, ...bare].map((cpu) => `cpu${cpu}`);
          expect(found.match(/^cpu\d+$/gm)).toEqual(names.sort());
          const list = daemon.path(CPU, `cpu${shown[0]}`, "topology/package_cpus_list");
          expect(cpuList(await container.read(list))).toEqual(shown);
          // The host has none of CPU 0.
          for (const cpu of bare) {
            expect(await container.read(daemon.path(CPU, `cpu${cpu}`, "online"))).toBe("0\n");
            expect(await container.output(["ls", daemon.path(CPU, `cpu${cpu}`)])).toMatch(
              /^online$/m,
            );
          }
        }
      }
      const lost = daemon.path("containers", await one.id(daemon), CPU);
      expect((await other.run(["ls", lost])).status).not.toBe(0);
    });
  });

  it.runIf(SYSFS.includes(NODE.slice(1)))("what moves keeps its length in tick", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own, "--consistency", "tick");
    const container = await Container.start(own, { memory: 96 * MIB });
    const path = daemon.path("self", NODE, "node0/vmstat");
    const pages = (text: string): number => Number(/^nr_free_pages (\d+)/m.exec(text)?.[1]);
    const before = await container.read(path);
    container.start(own, [program("eat"), "64"]);
    expect(pages(before)).toBeGreaterThan(10_000);
    const after = await until("the figure has a digit less", async () => {
      const text = await container.read(path);
      return pages(text) < 10_000 && text;
    });
    expect(after.length).toBe(before.length);
  });

  it("a bind of online alone works as before", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own);
    const container = await Container.start(own, { quota: 1, binds: bindsOf(daemon) });
    expect(cpuList(await container.read(`${CPU}/online`))).toEqual(cpus.slice(0, 1));
    expect(lines(await container.output(["ls", CPU]))).toContain(`cpu${cpus.at(-1)}`);
    expect((await run(["ls", daemon.path(CPU)])).status).toBe(0);
  });
});
