// The engine over libfuse 2, against the native one: the same bytes for the same inputs.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  constants,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statfsSync,
} from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import { fuseNativeEngine } from "../../src/engine/fuse-native.js";
import { loadFusePackage } from "../../src/engine/fuse-native-package.js";
import { FuseTree } from "../../src/engine/fuse-tree.js";
import { messageOf } from "../../src/errors.js";
import { mountAt, readMounts } from "../../src/mountinfo.js";
import { loadAddon } from "../../src/native/addon.js";
import type { Renderer, TreeNode } from "../../src/native/binding.js";
import { MIB } from "../support/cgroups.js";
import { output, outputSync, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { cli, Daemon, removeLeft, SETTLED, SYSFS, VIEWS, vprocfs } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { Syscalls } from "../support/syscalls.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { renderFixture, views, viewsOf } from "../support/testing.js";
import { until } from "../support/wait.js";

function whyNot(): string {
  try {
    loadFusePackage();
    return "";
  } catch (error) {
    return ` (skipped: ${messageOf(error)})`;
  }
}

const lack = whyNot();

/** The files, and the directories that they imply, by path. */
function nodesOf(files: readonly { path: string; mode: number }[]): Map<string, TreeNode> {
  const own = { uid: 0, gid: 0, size: 0, isMirrored: false };
  const nodes = new Map<string, TreeNode>();
  for (const { path, mode } of files) {
    nodes.set(path, { ...own, mode: 0o100000 | mode, links: 1 });
    const names = path.split("/");
    for (const [depth, name] of names.entries()) {
      const parent = names.slice(0, depth).join("/");
      const others = nodes.get(parent)?.names ?? [];
      const all = [...new Set([...others, name])];
      nodes.set(parent, { ...own, mode: 0o040555, links: 2, names: all });
    }
  }
  return nodes;
}

function emptyMountpoint(scope: Scope): string {
  const mountpoint = mkdtempSync(join(tmpdir(), `${testName("fn")}-`));
  scope.defer(async () => {
    await removeLeft(mountpoint);
    rmdirSync(mountpoint);
  });
  return mountpoint;
}

/** A daemon with the engine under test. */
class FuseNative {
  logs = "";
  readonly child: ChildProcess;

  private constructor(
    readonly mountpoint: string,
    args: readonly string[],
  ) {
    // Where daemons of other tests may listen.
    const quiet = ["--watch", "off", "--metrics", "off", "--calls", "off"];
    const argv = [cli, "run", mountpoint, ...quiet, "--engine", "fuse-native", ...args];
    this.child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.logs += text;
      });
    }
  }

  static async start(scope: Scope, ...args: readonly string[]): Promise<FuseNative> {
    const daemon = new FuseNative(emptyMountpoint(scope), args);
    scope.defer(() => daemon.stop());
    await until(`serves: ${daemon.logs}`, () => {
      if (daemon.hasEnded) {
        throw new Error(`it did not start: ${daemon.logs}`);
      }
      return daemon.logs.includes('"msg":"serving"');
    });
    return daemon;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async stop(): Promise<number | null> {
    if (!this.hasEnded) {
      const ended = once(this.child, "exit");
      this.child.kill("SIGTERM");
      await ended;
    }
    return this.child.exitCode;
  }

  path(...names: readonly string[]): string {
    return join(this.mountpoint, ...names);
  }

  read(id: string, view: string): Promise<string> {
    return readFile(this.path("containers", id, view), "utf8");
  }
}

/** Digits out: what is left is the same whatever the time. */
function shape(text: string): string {
  return text.replaceAll(/\d+/g, "0").replaceAll(/ +/g, " ");
}

describeLive(`the engine fuse-native${lack}`, ["busybox", "df"], () => {
  describe.runIf(lack === "")("beside the native one", () => {
    const scope = fileScope();
    let native: Daemon;
    let other: FuseNative;
    let a: Container;
    let b: Container;
    let ids: string[];

    beforeAll(async () => {
      native = await Daemon.start(scope);
      other = await FuseNative.start(scope, "--max-open-per-container", "16");
      a = await Container.start(scope, { name: "a", memory: 64 * MIB, quota: 1 });
      b = await Container.start(scope, { name: "b", memory: 128 * MIB });
      ids = [await a.id(native), await b.id(native)];
    });

    it("lists the same containers and the same files", async () => {
      // Modes and where links lead, too; sizes of views are those of moments. Files that are polled are
      // a link of one engine's: what they lead to counts.
      const tree = async (root: string): Promise<string[]> => {
        const list = ["-printf", "%P %y %m %U:%G %l\n"];
        const polled = await output(["find", "-H", join(root, "proc/pressure"), ...list]);
        const found = await output(["find", root, "-path", "*/pressure*", "-prune", "-o", ...list]);
        return `${polled}${found}`
          .split("\n")
          .sort()
          .map((line) => line.replace(/ d (\d+) /, " d "));
      };
      await until("both list the same containers", async () => {
        const theirs = await readdir(native.path("containers"));
        const ours = await readdir(other.path("containers"));
        return `${theirs.sort()}` === `${ours.sort()}`;
      });
      for (const id of ids) {
        expect(await readdir(other.path("containers"))).toContain(id);
        expect(await tree(other.path("containers", id))).toEqual(
          await tree(native.path("containers", id)),
        );
      }
    });

    it("sysfs has the same bytes", async () => {
      const files = SYSFS.map((path) => `${path}/`);
      const find = 'cd "$0" && find "$@" -type f ! -name "*stat*" ! -name meminfo | sort';
      const read = 'while read -r f; do echo "$f"; cat "$f" 2>&1 | sed "s|^cat: .*: ||"; done';
      for (const id of ids) {
        const text = (root: string): Promise<string> =>
          output(["/bin/sh", "-c", `${find} | ${read}`, root, ...files]);
        const settled = (all: string): string =>
          all.replaceAll(/^.*\/(usage|time|rejected|above|below|runtime_.*time)\n.*$/gm, "");
        const theirs = settled(await text(native.path("containers", id)));
        expect(settled(await text(other.path("containers", id)))).toBe(theirs);
        expect(theirs.length).toBeGreaterThan(1000);
      }
    });

    const pressure = VIEWS.filter((view) => view.startsWith("proc/pressure/"));

    // Of containers that do nothing, so that they wait for nothing.
    it.each([...SETTLED, ...pressure])("%s has the same bytes", async (view) => {
      // Clocks, and what follows the host's free memory.
      const still = (text: string): string =>
        text.replaceAll(/^(cpu MHz|nr_dirty_.*threshold).*$/gm, "");
      for (const id of ids) {
        const [theirs, ours] = await until("a moment without change", async () => {
          const before = still(await native.read("containers", id, view));
          const between = still(await other.read(id, view));
          const after = still(await native.read("containers", id, view));
          return before === after && ([before, between] as const);
        });
        expect(ours).toBe(theirs);
      }
    });

    it("proc/uptime is of the same clock", async () => {
      for (const id of ids) {
        const uptime = (text: string): number => Number(text.split(" ")[0]);
        const before = await native.read("containers", id, "proc/uptime");
        const between = await other.read(id, "proc/uptime");
        const after = await native.read("containers", id, "proc/uptime");
        expect(shape(between)).toBe(shape(before));
        // A snapshot may be a tick old, the least digit a hundredth.
        expect(uptime(between)).toBeGreaterThanOrEqual(uptime(before) - 0.02);
        expect(uptime(between)).toBeLessThanOrEqual(uptime(after) + 0.02);
      }
    });

    it.runIf(existsSync("/proc/schedstat"))("proc/schedstat has the same lines", async () => {
      for (const id of ids) {
        const theirs = await native.read("containers", id, "proc/schedstat");
        expect(shape(await other.read(id, "proc/schedstat"))).toBe(shape(theirs));
      }
    });

    it("proc/stat has the same lines", async () => {
      for (const id of ids) {
        const theirs = await native.read("containers", id, "proc/stat");
        const ours = await other.read(id, "proc/stat");
        expect(shape(ours)).toBe(shape(theirs));
        expect(/^btime.*$/m.exec(ours)?.[0]).toBe(/^btime.*$/m.exec(theirs)?.[0]);
      }
    });

    it("proc/loadavg has the same form", async () => {
      for (const id of ids) {
        const form = (text: string): string => text.replaceAll(/\d+/g, "0");
        const theirs = await native.read("containers", id, "proc/loadavg");
        expect(form(await other.read(id, "proc/loadavg"))).toBe(form(theirs));
      }
    });

    it("follows a change of limits", async () => {
      const id = ids[1] ?? "";
      b.cgroup.limit({ memory: 96 * MIB });
      await until("both show the new limit", async () => {
        const texts = [
          await native.read("containers", id, "proc/meminfo"),
          await other.read(id, "proc/meminfo"),
        ];
        return texts.every((text) => / 98304 kB/.test(text));
      });
    });

    it("shows it as the file system type that is configured, and without room", () => {
      const mount = mountAt(readMounts(), other.mountpoint);
      expect(mount).toMatchObject({ fsType: "fuse.lxcfs", source: "vprocfs", root: "/" });
      expect(statfsSync(other.mountpoint)).toMatchObject({ blocks: 0, bfree: 0, bavail: 0 });
    });

    it("has modes, owners and sizes as the native one", async () => {
      const calls = Syscalls.start(testScope());
      for (const view of VIEWS) {
        const path = join("containers", ids[0] ?? "", view);
        const theirs = await calls.stat(native.path(path));
        const { mode, uid, gid, links } = theirs;
        const attributes = await calls.stat(other.path(path));
        expect({ view, ...attributes }).toMatchObject({ mode, uid, gid, links });
        const text = await calls.file(other.path(path));
        if (SETTLED.includes(view)) {
          expect(attributes.size).toBe(text.length);
        }
      }
      expect((await stat(other.path("containers"))).mode).toBe(0o40555);
    });

    it("knows no caller: there is nothing but containers/", async () => {
      expect(await readdir(other.mountpoint)).toEqual(["containers"]);
      const calls = Syscalls.start(testScope());
      for (const path of [
        "proc",
        "sys",
        "self",
        "proc/meminfo",
        "containers/1",
        "containers/x/y",
      ]) {
        expect(await calls.call("stat", other.path(path))).toMatchObject({ error: "ENOENT" });
      }
      const file = other.path("containers", ids[0] ?? "", "proc/meminfo");
      expect(await calls.call("stat", `${file}/x`)).toMatchObject({ error: "ENOTDIR" });
    });

    it("takes one snapshot per open and a new one at offset 0", async () => {
      const calls = Syscalls.start(testScope());
      const fd = await calls.open(other.path("containers", ids[0] ?? "", "proc/uptime"));
      const first = await calls.rest(fd, 1);
      expect(first).toMatch(/^\d+\.\d\d \d+\.\d\d\n$/);
      await until("it renews", async () => (await calls.pread(fd, 100, 0)) !== first);
      await calls.close(fd);
    });

    it("serves sendfile(2) and many readers at once", async () => {
      const file = other.path("containers", ids[0] ?? "", "proc/meminfo");
      const texts = await Promise.all(
        Array.from({ length: 16 }, () => output(["busybox", "cat", file])),
      );
      for (const text of texts) {
        expect(text).toMatch(/^MemTotal: [\s\S]*\n$/);
        expect(text.length).toBe((await readFile(file)).length);
      }
    });

    it("refuses to be changed", async () => {
      const calls = Syscalls.start(testScope());
      const file = other.path("containers", ids[0] ?? "", "proc/meminfo");
      const fd = await calls.open(file, constants.O_RDWR | constants.O_TRUNC);
      expect(await calls.call("write", fd, 8)).toMatchObject({ error: "EIO" });
      await calls.close(fd);
      for (const words of [["unlink"], ["chmod", 0o777], ["rename"]]) {
        const { error } = await calls.call(...words, file);
        expect(error).toMatch(/^(EPERM|EACCES)$/);
      }
      const { error } = await calls.call("mkdir", other.path("containers/new"));
      expect(error).toMatch(/^(EPERM|EACCES|ENOENT)$/);
    });

    it("bounds the open files of one container and of no other", async () => {
      const own = testScope();
      const [first = "", second = ""] = ids;
      const hoard = spawn(program("hoard"), ["24", other.path("containers", first, "proc/stat")], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      own.defer(async () => {
        const ended = once(hoard, "exit");
        hoard.stdin.end();
        await ended;
      });
      const [tally] = await once(hoard.stdout, "data");
      expect(`${tally}`).toBe("16 8 0 0\n");
      expect(await other.read(second, "proc/stat")).toMatch(/^cpu /);
      const refused = await run(["cat", other.path("containers", first, "proc/stat")]);
      expect(refused.stderr).toContain("Too many open files in system");
    });

    it("loses a container that ends", async () => {
      const gone = await Container.start(testScope(), { name: "gone", memory: 64 * MIB });
      const id = await gone.id(native);
      const file = await open(other.path("containers", id, "proc/meminfo"));
      onTestFinished(() => file.close());
      const calls = Syscalls.start(testScope());
      const path = other.path("containers", id, "proc/meminfo");
      const fd = await calls.open(path, constants.O_RDWR);
      await gone.kill();
      await until("it is gone", async () => {
        return (await run(["cat", other.path("containers", id, "proc/meminfo")])).status !== 0;
      });
      // What is open keeps its last snapshot.
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(65536), position: 0 });
      expect(buffer.toString("utf8", 0, bytesRead)).toMatch(/^MemTotal/);
      // And takes nothing.
      expect(await calls.call("write", fd, 8)).toMatchObject({ error: "ENOENT" });
      expect(other.hasEnded).toBe(false);
    });

    it("is not loaded by the native engine", () => {
      for (const pid of native.processes) {
        expect(readFileSync(`/proc/${pid}/maps`, "utf8")).not.toContain("libfuse");
      }
      expect(readFileSync(`/proc/${other.child.pid}/maps`, "utf8")).toContain("libfuse.so.2");
    });
  });

  describe.runIf(lack === "")("its process", () => {
    it("stops and unmounts while it is read", async () => {
      const scope = testScope();
      const daemon = await FuseNative.start(scope, "--fs-type", "fuse", "--source", "here");
      expect(mountAt(readMounts(), daemon.mountpoint)).toMatchObject({
        fsType: "fuse",
        source: "here",
      });
      const reader = spawn("sh", [
        "-c",
        'while :; do ls "$1"; done',
        "sh",
        daemon.path("containers"),
      ]);
      const ended = once(reader, "exit");
      expect(await daemon.stop()).toBe(0);
      reader.kill("SIGKILL");
      await ended;
      expect(mountAt(readMounts(), daemon.mountpoint)).toBeUndefined();
      expect(readdirSync(daemon.mountpoint)).toEqual([]);
    });

    it("ends when somebody else unmounts it", async () => {
      const daemon = await FuseNative.start(testScope());
      outputSync(["umount", daemon.mountpoint]);
      await until("it ends", () => daemon.hasEnded);
      expect(daemon.child.exitCode).toBe(1);
      expect(daemon.logs).toContain('"reason":"unmounted"');
    });

    it("refuses what it cannot do, in one line and before it mounts", async () => {
      const mountpoint = emptyMountpoint(testScope());
      const refused = await vprocfs(
        ...["run", mountpoint, "--engine", "fuse-native", "--consistency", "tick"],
      );
      expect(refused.status).toBe(2);
      expect(refused.stderr).toMatch(
        /^vprocfs: engine fuse-native does not support consistency tick.*\n$/,
      );
    });
  });

  describe.runIf(lack === "")("over recorded containers", () => {
    /** One container, whose files are those of a recorded case. */
    function recorded(caseDir: string): Renderer {
      const nodes = nodesOf(views().filter(({ path }) => viewsOf(caseDir).includes(path)));
      return {
        list: () => ["1"],
        render: (_id, path) => Buffer.from(renderFixture(caseDir, path)),
        look: (id, path) => (id === "1" ? (nodes.get(path) ?? null) : null),
        close: () => {},
      };
    }

    async function serve(scope: Scope, caseDir: string): Promise<string> {
      const mountpoint = emptyMountpoint(scope);
      const addon = loadAddon();
      const factory = fuseNativeEngine({
        // biome-ignore lint/complexity/useArrowFunction: constructed with new
        Renderer: function (): Renderer {
          return recorded(caseDir);
        } as unknown as typeof addon.Renderer,
        unmount: addon.unmount,
      });
      const engine: Engine = factory({
        mountpoint,
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
        onServing: () => {},
        onFeatures: () => {},
        onMoreCpus: () => {},
        onEnd: () => {},
      });
      await engine.start();
      scope.defer(() => engine.stop(true));
      return mountpoint;
    }

    const fixtures = join(project, "test/fixtures");
    const cases = readdirSync(fixtures, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);

    it.each(cases)("%s reads as it renders", async (name) => {
      const caseDir = join(fixtures, name);
      const mountpoint = await serve(testScope(), caseDir);
      for (const path of viewsOf(caseDir)) {
        if (!existsSync(join(caseDir, "expected", path))) {
          continue; // no pressure is accounted there
        }
        const expected = renderFixture(caseDir, path);
        const file = join(mountpoint, "containers/1", path);
        expect({ path, text: await output(["cat", file]) }).toEqual({ path, text: expected });
        expect({ path, text: await output(["busybox", "cat", file]) }).toEqual({
          path,
          text: expected,
        });
        const small = await output(["dd", `if=${file}`, "bs=61", "status=none"]);
        expect({ path, text: small }).toEqual({ path, text: expected });
      }
    });
  });
});

describe("the package", () => {
  it.each([
    ["libfuse.so.2: cannot open shared object file: No such file or directory", "libfuse2"],
    ["Cannot find module 'fuse-native'\nRequire stack:\n- x", "not installed"],
    ["No native build was found for platform=linux arch=s390x", "arch=s390x"],
  ])("is refused in one line: %s", (reason, hint) => {
    const load = (): never => {
      throw new Error(reason);
    };
    expect(() => loadFusePackage(load)).toThrow(hint);
    try {
      loadFusePackage(load);
    } catch (error) {
      expect(messageOf(error)).toMatch(/^engine fuse-native: /);
      expect((error as Error).message).not.toContain("\n");
    }
  });
});

describe("its tree", () => {
  const file = "/containers/7/proc/meminfo";
  const nodes = nodesOf([{ path: "proc/meminfo", mode: 0o444 }]);

  function tree(renders: (string | Error)[]) {
    let now = 0;
    const renderer: Renderer = {
      list: () => ["7"],
      render: () => {
        const next = renders.length > 1 ? renders.shift() : renders[0];
        if (next instanceof Error) {
          throw next;
        }
        return Buffer.from(next ?? "");
      },
      look: (id, path) => (id === "7" ? (nodes.get(path) ?? null) : null),
      close: () => {},
    };
    const made = new FuseTree(renderer, {
      tickMs: 10,
      maxOpenPerContainer: 2,
      now: () => now,
    });
    return {
      tree: made,
      pass: (ms: number) => {
        now += ms;
      },
    };
  }

  function failure(code: string): Error {
    return Object.assign(new Error(code), { code });
  }

  it("gives all who look within a tick the same, and then something new", () => {
    const { tree: t, pass } = tree(["one", "two!"]);
    const first = t.open(file);
    pass(5);
    const second = t.open(file);
    expect(`${t.read(second, 0, 100)}`).toBe("one");
    pass(5);
    expect(`${t.read(second, 0, 100)}`).toBe("two!");
    // The first has begun with nothing yet, and what it holds is a tick old.
    pass(1);
    expect(`${t.read(first, 1, 100)}`).toBe("ne");
    expect(`${t.read(first, 0, 100)}`).toBe("two!");
  });

  it("keeps the last good snapshot, and tells failures apart", () => {
    const { tree: t, pass } = tree(["one", failure("EACCES")]);
    const handle = t.open(file);
    pass(20);
    expect(`${t.read(handle, 0, 100)}`).toBe("one");
    expect(() => t.open(file)).toThrow("EIO");
    expect(t.sourceErrors).toBe(2);
    expect(() => tree([failure("ESRCH")]).tree.open(file)).toThrow("ESRCH");
  });

  it("counts what one container has open", () => {
    const { tree: t } = tree(["one"]);
    const handles = [t.open(file), t.open(file)];
    expect(() => t.open(file)).toThrow("ENFILE");
    expect(t.refusedOpens).toBe(1);
    for (const handle of [...handles, ...handles]) {
      t.release(handle);
    }
    expect(t.openFiles).toBe(0);
    expect(t.containers).toBe(0);
    t.open(file);
  });

  it("has what the addon finds, and nothing else", () => {
    const { tree: t } = tree(["one"]);
    expect(t.list("/")).toEqual(["containers"]);
    expect(t.list("/containers")).toEqual(["7"]);
    expect(t.list("/containers/7")).toEqual(["proc"]);
    expect(t.list("/containers/7/proc")).toEqual(["meminfo"]);
    expect(() => t.list(file)).toThrow("ENOTDIR");
    expect(() => t.open("/containers/7")).toThrow("EISDIR");
    for (const path of ["/x", "/containers/8", "/containers/7/x", `${file}/x`]) {
      expect(() => t.lookup(path)).toThrow("ENOENT");
    }
    expect(() => t.read(99, 0, 1)).toThrow("EIO");
  });
});
