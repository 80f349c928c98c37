// Real containers of OCI runtimes, with the bind mounts that docs/guide/containers.md tells to use.

import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { PERIOD_US } from "../../src/demo/cgroups.js";
import { hierarchyOf, isV2, removeEverywhere } from "./cgroups.js";
import { background, type Outcome, output, outputOf, run } from "./command.js";
import { type Daemon, temporaryDirectory } from "./daemon.js";
import { testName } from "./names.js";
import { project } from "./project.js";
import type { Scope } from "./scope.js";
import type { Inside } from "./shows.js";

interface OciLimits {
  readonly memory: number;
  readonly swap: number;
  readonly quota: number;
  /**
   * Seconds that its time namespace adds to the clock of boot; without it there is none. The runtime
   * is started in that namespace: Debian 12's runc makes none, and what its crun makes dies.
   */
  readonly bootOffset?: number;
  readonly cpuset?: string;
}

interface Mount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

const DEFAULT_TREE = "/var/lib/vprocfs";
const SHARES = 262_144;

function documentation(daemon: Daemon): string {
  const text = readFileSync(join(project, "docs/guide/containers.md"), "utf8");
  return text.replaceAll(DEFAULT_TREE, daemon.mountpoint);
}

/** The lines for config.json, word by word: those for every runtime and those for crun. */
export function documentedMounts(daemon: Daemon): {
  readonly all: Mount[];
  readonly crun: Mount[];
} {
  const blocks = documentation(daemon).match(/^```json\n[\s\S]*?^```/gm) ?? [];
  const [all = [], crun = []] = blocks.map((block): Mount[] => {
    const lines = block.match(/^\{ "destination": .*\}/gm) ?? [];
    return lines.map((line) => JSON.parse(line));
  });
  return { all, crun };
}

/** The -v options for podman. */
export function documentedVolumes(daemon: Daemon): string[] {
  const volumes = documentation(daemon).matchAll(/^ +-v (\S+)/gm);
  return [...volumes].flatMap((match) => ["-v", match[1] ?? ""]);
}

/** A root file system that has the host's programs: /usr is to be mounted. */
function makeRootfs(scope: Scope): string {
  const rootfs = temporaryDirectory(scope, "rootfs");
  fillRootfs(rootfs);
  return rootfs;
}

/** Makes a directory such a root file system. */
export function fillRootfs(rootfs: string): void {
  mkdirSync(rootfs, { recursive: true });
  for (const name of ["usr", "proc", "sys", "dev", "tmp", "etc", "run", "var"]) {
    mkdirSync(join(rootfs, name));
  }
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    symlinkSync(`usr/${name}`, join(rootfs, name));
  }
  // Java's own configuration, which its installation has links to.
  for (const name of readdirSync("/etc").filter((candidate) => candidate.startsWith("java-"))) {
    cpSync(join("/etc", name), join(rootfs, "etc", name), { recursive: true });
  }
  writeFileSync(join(rootfs, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n");
}

/** How a container differs from one with the documented binds. */
export interface OciVariant {
  /** Nothing is configured in it: no binds. */
  readonly plain?: boolean;
  /** It is created only: release() has it run its program. */
  readonly held?: boolean;
  /** What it runs. */
  readonly args?: readonly string[];
  /** "hooks" of config.json. */
  readonly hooks?: object;
  readonly annotations?: Readonly<Record<string, string>>;
  /** "linux.seccomp" of config.json. */
  readonly seccomp?: object;
  /** What its processes may do as root; nothing unless told. */
  readonly capabilities?: readonly string[];
  /** "linux.maskedPaths" of config.json. */
  readonly maskedPaths?: readonly string[];
  /** The host's uid that is root inside. */
  readonly userBase?: number;
  /** A process whose PID namespace it shares, as containers of a pod do. */
  readonly pidsOf?: number;
  /** More mounts. */
  readonly mounts?: readonly Mount[];
  /** More options of podman's run. */
  readonly podmanRun?: readonly string[];
  /** More global options of podman. */
  readonly podman?: readonly string[];
  /** The runtime's program, when it is not found by its name. */
  readonly program?: string;
}

const SLEEP = ["/bin/sleep", "1000000"];

const PLAIN = ["nosuid", "noexec", "nodev"];
const BASE_MOUNTS: readonly Mount[] = [
  { destination: "/proc", type: "proc", source: "proc", options: [] },
  { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["newinstance", "ptmxmode=0666"],
  },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: [...PLAIN, "ro"] },
  { destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro"] },
];

function shared(type: string, { pidsOf }: OciVariant): { path?: string } {
  return type === "pid" && pidsOf !== undefined ? { path: `/proc/${pidsOf}/ns/pid` } : {};
}

function specOf(
  rootfs: string,
  daemon: Daemon,
  runtime: string,
  name: string,
  limits: OciLimits,
  variant: OciVariant,
): object {
  const { all, crun } = documentedMounts(daemon);
  const documented = [...all, ...(runtime === "crun" ? crun : [])];
  const { memory, swap, quota, cpuset } = limits;
  const { plain, args, hooks, annotations, seccomp, userBase } = variant;
  const namespaces = ["pid", "mount", "ipc", "uts", "network", "cgroup"];
  const maps = [{ containerID: 0, hostID: userBase, size: 65_536 }];
  const user = userBase === undefined ? [] : ["user"];
  const { capabilities: own } = variant;
  return {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 0, gid: 0 },
      args: args ?? SLEEP,
      env: ["PATH=/usr/sbin:/usr/bin"],
      cwd: "/",
      noNewPrivileges: true,
      ...(own !== undefined && {
        capabilities: { bounding: own, effective: own, permitted: own },
      }),
    },
    root: { path: rootfs, readonly: false },
    hostname: "test",
    mounts: [...BASE_MOUNTS, ...(plain === true ? [] : documented), ...(variant.mounts ?? [])],
    ...(hooks !== undefined && { hooks }),
    ...(annotations !== undefined && { annotations }),
    linux: {
      cgroupsPath: `/${name}`,
      namespaces: [...namespaces, ...user].map((type) => ({ type, ...shared(type, variant) })),
      ...(seccomp !== undefined && { seccomp }),
      ...(variant.maskedPaths !== undefined && { maskedPaths: variant.maskedPaths }),
      ...(userBase !== undefined && { uidMappings: maps, gidMappings: maps }),
      resources: {
        memory: { limit: memory, swap: memory + swap },
        cpu: {
          quota: quota * PERIOD_US,
          period: PERIOD_US,
          shares: SHARES,
          ...(cpuset !== undefined && { cpus: cpuset }),
        },
      },
    },
  };
}

/**
 * What stands before a runtime's command. crun 1.8 refuses hybrid hosts whose cgroup2 has
 * controllers: there it runs where cgroup2 is not mounted.
 */
function surroundings(runtime: string): string[] {
  if (runtime !== "crun" || isV2) {
    return [];
  }
  const hide = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"';
  return ["unshare", "--mount", "--", "/bin/sh", "-c", hide, "sh"];
}

export class OciContainer implements Inside {
  readonly name: string;
  readonly rootfs: string;
  readonly init: number;
  readonly #exec: readonly string[];
  readonly #release: readonly string[];

  private constructor(
    name: string,
    rootfs: string,
    init: number,
    exec: readonly string[],
    release: readonly string[] = [],
  ) {
    this.name = name;
    this.rootfs = rootfs;
    this.init = init;
    this.#exec = exec;
    this.#release = release;
  }

  /** By runc or crun itself. */
  static async start(
    scope: Scope,
    runtime: string,
    daemon: Daemon,
    limits: OciLimits,
    variant: OciVariant = {},
  ): Promise<OciContainer> {
    const name = testName(runtime);
    const rootfs = makeRootfs(scope);
    if (variant.userBase !== undefined) {
      await output(["chown", "-R", "-h", `${variant.userBase}:${variant.userBase}`, rootfs]);
    }
    const bundle = temporaryDirectory(scope, "bundle");
    const state = temporaryDirectory(scope, "state");
    writeFileSync(
      join(bundle, "config.json"),
      JSON.stringify(specOf(rootfs, daemon, runtime, name, limits, variant)),
    );
    const command = [...surroundings(runtime), variant.program ?? runtime, "--root", state];
    scope.defer(async () => {
      await run([...command, "delete", "--force", name]);
      await removeEverywhere(name);
    });
    const pidFile = join(bundle, "pid");
    // Descriptors of the runtime that stay open would keep us waiting for their end.
    const quiet = '"$@" >"$0" 2>&1 </dev/null || { cat "$0" >&2; exit 1; }';
    const log = join(bundle, "log");
    const verb = variant.held === true ? ["create"] : ["run", "--detach"];
    const detached = [...verb, "--pid-file", pidFile, "--bundle", bundle, name];
    const { bootOffset } = limits;
    const shift = ["unshare", "--time", "--boottime", `${bootOffset}`, "--fork", "--"];
    const shifted = bootOffset === undefined ? command : [...shift, ...command];
    await output(["/bin/sh", "-c", quiet, log, ...shifted, ...detached]);
    const init = readFileSync(pidFile, "utf8").trim();
    // The runtime's own way in leaves a process in the node's time namespace.
    const enter = ["nsenter", "-t", init, "-T", "-m", "-u", "-i", "-n", "-p", "-C", "--wd=/", "--"];
    const exec = bootOffset === undefined ? [...command, "exec", name] : enter;
    return new OciContainer(name, rootfs, Number(init), exec, [...command, "start", name]);
  }

  /** By podman, on top of a runtime. */
  static async podman(
    scope: Scope,
    runtime: string,
    daemon: Daemon,
    limits: OciLimits,
    variant: OciVariant = {},
  ): Promise<OciContainer> {
    const name = testName("podman");
    const rootfs = makeRootfs(scope);
    const storage = temporaryDirectory(scope, "storage");
    const places = [
      ["--root", "root"],
      ["--runroot", "run"],
      ["--tmpdir", "tmp"],
    ] as const;
    const podman = [
      ...surroundings(runtime),
      "podman",
      ...places.flatMap(([flag, directory]) => [flag, join(storage, directory)]),
      ...["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"],
      ...["--runtime", variant.program ?? runtime],
      ...(variant.podman ?? []),
    ];
    scope.defer(async () => {
      await run([...podman, "rm", "--force", "--time", "0", name]);
      await removeEverywhere(name);
    });
    const { memory, swap, quota } = limits;
    const argv = [
      ...[...podman, "run", "--detach", "--name", name, "--network", "none"],
      ...["--cgroup-parent", `/${name}`],
      ...["--memory", `${memory}`, "--memory-swap", `${memory + swap}`],
      ...[
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
        "--cpus",
        `${quota}`,
        "--cpu-shares",
        `${SHARES}`,
        "-v",
        "/usr:/usr:ro",
      ],
      ...(variant.plain === true ? [] : documentedVolumes(daemon)),
      ...(variant.podmanRun ?? []),
      ...["--rootfs", rootfs, ...(variant.args ?? SLEEP)],
    ];
    // conmon leaves a file "oom" where it runs.
    const started = await output(argv, { cwd: storage });
    const id = started.trim();
    const init = await output([...podman, "inspect", "--format", "{{.State.Pid}}", name]);
    // Its weight counts within the parent's only.
    const parent = dirname(hierarchyOf(Number(init), "cpu"));
    const [file, weight] = isV2 ? ["cpu.weight", 10_000] : ["cpu.shares", SHARES];
    writeFileSync(join(parent, file), `${weight}`);
    return new OciContainer(id, rootfs, Number(init), [...podman, "exec", name]);
  }

  /** Has one that is held run its program. */
  async release(): Promise<void> {
    await output(this.#release);
  }

  run(argv: readonly string[]): Promise<Outcome> {
    return run([...this.#exec, ...argv]);
  }

  async output(argv: readonly string[]): Promise<string> {
    return outputOf(argv, await this.run(argv));
  }

  /** Starts a program that runs until the scope ends it. */
  background(scope: Scope, argv: readonly string[]): void {
    background(scope, [...this.#exec, ...argv]);
  }
}
