// What runs on a Kubernetes node, without a cluster: the agent of the DaemonSet on a node that is a
// directory, the hooks it leaves there with real runtimes, and pods whose containers share a PID namespace.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { STARTER } from "../../src/attach/hook-files.js";
import { readStatus } from "../../src/keeper-status.js";
import { filesOf, PLACES } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { haveProgram, type Outcome, outputSync, run } from "../support/command.js";
import { Daemon, temporaryDirectory } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { OciContainer } from "../support/oci.js";
import { memTotalKb } from "../support/procfile.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

/** How the agent asks for the service's state. */
const STATE = "show --property=ActiveState --value vprocfs.service";
const ENABLE = "enable --now vprocfs.service";
const LIMITS = { memory: 96 * MIB, swap: 0, quota: 1 };
const runtimes = ["runc", "crun"].filter(haveProgram);

/** A node: a directory, a systemctl that says what it was told, and /etc/containers of its own. */
class Node {
  readonly root: string;
  readonly home: string;
  readonly #environment: NodeJS.ProcessEnv;
  #version = 0;

  constructor(scope: Scope, mountpoint: string) {
    this.root = temporaryDirectory(scope, "node");
    this.home = join(this.root, "opt/vprocfs");
    const image = join(this.root, "image");
    for (const directory of [
      "etc/containers",
      "usr/share/containers",
      "usr/libexec",
      "bin",
      "image",
    ]) {
      mkdirSync(join(this.root, directory), { recursive: true });
    }
    for (const path of ["package.json", "dist", "build/Release/vprocfs.node"]) {
      cpSync(join(project, path), join(image, path), { recursive: true });
    }
    for (const name of ["vprocfs-attach", "vprocfs-hook", "vprocfs-keeper"]) {
      const path = join("build/Release", name);
      // The second is not for every processor.
      if (existsSync(join(project, path))) {
        cpSync(join(project, path), join(image, path));
      }
    }
    const log = join(this.root, "systemctl.log");
    writeFileSync(log, "");
    writeFileSync(join(this.root, "state"), "inactive\n");
    writeFileSync(
      join(this.root, "bin/systemctl"),
      `#!/bin/sh
      cd ${this.root}
      echo "$*" >>${log}
      case $* in
      "disable --now "*) [ -e hangs ] || echo inactive >state ;;
      *=ActiveState*) cat state ;;
      esac`,
      { mode: 0o755 },
    );
    // What nsenter does on a node: its mounts, its programs.
    const enter = join(this.root, "bin/enter");
    const binds = ["/etc/containers", "/usr/share/containers", "/usr/libexec"].map(
      (path) => `mount --bind ${this.root}${path} ${path} && `,
    );
    const inside = `${binds.join("")}exec "$@"`;
    const path = `PATH=${this.root}/bin:$PATH`;
    const note = `echo "$*" >>${this.root}/entered.log`;
    const script = `#!/bin/sh\n${note}\n${path} exec unshare --mount sh -c '${inside}' sh "$@"\n`;
    writeFileSync(enter, script, { mode: 0o755 });
    this.#environment = {
      PATH: process.env.PATH ?? "",
      AGENT_HOST: "",
      AGENT_HOME: this.home,
      AGENT_UNITS: join(this.root, "units"),
      AGENT_UNIT: join(project, "packaging/systemd/vprocfs.service"),
      AGENT_IMAGE: image,
      AGENT_CONFIG: join(this.root, "none"),
      AGENT_ENTER: enter,
      AGENT_UNINSTALLED: join(this.root, "uninstalled"),
      AGENT_INSTALLED: join(this.root, "installed"),
      AGENT_ETC: join(this.root, "etc/vprocfs"),
      VPROCFS_MOUNTPOINT: mountpoint,
      AGENT_ONCE: "yes",
      AGENT_RETRY: "0.1",
    };
  }

  agent(action: string, more: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    const options = { env: { ...this.#environment, ...more } };
    return run([join(project, "packaging/kubernetes/agent"), action], options);
  }

  /** Has the pod come with another version. */
  update(): void {
    this.#version += 1;
    writeFileSync(join(this.root, "image/dist/version-of-the-day.js"), `// ${this.#version}\n`);
  }

  get calls(): string[] {
    return readFileSync(join(this.root, "systemctl.log"), "utf8").trim().split("\n");
  }

  /** What was run on it. */
  get entered(): string {
    return readFileSync(join(this.root, "entered.log"), "utf8");
  }

  get hook(): string {
    return join(this.root, "usr/share/containers/oci/hooks.d/20-vprocfs.json");
  }
}

/** The hooks of a file for CRI-O, as it puts them into config.json. */
function configHooks({ hook: path, root }: Node): object {
  const { hook } = JSON.parse(readFileSync(path, "utf8").replaceAll(STARTER, join(root, STARTER)));
  return { createRuntime: [hook] };
}

describeLive("Kubernetes", ["unshare"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let node: Node;

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
    node = new Node(scope, daemon.mountpoint);
    const installed = await node.agent("run");
    expect(installed.stderr).toBe("vprocfs agent: run: done\n");
    expect(installed.status).toBe(0);
  });

  it("the agent installs a service and hooks on the node, and updates it without a restart", async () => {
    expect(node.calls).toEqual(["daemon-reload", STATE, ENABLE]);
    const unit = readFileSync(join(node.root, "units/vprocfs.service"), "utf8");
    const keeper = `${node.home}/build/Release/vprocfs-keeper`;
    const command = `${node.home}/bin/node ${node.home}/dist/cli.js`;
    expect(unit).toContain(`ExecStart=${keeper} --launch 1 -- ${command} run\n`);
    expect(unit).toContain(`ExecReload=${command} reload\n`);
    expect(unit).toMatch(/^Before=kubelet\.service /m);
    // What cleans up after a stop calls it.
    expect(unit).toContain(`[Service]\nEnvironment=VPROCFS=${node.home}/vprocfs\n`);
    expect(outputSync([join(node.home, "vprocfs"), "--version"])).toMatch(/^\d+\.\d+\.\d+/);
    expect(readFileSync(node.hook, "utf8")).toContain(`${node.home}/build/Release/vprocfs-attach`);
    // It runs by now; the pod comes again with another version.
    writeFileSync(join(node.root, "state"), "active\n");
    node.update();
    expect((await node.agent("run")).status).toBe(0);
    expect(node.calls.slice(3)).toEqual([
      "daemon-reload",
      STATE,
      ENABLE,
      // It holds nothing for the service here: a restart would take the mount away.
      "show --property=NFileDescriptorStore --value vprocfs.service",
      "reload vprocfs.service",
    ]);
    expect(existsSync(join(node.home, "dist/version-of-the-day.js"))).toBe(true);
    expect((await node.agent("check")).status).toBe(0);
    expect((await node.agent("nonsense")).status).toBe(2);
  });

  it("the agent is ready only while a worker serves", async () => {
    const own = testScope();
    const config = join(temporaryDirectory(own, "config"), "vprocfs.toml");
    const settings = 'patience-ms = 1000\nstandby = "off"\n';
    writeFileSync(config, settings);
    const other = await Daemon.start(own, "--config", config);
    const check = () => node.agent("check", { VPROCFS_MOUNTPOINT: other.mountpoint });
    const state = async () => (await readStatus(other.mountpoint)).state;
    expect((await check()).status).toBe(0);
    writeFileSync(config, "no = such key\n");
    process.kill((await readStatus(other.mountpoint)).workerPid, "SIGKILL");
    await until("readers get errors", async () => (await state()) === "refusing");
    expect((await check()).status).toBe(1);
    writeFileSync(config, settings);
    await until("it serves", async () => (await state()) === "serving");
    expect((await check()).status).toBe(0);
  });

  it("the agent leaves the service alone when it has put nothing new on the node", async () => {
    const before = node.calls.length;
    expect((await node.agent("run")).status).toBe(0);
    expect(node.calls.slice(before)).toEqual(["daemon-reload", STATE, ENABLE]);
  });

  it("the agent has a service that is about to start go on with what is new", async () => {
    writeFileSync(join(node.root, "state"), "activating\n");
    const before = node.calls.length;
    node.update();
    expect((await node.agent("run")).status).toBe(0);
    expect(node.calls.slice(before).at(-1)).toBe("reload vprocfs.service");
  });

  it("the agent has the service go on until the configuration loads", async () => {
    const config = join(node.root, "vprocfs.toml");
    rmSync(config, { force: true });
    writeFileSync(join(node.root, "state"), "active\n");
    const before = node.calls.length;
    const reloads = () => node.calls.slice(before).filter((call) => call.startsWith("reload"));
    node.update();
    const agent = node.agent("run", { VPROCFS_CONFIG: config });
    await until("it has tried twice", () => {
      return node.calls.slice(before).filter((call) => call === "daemon-reload").length > 1;
    });
    expect(reloads()).toEqual([]);
    writeFileSync(config, "");
    const { status, stderr } = await agent;
    expect(status).toBe(0);
    expect(stderr).toContain(
      `vprocfs agent: the service is not restarted until the configuration loads: ${config}: no such file\n`,
    );
    expect(reloads()).toHaveLength(1);
  });

  it("the agent leaves everything as it is until the node's disk has room for all that is new", async () => {
    const own = testScope();
    const disk = temporaryDirectory(own, "disk");
    outputSync(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
    own.defer(() => void outputSync(["umount", disk]));
    const image = temporaryDirectory(own, "image");
    const programs = temporaryDirectory(own, "programs");
    const [tried, room] = [join(programs, "tried"), join(programs, "room")];
    const program = (name: string, script: string) =>
      writeFileSync(join(programs, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const fill = (directory: string, files: Readonly<Record<string, string>>) => {
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(dirname(join(directory, path)), { recursive: true });
        writeFileSync(join(directory, path), content);
      }
    };
    /** What is on the node, but for what the agent itself writes there. */
    const tree = () =>
      Object.fromEntries(
        readdirSync(disk, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile() && !["vprocfs", "changed"].includes(entry.name))
          .map(({ parentPath, name }) => join(parentPath, name))
          .map((path) => [relative(disk, path), readFileSync(path, "utf8")]),
      );
    const run = () =>
      node.agent("run", {
        AGENT_HOME: disk,
        AGENT_IMAGE: image,
        AGENT_UNITS: join(programs, "units"),
        PATH: `${programs}:${process.env.PATH}`,
      });
    program("node", "exit 0 # 1");
    // Between two tries, until the disk has room.
    program("sleep", `touch '${tried}'; until [ -e '${room}' ]; do /bin/sleep 0.02; done`);
    const before = {
      "build/Release/vprocfs-attach": "program 1",
      "dist/bench/run.js": "bench 1",
      "dist/cli.js": "text 1",
      "package.json": "{}",
    };
    fill(image, before);
    expect((await run()).status).toBe(0);
    const first = { ...before, "bin/node": "#!/bin/sh\nexit 0 # 1\n" };
    expect(tree()).toEqual(first);

    rmSync(join(image, "dist/bench"), { recursive: true });
    const after = {
      "build/Release/vprocfs-attach": "program 2",
      "dist/cli.js": "text 2",
      "dist/large.js": "x".repeat(2 * MIB),
      "package.json": '{ "version": "2" }',
    };
    fill(image, after);
    program("node", "exit 0 # 2");
    const agent = run();
    await until("it has tried", () => existsSync(tried));
    expect(tree()).toEqual(first);
    outputSync(["mount", "-o", "remount,size=10m", disk]);
    writeFileSync(room, "");
    expect(await agent).toMatchObject({
      status: 0,
      stderr: expect.stringContaining(`vprocfs agent: cannot copy to ${disk}\n`),
    });
    const second = { ...after, "bin/node": "#!/bin/sh\nexit 0 # 2\n" };
    expect(tree()).toEqual(second);

    // One that ended after it had taken something away.
    mkdirSync(join(disk, "old"));
    renameSync(join(disk, "dist"), join(disk, "old/dist"));
    fill(disk, { "new/package.json": "half" });
    const { ino } = statSync(join(disk, "old/dist/cli.js"));
    expect((await run()).status).toBe(0);
    expect(tree()).toEqual(second);
    expect(statSync(join(disk, "dist/cli.js")).ino).toBe(ino);
  });

  it("the agent puts a configuration on the node only if it loads there, and is not ready before", async () => {
    const config = join(node.root, "config.toml");
    const own = join(node.root, "etc/vprocfs/vprocfs.toml");
    const check = () => node.agent("check");
    rmSync(join(node.root, "installed"), { force: true });
    rmSync(own, { force: true });
    writeFileSync(config, "no = such key\n");
    const [calls, entered] = [node.calls.length, node.entered.length];
    const agent = node.agent("run", { AGENT_CONFIG: config });
    await until("it has tried twice", () => {
      return node.entered.slice(entered).split("--print-config").length > 2;
    });
    expect((await check()).status).not.toBe(0);
    expect(existsSync(own)).toBe(false);
    expect(node.calls.slice(calls)).toEqual([]);
    writeFileSync(config, "");
    expect(await agent).toMatchObject({
      status: 0,
      stderr: expect.stringContaining("the ConfigMap is not used until it loads: "),
    });
    expect(readFileSync(own, "utf8")).toBe("");
    expect((await check()).status).toBe(0);
  });

  describe.each(runtimes)("a pod on %s", (runtime) => {
    it("whose containers share a PID namespace: each sees its own memory", async () => {
      const own = testScope();
      const hooks = configHooks(node);
      const pod = await OciContainer.start(own, runtime, daemon, LIMITS, { plain: true, hooks });
      const start = (memory: number) => {
        const first = ["/bin/sh", "-c", "cat /proc/meminfo >/first; exec sleep 1000000"];
        const variant = { plain: true, hooks, pidsOf: pod.init, args: first };
        return OciContainer.start(own, runtime, daemon, { ...LIMITS, memory }, variant);
      };
      for (const memory of [64 * MIB, 128 * MIB]) {
        const container = await start(memory);
        const first = await until("its first program has looked", () => {
          const path = join(container.rootfs, "first");
          const text = existsSync(path) ? readFileSync(path, "utf8") : "";
          return text.includes("MemTotal") ? text : undefined;
        });
        expect(memTotalKb(first)).toBe(memory / 1024);
        expect(filesOf(container.init)).toEqual(PLACES);
        expect(memTotalKb(await container.output(["cat", "/proc/meminfo"]))).toBe(memory / 1024);
      }
      expect(memTotalKb(await pod.output(["cat", "/proc/meminfo"]))).toBe(96 * 1024);
    });
  });

  it("the agent takes nothing away from a service that does not stop", async () => {
    const hangs = join(node.root, "hangs");
    writeFileSync(hangs, "");
    writeFileSync(join(node.root, "state"), "deactivating\n");
    const before = node.calls.length;
    const agent = node.agent("uninstall");
    await until("it has tried twice", () => {
      return node.calls.slice(before).filter((call) => call.startsWith("disable")).length > 1;
    });
    for (const path of [join(node.home, "dist/cli.js"), join(node.root, "units/vprocfs.service")]) {
      expect(existsSync(path), path).toBe(true);
    }
    rmSync(hangs);
    expect(await agent).toMatchObject({
      status: 0,
      stderr: expect.stringContaining("the service still runs: nothing else is removed\n"),
    });
    expect((await node.agent("run")).status).toBe(0);
  });

  it("containers start when the agent has taken everything away, and hooks are still configured", async () => {
    const own = testScope();
    const hooks = configHooks(node);
    const gone = await node.agent("uninstall");
    expect(gone.status).toBe(0);
    expect(node.calls.slice(-3)).toEqual(["disable --now vprocfs.service", STATE, "daemon-reload"]);
    for (const path of [node.home, node.hook, join(node.root, "units/vprocfs.service")]) {
      expect(existsSync(path), path).toBe(false);
    }
    // Its pod stays, and only when it is ready does the rollout go on to the next nodes.
    expect((await node.agent("check")).status).toBe(0);
    for (const runtime of runtimes) {
      const variant = { plain: true, hooks };
      const container = await OciContainer.start(own, runtime, daemon, LIMITS, variant);
      expect(filesOf(container.init)).toEqual([]);
    }
  });
});
