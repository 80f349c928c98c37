// Real limited containers without a container runtime; native/container.c is their init.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Cgroup, type Limits } from "./cgroups.js";
import {
  background,
  closed,
  environmentOf,
  type Outcome,
  outputOf,
  type RunOptions,
  run,
} from "./command.js";
import { type Daemon, VIEWS } from "./daemon.js";
import { testName } from "./names.js";
import { program } from "./programs.js";
import type { Scope } from "./scope.js";
import { Syscalls } from "./syscalls.js";
import { until } from "./wait.js";

export interface ContainerOptions extends Limits {
  /** What its cgroup is called after the test's prefix. */
  readonly name?: string;
  /** A cgroup that is there already; the limits are set on it. */
  readonly cgroup?: Cgroup;
  /** Has its processes in this cgroup below the root of its cgroup namespace. */
  readonly inner?: Cgroup;
  /** One of its own (true), the caller's (false), or another container's. */
  readonly cgroupNamespace?: boolean | Container;
  /** The host's uid that is root inside; without it there is no user namespace. */
  readonly userBase?: number;
  readonly initName?: string;
  /** Shares this one's PID namespace. */
  readonly pidsOf?: Container;
  /** What a time namespace of its own adds to the clock of boot, in seconds. */
  readonly bootOffset?: number;
  /** Mounted from inside: what is bound belongs to the container for ever. */
  readonly binds?: readonly (readonly [source: string, target: string])[];
}

/** Enters the cgroups given before "--", then becomes what stands after it. */
const ENTER =
  'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 99; shift; done; shift; exec "$@"';

/** Every file of the tree in the place of the container's own. */
export function bindsOf(daemon: Pick<Daemon, "mountpoint">): (readonly [string, string])[] {
  return VIEWS.map((view) => [join(daemon.mountpoint, view), `/${view}`] as const);
}

async function firstLine(child: ChildProcess): Promise<string> {
  let text = "";
  let errors = "";
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    errors += chunk;
  });
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await until("the container starts", () => {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the container did not start: ${errors}`);
    }
    return text.includes("\n");
  });
  return text.slice(0, text.indexOf("\n"));
}

/** The namespaces of a process, as flags of nsenter. */
function namespaceFlags(init: number, userBase: number | undefined): string[] {
  const user = userBase === undefined ? [] : ["-U", "-S", "0", "-G", "0"];
  return ["nsenter", "-t", `${init}`, ...user, "-m", "-u", "-i", "-C", "-p", "--wd=/", "--"];
}

export class Container {
  /** As the host sees it. */
  readonly init: number;
  readonly cgroup: Cgroup;
  readonly #enter: readonly string[];
  readonly #supervisor: ChildProcess | undefined;

  private constructor(
    init: number,
    cgroup: Cgroup,
    processes: Cgroup,
    userBase: number | undefined,
    supervisor: ChildProcess | undefined,
  ) {
    this.init = init;
    this.cgroup = cgroup;
    this.#supervisor = supervisor;
    const join = ["/bin/sh", "-c", ENTER, "enter", ...processes.directories, "--"];
    this.#enter = [...join, ...namespaceFlags(init, userBase)];
  }

  static async start(scope: Scope, options: ContainerOptions = {}): Promise<Container> {
    const cgroup = options.cgroup ?? Cgroup.create(scope, testName(options.name ?? "c"));
    cgroup.limit(options);
    if (options.inner !== undefined) {
      // Whoever makes cgroups below its own has controllers there.
      cgroup.delegate();
    }
    const { bootOffset } = options;
    const shift = [
      "unshare",
      "--time",
      "--boottime",
      `${bootOffset}`,
      "--fork",
      "--kill-child",
      "--",
    ];
    const shifted = bootOffset === undefined ? [] : shift;
    const argv = [...shifted, program("container"), ...containerArguments(cgroup, options)];
    const [file = "", ...rest] = argv;
    const child = spawn(file, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: environmentOf(argv),
    });
    const ended = once(child, "close");
    scope.defer(async () => {
      child.kill("SIGKILL");
      await closed(child, ended);
    });
    const init = Number(await firstLine(child));
    return new Container(init, cgroup, options.inner ?? cgroup, options.userBase, child);
  }

  /** One in `outer`: made by a process of it, below a cgroup that is outer's. */
  static async startIn(
    outer: Container,
    scope: Scope,
    options: ContainerOptions & { readonly cgroup: Cgroup },
  ): Promise<Container> {
    options.cgroup.limit(options);
    const argv = [program("container"), ...containerArguments(options.cgroup, options)];
    const child = outer.start(scope, argv);
    await firstLine(child);
    // What it prints is the PID that outer's processes see.
    const init = Number(options.cgroup.read("memory", "cgroup.procs").split("\n")[0]);
    return new Container(init, options.cgroup, options.cgroup, options.userBase, child);
  }

  /** Around a container that something else has started. */
  static of(init: number, cgroup: Cgroup, userBase?: number): Container {
    return new Container(init, cgroup, cgroup, userBase, undefined);
  }

  /** The command line that runs `argv` inside. */
  command(argv: readonly string[]): string[] {
    return [...this.#enter, ...argv];
  }

  run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return run(this.command(argv), options);
  }

  /** Runs a program that must succeed and returns its output. */
  async output(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return outputOf(argv, await this.run(argv, options));
  }

  shell(script: string, ...args: readonly string[]): Promise<string> {
    return this.output(["/bin/sh", "-c", script, "sh", ...args]);
  }

  read(path: string): Promise<string> {
    return this.output(["cat", path]);
  }

  /** Starts a program that runs until the scope ends it or its stdin is closed. */
  start(scope: Scope, argv: readonly string[]): ChildProcess {
    return background(scope, this.command(argv));
  }

  /** Makes system calls inside. */
  syscalls(scope: Scope): Syscalls {
    return Syscalls.start(scope, this.command([program("syscalls")]));
  }

  /** The name under containers/, as the container itself finds it. */
  async id(daemon: Daemon): Promise<string> {
    const target = await this.output(["readlink", daemon.path("self")]);
    return target.trim().replace(/^containers\//, "");
  }

  get isAlive(): boolean {
    return existsSync(join("/proc", `${this.init}`));
  }

  /** Ends the init, and with it everything inside. */
  async kill(): Promise<void> {
    process.kill(this.init, "SIGKILL");
    const supervisor = this.#supervisor;
    await until("the container ends", () => {
      const ended = supervisor?.exitCode !== null || supervisor.signalCode !== null;
      return supervisor === undefined ? !this.isAlive : ended;
    });
  }
}

function containerArguments(cgroup: Cgroup, options: ContainerOptions): string[] {
  const { cgroupNamespace = true, inner, initName, userBase, pidsOf, binds = [] } = options;
  return [
    ...cgroup.directories.flatMap((directory) => ["--cgroup", directory]),
    ...(inner?.directories ?? []).flatMap((directory) => ["--inner", directory]),
    ...(cgroupNamespace === false ? ["--no-cgroupns"] : []),
    ...(cgroupNamespace instanceof Container ? ["--cgroupns", `${cgroupNamespace.init}`] : []),
    ...(userBase === undefined ? [] : ["--userns", `${userBase}`]),
    ...(initName === undefined ? [] : ["--name", initName]),
    ...(pidsOf === undefined ? [] : ["--pidns", `${pidsOf.init}`]),
    ...binds.flatMap(([source, target]) => ["--bind", source, target]),
  ];
}
