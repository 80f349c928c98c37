// Real LXC containers of the busybox template, with the host's programs beside it.

import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { PERIOD_US } from "../../src/demo/cgroups.js";
import { isV2, removeEverywhere } from "./cgroups.js";
import { background, type Outcome, output, outputOf, run } from "./command.js";
import { type Daemon, temporaryDirectory } from "./daemon.js";
import { InitPrograms } from "./init-programs.js";
import { testName } from "./names.js";
import { fillRootfs } from "./oci.js";
import { project } from "./project.js";
import type { Scope } from "./scope.js";
import type { Inside } from "./shows.js";

interface LxcOptions {
  readonly memory: number;
  readonly swap: number;
  readonly quota: number;
  readonly cpuset?: string;
  /** The host's uid that is root inside; without it the container is privileged. */
  readonly userBase?: number;
  /** Seconds that its time namespace adds to the clock of boot; without it there is none. */
  readonly bootOffset?: number;
  /** What the mount hook gets as its argument; undefined: no hook. */
  readonly tree?: string;
  /** More lines of its configuration. */
  readonly lines?: readonly string[];
  /** All of the host's programs in its /usr, instead of busybox: to run runtimes in it. */
  readonly hostUsr?: boolean;
  /** Bind mounts of the host that only LXC and its hooks see. */
  readonly seen?: readonly (readonly [source: string, target: string])[];
  /** Programs are started by its init, and not by lxc-attach (see InitPrograms). */
  readonly byInit?: boolean;
  /** Programs in its root file system: path to text. */
  readonly scripts?: Readonly<Record<string, string>>;
}

/** Much weight, so that only the quota holds it back, however busy the machine is. */
function limitLines({ memory, swap, quota, cpuset }: LxcOptions): string[] {
  const version = isV2 ? "cgroup2" : "cgroup";
  const cpus = cpuset === undefined ? [] : [`lxc.${version}.cpuset.cpus = ${cpuset}`];
  const lines = isV2
    ? [
        `lxc.cgroup2.memory.max = ${memory}`,
        `lxc.cgroup2.memory.swap.max = ${swap}`,
        `lxc.cgroup2.cpu.max = ${quota * PERIOD_US} ${PERIOD_US}`,
        "lxc.cgroup2.cpu.weight = 10000",
      ]
    : [
        `lxc.cgroup.memory.limit_in_bytes = ${memory}`,
        `lxc.cgroup.memory.memsw.limit_in_bytes = ${memory + swap}`,
        `lxc.cgroup.cpu.cfs_period_us = ${PERIOD_US}`,
        `lxc.cgroup.cpu.cfs_quota_us = ${quota * PERIOD_US}`,
        "lxc.cgroup.cpu.shares = 262144",
      ];
  return [...lines, ...cpus];
}

const TEMPLATE = "/usr/share/lxc/templates/lxc-busybox";

/** What LXC's busybox template makes of a busybox: hundreds of links, one program each. It is made once, and copied. */
async function busyboxRootfs(): Promise<string> {
  const busybox = (await output(["sh", "-c", "command -v busybox"])).trim();
  const hash = createHash("sha256");
  for (const file of [TEMPLATE, busybox].filter(existsSync)) {
    hash.update(readFileSync(file));
  }
  const directory = join(project, "build/test-programs");
  const path = join(directory, `lxc-busybox-${hash.digest("hex").slice(0, 12)}`);
  if (!existsSync(path)) {
    const unfinished = `${path}.${process.pid}`;
    try {
      mkdirSync(unfinished, { recursive: true });
      await output(["lxc-create", "-P", unfinished, "-n", "made", "-t", "busybox"]);
      renameSync(unfinished, path);
    } catch (error) {
      // The other lane may have made it meanwhile.
      if (!existsSync(path)) {
        throw error;
      }
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  return join(path, "made/rootfs");
}

/** The hook where a container's root may read it, as an installed one would be. */
function installHook(scope: Scope): string {
  const hook = join(temporaryDirectory(scope, "hook"), "vprocfs-mount-hook");
  cpSync(join(project, "packaging/lxc/vprocfs-mount-hook"), hook);
  chmodSync(hook, 0o755);
  return hook;
}

const BESIDE_BUSYBOX = [
  ...["lib", "lib64", "usr/lib", "usr/lib64"].map(
    (path) => `lxc.mount.entry = /${path} ${path} none ro,bind,optional,create=dir 0 0`,
  ),
  "lxc.mount.entry = /usr mnt none ro,bind 0 0",
];
const HOST_USR = [
  "lxc.mount.entry = /usr usr none ro,bind 0 0",
  "lxc.init.cmd = /bin/sleep 1000000",
];

function configOf(scope: Scope, rootfs: string, name: string, options: LxcOptions): string {
  const { userBase, bootOffset, tree } = options;
  const maps = ["u", "g"].map((kind) => `lxc.idmap = ${kind} 0 ${userBase} 65536`);
  const lines = [
    `lxc.rootfs.path = dir:${rootfs}`,
    `lxc.uts.name = ${name}`,
    "lxc.net.0.type = empty",
    "lxc.autodev = 1",
    "lxc.tty.max = 1",
    "lxc.pty.max = 8",
    "lxc.signal.halt = SIGUSR1",
    "lxc.mount.auto = proc:mixed sys:mixed",
    ...(options.hostUsr === true ? HOST_USR : BESIDE_BUSYBOX),
    ...limitLines(options),
    ...(userBase === undefined ? [] : maps),
    ...(bootOffset === undefined ? [] : [`lxc.time.offset.boot = ${bootOffset}s`]),
    ...(options.lines ?? []),
    ...(tree === undefined ? [] : [`lxc.hook.mount = ${installHook(scope)} ${tree}`]),
  ];
  return `${lines.join("\n")}\n`;
}

/**
 * newuidmap asks these files even for root. Ours are seen by LXC only: the host's are not touched.
 */
function subordinateIds(directory: string, base: number): (readonly [string, string])[] {
  const ids = join(directory, "subids");
  writeFileSync(ids, `root:${base}:65536\n`);
  return [
    [ids, "/etc/subuid"],
    [ids, "/etc/subgid"],
  ];
}

/** A command line that runs `argv` where other files are mounted. */
function withMounts(
  mounts: readonly (readonly [string, string])[],
  argv: readonly string[],
): readonly string[] {
  if (mounts.length === 0) {
    return argv;
  }
  const binds = mounts.map(([source, target]) => `mount --bind ${source} ${target} && `);
  const script = `${binds.join("")} exec "$@"`;
  return ["unshare", "--mount", "--", "/bin/sh", "-c", script, "sh", ...argv];
}

export class LxcContainer implements Inside {
  readonly name: string;
  readonly #path: string;
  #init = 0;
  #programs: InitPrograms | undefined;

  private constructor(name: string, path: string) {
    this.name = name;
    this.#path = path;
  }

  static async start(scope: Scope, options: LxcOptions): Promise<LxcContainer> {
    const name = testName("lxc");
    const path = temporaryDirectory(scope, "lxcpath");
    const container = new LxcContainer(name, path);
    const directory = join(path, name);
    const rootfs = join(directory, "rootfs");
    if (options.hostUsr === true) {
      mkdirSync(directory);
      fillRootfs(rootfs);
    } else {
      mkdirSync(directory);
      await output(["cp", "-a", await busyboxRootfs(), rootfs]);
    }
    chmodSync(directory, 0o755);
    const { userBase } = options;
    for (const [path, text] of Object.entries(options.scripts ?? {})) {
      writeFileSync(join(rootfs, path), text, { mode: 0o755 });
    }
    for (const java of readdirSync("/etc").filter((candidate) => candidate.startsWith("java-"))) {
      cpSync(join("/etc", java), join(rootfs, "etc", java), { recursive: true });
    }
    if (options.byInit === true) {
      container.#programs = InitPrograms.install(rootfs);
    }
    if (userBase !== undefined) {
      await output(["chown", "-R", "-h", `${userBase}:${userBase}`, rootfs]);
    }
    writeFileSync(join(directory, "config"), configOf(scope, rootfs, name, options));
    const log = join(directory, "log");
    scope.defer(async () => {
      await run(["lxc-stop", "-P", path, "-n", name, "-k"]);
      // Of a container that could not be started LXC leaves some behind.
      for (const part of ["payload", "monitor"]) {
        await removeEverywhere(`lxc.${part}.${name}`);
      }
    });
    const start = ["lxc-start", "-P", path, "-n", name, "-o", log, "-l", "DEBUG"];
    const ids = userBase === undefined ? [] : subordinateIds(directory, userBase);
    const started = await run(withMounts([...ids, ...(options.seen ?? [])], start));
    if (started.status !== 0) {
      throw new Error(`lxc-start: ${started.stderr}\n${readFileSync(log, "utf8")}`);
    }
    container.#init = Number(await output(["lxc-info", "-P", path, "-n", name, "-p", "-H"]));
    return container;
  }

  /** The container of a test that binds with the hook. */
  static withHook(scope: Scope, daemon: Daemon, options: LxcOptions): Promise<LxcContainer> {
    return LxcContainer.start(scope, { ...options, tree: daemon.mountpoint });
  }

  get init(): number {
    return this.#init;
  }

  /** Its root file system, as the host sees it. */
  get rootfs(): string {
    return join(this.#path, this.name, "rootfs");
  }

  /** What LXC has written of its life, the hook's words included. */
  get log(): string {
    return readFileSync(join(this.#path, this.name, "log"), "utf8");
  }

  #command(argv: readonly string[]): string[] {
    const path = "PATH=/mnt/bin:/mnt/sbin:/bin:/sbin";
    const attach = ["lxc-attach", "-P", this.#path, "-n", this.name, "--clear-env", "-v", path];
    return [...attach, "--", ...argv];
  }

  run(argv: readonly string[]): Promise<Outcome> {
    return this.#programs?.run(argv) ?? run(this.#command(argv));
  }

  /** Starts a program that runs until the scope ends it. */
  background(scope: Scope, argv: readonly string[]): void {
    background(scope, this.#command(argv));
  }

  async output(argv: readonly string[]): Promise<string> {
    return outputOf(argv, await this.run(argv));
  }
}
