// The tree as the kernel shows it: names, attributes, rights and errors.

import { spawn } from "node:child_process";
import { constants, readFileSync, statfsSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { mountAt, readMounts } from "../../src/mountinfo.js";
import { MIB } from "../support/cgroups.js";
import { output, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, SETTLED, SYSFS, VIEWS, vprocfs } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import type { Answer, Syscalls } from "../support/syscalls.js";
import { Syscalls as Calls } from "../support/syscalls.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const DIRECTORY = 4;
const REGULAR = 8;
const LINK = 10;
const NOBODY = 65534;

/** Files of the host whose length is the same for as long as nobody changes its hardware, disks or swap. */
const HOST_STEADY = [
  "proc/cpuinfo",
  "proc/meminfo",
  "proc/partitions",
  "proc/swaps",
  "sys/devices/system/cpu/online",
];

/**
 * What `look` finds while `mark` says the same of the kernel's own file before and after it: others, such as tests
 * that run at the same time, make swap and disks.
 */
async function whileSteady<M, T>(
  view: string,
  mark: (text: string) => M,
  look: () => Promise<T>,
): Promise<{ readonly found: T; readonly mark: M }> {
  const now = (): M => mark(readFileSync(`/${view}`, "utf8"));
  return until(`/${view} stays as it is`, async () => {
    const before = now();
    const found = await look();
    return now() === before && { found, mark: before };
  });
}

describeLive("the mounted tree", ["busybox", "df"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let a: Container;
  let b: Container;

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
    a = await Container.start(scope, { name: "a", memory: 64 * MIB });
    b = await Container.start(scope, { name: "b", memory: 128 * MIB });
  });

  it("is a file system of the type that others look for, and takes no room", async () => {
    expect(mountAt(readMounts(), daemon.mountpoint)).toMatchObject({
      fsType: "fuse.lxcfs",
      source: "vprocfs",
      root: "/",
    });
    expect(statfsSync(daemon.mountpoint)).toMatchObject({ blocks: 0, bfree: 0, bavail: 0 });
    // Not this machine's other mounts, of which df may complain.
    expect(`${(await run(["df"])).stdout}`).not.toContain(daemon.mountpoint);
    expect(`${(await run(["df", "-a"])).stdout}`).toContain(daemon.mountpoint);
  });

  it("lists its entries with their types, the same as stat has them", async () => {
    const calls = Calls.start(testScope());
    const types = async (path: string): Promise<Record<string, number>> => {
      const entries = await calls.list(path);
      return Object.fromEntries(entries.map(({ name, type }) => [name, type]));
    };
    const dots = { ".": DIRECTORY, "..": DIRECTORY };
    const top = { proc: DIRECTORY, sys: DIRECTORY };
    expect(await types(daemon.mountpoint)).toEqual({
      ...dots,
      ...top,
      containers: DIRECTORY,
      cgroup: DIRECTORY,
      self: LINK,
    });
    expect(await types(daemon.path("cgroup"))).toEqual(dots);
    const files = VIEWS.filter((view) => view.startsWith("proc/")).map((view) => view.slice(5));
    const entryOf = (name: string): [string, number] => {
      const [directory = ""] = name.split("/");
      // Files that are polled are elsewhere.
      return directory === name ? [name, REGULAR] : [directory, LINK];
    };
    const proc = { ...dots, ...Object.fromEntries(files.map(entryOf)) };
    expect(await types(daemon.path("proc"))).toEqual(proc);
    for (const path of SYSFS) {
      expect(await types(daemon.path(path))).toEqual(await types(`/${path}`));
    }
    const own = daemon.path("containers", await a.id(daemon));
    expect(await types(own)).toEqual({ ...dots, ...top });
    expect(await types(`${own}/proc`)).toEqual(proc);
    for (const entry of await calls.list(`${own}/proc`)) {
      if (entry.type === REGULAR) {
        const attributes = await calls.stat(`${own}/proc/${entry.name}`);
        expect(attributes.ino).toBe(entry.ino);
      }
    }
  });

  it("has inode numbers that 32-bit programs can take", async () => {
    const calls = Calls.start(testScope());
    const own = daemon.path("containers", await a.id(daemon));
    // What is mirrored has the longest node ids.
    for (const path of ["proc", "sys/devices/system/cpu", "sys/devices/system/cpu/cpu0"]) {
      const { ino } = await calls.stat(`${own}/${path}`);
      const listed = await calls.list(`${own}/${path}`);
      for (const number of [ino, ...listed.map((entry) => entry.ino)]) {
        expect(Number(number)).toBeGreaterThan(0);
        expect(Number(number)).toBeLessThan(2 ** 32);
      }
      expect(listed.find(({ name }) => name === ".")?.ino).toBe(ino);
    }
  });

  it("has the kernel's modes and owners", async () => {
    const calls = Calls.start(testScope());
    for (const view of VIEWS) {
      const theirs = await calls.stat(`/${view}`);
      const ours = await calls.stat(daemon.path(view));
      const { mode, uid, gid } = theirs;
      expect({ view, ...ours }).toMatchObject({ view, mode, uid, gid, links: 1 });
    }
    for (const directory of [".", "proc", "sys", "containers", "cgroup"]) {
      expect((await calls.stat(daemon.path(directory))).mode).toBe(0o40555);
    }
  });

  it("tells of each open file the size that a reader gets", async () => {
    const own = testScope();
    for (const [reader, calls] of [
      ["host", Calls.start(own)],
      ["container", a.syscalls(own)],
    ] as const) {
      for (const view of VIEWS) {
        for (let round = 0; round < 20; round += 1) {
          const look = async () => {
            const fd = await calls.open(daemon.path(view));
            const before = await calls.fstat(fd);
            const text = await calls.rest(fd);
            const after = await calls.fstat(fd);
            await calls.close(fd);
            return { before, text, after };
          };
          // The host's time goes on, and the length of its figures with it.
          const isSteady = reader === "host" ? HOST_STEADY.includes(view) : SETTLED.includes(view);
          const { before, text, after } =
            isSteady && reader === "host"
              ? (await whileSteady(view, (kernels) => kernels.length, look)).found
              : await look();
          if (isSteady) {
            expect({ reader, view, size: before.size }).toEqual({
              reader,
              view,
              size: text.length,
            });
          }
          if (isSteady || reader === "container") {
            expect({ reader, view, size: after.size }).toEqual({ reader, view, size: text.length });
          }
        }
      }
    }
  });

  it("tells other threads of the process the same size", async () => {
    const own = testScope();
    const small = await Container.start(own, { name: "small", memory: 64 * MIB });
    const paths = [
      [small.syscalls(own), daemon.path("proc/zoneinfo")],
      [Calls.start(own), daemon.path("containers", await small.id(daemon), "proc/zoneinfo")],
    ] as const;
    for (const [calls, path] of paths) {
      small.cgroup.limit({ memory: 64 * MIB });
      const fd = await calls.open(path);
      // Figures get more digits, and whoever opens it now another size.
      small.cgroup.limit({ memory: 64 * 1024 * MIB });
      const { size } = await calls.fstatElsewhere(fd);
      const text = await calls.rest(fd);
      await calls.close(fd);
      expect(size).toBe(text.length);
    }
  });

  it("self leads everybody to what is theirs", async () => {
    expect(await output(["readlink", daemon.path("self")])).toBe(".\n");
    const ids = [await a.id(daemon), await b.id(daemon)];
    expect(new Set(ids).size).toBe(2);
    for (const [index, container] of [a, b].entries()) {
      const through = await container.read(daemon.path("self/proc/meminfo"));
      const named = await daemon.read("containers", ids[index] ?? "", "proc/meminfo");
      const total = /^MemTotal.*$/m.exec(named)?.[0];
      expect(total).toBe(`MemTotal:       ${String((index + 1) * 65536).padStart(8)} kB`);
      expect(through).toContain(total);
    }
  });

  it("leads those in a container from proc and sys to their own, and never takes a name from what is bound", async () => {
    const id = await a.id(daemon);
    const links = await a.shell(`readlink ${daemon.path("proc")} ${daemon.path("sys")}`);
    expect(links).toBe(`containers/${id}/proc\ncontainers/${id}/sys\n`);
    expect(await a.shell(`ls -d ${daemon.path("proc")}/meminfo`)).toContain("meminfo");
    await a.shell(`mount --bind ${daemon.path("proc/meminfo")} /proc/meminfo`);
    // The next one to look the same path up.
    await b.read(daemon.path("proc/meminfo"));
    const shown = await a.shell(
      "grep ' /proc/meminfo ' /proc/self/mountinfo; umount /proc/meminfo",
    );
    expect(shown).toContain(` /containers/${id}/proc/meminfo /proc/meminfo `);
    expect((await run(["readlink", daemon.path("proc")])).status).toBe(1);
  });

  it("lets a program start that closes the first open file", async () => {
    // The kernel keeps a program's namespaces from being read while its execve(2) closes files.
    const own = await Daemon.start(testScope(), "--no-keeper");
    const script = `
      require("fs").openSync(process.argv[1], "r");
      process.exit(require("child_process").spawnSync("true").status);
    `;
    const child = spawn(process.execPath, ["-e", script, own.path("proc/uptime")]);
    await until("it has started one", () => child.exitCode !== null);
    expect(child.exitCode).toBe(0);
  });

  it("shows a process of the host what the kernel shows it", async () => {
    for (const view of ["proc/cpuinfo", "proc/swaps", "sys/devices/system/cpu/online"] as const) {
      const blind = (text: string): string => text.replaceAll(/^cpu MHz.*$/gm, "");
      const { found, mark } = await whileSteady(view, blind, () => daemon.read(view));
      expect(blind(found)).toBe(mark);
    }
    const labels = (text: string): string[] => text.match(/^[^:]+:/gm) ?? [];
    const ours = labels(await daemon.read("proc/meminfo"));
    expect(ours).toEqual(labels(readFileSync("/proc/meminfo", "utf8")));
  });

  describe("containers/", () => {
    it("lets the host see every container", async () => {
      const listed = (await output(["ls", daemon.path("containers")])).split("\n");
      expect(listed).toContain(await a.id(daemon));
      expect(listed).toContain(await b.id(daemon));
      const ls = await vprocfs("ls", "--json");
      const known: { id: string; name: string; memoryLimit: number }[] = JSON.parse(`${ls.stdout}`);
      expect(known).toContainEqual(
        expect.objectContaining({
          id: await b.id(daemon),
          name: b.cgroup.name,
          memoryLimit: 128 * MIB,
          init: b.init,
        }),
      );
    });

    it("lets a container see itself only", async () => {
      const id = await a.id(daemon);
      const other = await b.id(daemon);
      expect(await a.output(["ls", daemon.path("containers")])).toBe(`${id}\n`);
      const calls = a.syscalls(testScope());
      // Before and after somebody who may has looked it up.
      for (const path of [`${other}`, `${other}/proc`, `${other}/proc/meminfo`]) {
        const full = daemon.path("containers", path);
        expect(await calls.call("stat", full)).toMatchObject({ error: "ENOENT" });
        await output(["stat", full]);
        expect(await calls.call("stat", full)).toMatchObject({ error: "ENOENT" });
        expect(await calls.call("open", 0, full)).toMatchObject({ error: "ENOENT" });
      }
      expect((await calls.file(daemon.path("containers", id, "proc/meminfo"))).length).toBe(
        (await a.read(daemon.path("proc/meminfo"))).length,
      );
    });

    it("has no other names", async () => {
      const calls = Calls.start(testScope());
      const id = await a.id(daemon);
      for (const name of ["0", "x", `0${id}`, `${id}0`, `+${id}`, "1", "a".repeat(255), "%s"]) {
        const answer = await calls.call("stat", daemon.path("containers", name));
        expect({ name, error: answer.error }).toEqual({ name, error: "ENOENT" });
      }
    });
  });

  describe("what cannot be done", () => {
    /** Each as the kernel's own file answers it, for one user. */
    async function compare(calls: Syscalls, real: string, ours: string): Promise<void> {
      const answers: string[] = [];
      const expected: string[] = [];
      const both = async (...words: (string | number)[]): Promise<void> => {
        const outcome = ({ result, error }: Answer): string => error ?? (result < 0 ? "?" : "done");
        const fill = (path: string) => words.map((word) => (word === "PATH" ? path : word));
        expected.push(`${words.join(" ")}: ${outcome(await calls.call(...fill(real)))}`);
        answers.push(`${words.join(" ")}: ${outcome(await calls.call(...fill(ours)))}`);
      };
      const { O_WRONLY, O_RDWR, O_RDONLY, O_TRUNC, O_CREAT, O_EXCL, O_APPEND } = constants;
      for (const flags of [
        O_RDONLY,
        O_WRONLY,
        O_RDWR,
        O_WRONLY | O_TRUNC,
        O_WRONLY | O_APPEND,
        O_RDONLY | O_CREAT,
        O_WRONLY | O_CREAT | O_EXCL,
        O_RDONLY | constants.O_DIRECTORY,
      ]) {
        await both("open", flags, "PATH");
      }
      for (const mode of [0, 1, 2, 4]) {
        await both("access", mode, "PATH");
      }
      for (const call of ["unlink", "mkdir", "mknod", "symlink"]) {
        await both(call, "PATH");
      }
      expect(answers).toEqual(expected);
    }

    it.each(["root", "nobody"])("answers %s as the kernel's file does", async (user) => {
      const calls = Calls.start(testScope());
      if (user === "nobody") {
        await calls.must("setuid", NOBODY);
      }
      for (const view of ["proc/meminfo", "proc/stat", "proc/uptime"] as const) {
        await compare(calls, `/${view}`, daemon.path(view));
      }
    });

    it("has no new names, for nobody and for root", async () => {
      const calls = Calls.start(testScope());
      const create = constants.O_WRONLY | constants.O_CREAT;
      for (const user of ["root", "nobody"]) {
        if (user === "nobody") {
          await calls.must("setuid", NOBODY);
        }
        for (const path of [daemon.path("x"), daemon.path("proc/x"), daemon.path("containers/1")]) {
          for (const words of [["mkdir"], ["mknod"], ["symlink"], ["open", create]]) {
            const { error } = await calls.call(...words, path);
            expect(error).toMatch(/^(EPERM|EACCES|ENOENT)$/);
          }
        }
        for (const word of ["rename", "link"]) {
          const { error } = await calls.call(word, daemon.path("proc/meminfo"));
          expect(error).toMatch(/^(EPERM|EACCES|ENOENT)$/);
        }
      }
    });

    it("takes no writes, no changes and no unknown ioctl", async () => {
      const calls = Calls.start(testScope());
      const real = await calls.open("/proc/meminfo", constants.O_RDWR);
      const ours = await calls.open(daemon.path("proc/meminfo"), constants.O_RDWR);
      const before = await calls.pread(ours, 65536, 0);
      const answers: unknown[] = [];
      const expected: unknown[] = [];
      for (const words of [
        ["write", 8],
        ["ioctl", 0x5401],
        ["ioctl", 0x12345],
        ["ioctl", 0xc0045877],
        ["fallocate"],
        ["fsync"],
        ["flock"],
        ["poll"],
      ]) {
        const [word = "", ...rest] = words;
        const theirs = await calls.call(word, real, ...rest);
        const answer = await calls.call(word, ours, ...rest);
        answers.push({ words, error: answer.error });
        expected.push({ words, error: theirs.error });
      }
      expect(answers).toEqual(expected);
      for (const words of [
        ["chmod", 0o777],
        ["chown", 1],
        ["utimes"],
        ["setxattr"],
        ["getxattr"],
        ["truncate", 0],
      ]) {
        const { error } = await calls.call(...words, daemon.path("proc/meminfo"));
        expect({ words, error }).not.toEqual({ words, error: "ENOSYS" });
      }
      expect((await calls.pread(ours, 65536, 0)).length).toBe(before.length);
      expect(await daemon.isServing()).toBe(true);
    });
  });
});
