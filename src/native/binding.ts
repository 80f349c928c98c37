/**
 * What the native addon exports; `addon.ts` loads it, `session.ts` has what is about a session.
 */

import type { NativeSession, SessionOptions } from "./session.js";

/** A container in a survey. */
export interface SurveyedContainer {
  readonly id: string;
  readonly name: string;
  readonly runtime: string;
  readonly cgroup: string;
  /** PID of its init as the host sees it. */
  readonly init: number;
  /** The command of the last OOM kill; "" if unknown. */
  readonly lastVictim: string;
}

/** All containers of the host at about one moment. */
export interface Survey {
  readonly containers: readonly SurveyedContainer[];
  /** A row per container with a column per name of Surveyor.figures; NaN: not told. */
  readonly figures: Float64Array;
  readonly tookSeconds: number;
  /** Containers of which something could not be read. */
  readonly failed: number;
  /** Containers left out because there are more than one survey reports. */
  readonly leftOut: number;
  /** Whether the kernel's log can be read, which dates kills. */
  readonly readsLog: boolean;
}

export type ControllerName = "cpu" | "cpuacct" | "cpuset" | "memory" | "io" | "pids";

/** A cgroup in one hierarchy. */
export interface CgroupPlace {
  /** Where the hierarchy is mounted. */
  readonly mount: string;
  /** Below it, with a leading slash. */
  readonly path: string;
  readonly v2: boolean;
}

/** A container as found on the host. */
export interface ContainerInfo {
  /** Stable for the container's life: what stands under `containers/`. */
  readonly id: string;
  /**
   * The id of the outermost container around it, whose budgets it shares; its own where it is in
   * none.
   */
  readonly tenant: string;
  /**
   * From the cgroup's path: "web1" of lxc.payload.web1, the OCI id, ...; "web1/inner" of one that is
   * in web1.
   */
  readonly name: string;
  /**
   * lxc, docker, podman, crio, containerd, kubernetes (of the cgroupfs driver, which does not tell
   * containerd from Docker), systemd-nspawn, runc, crun, or "".
   */
  readonly runtime: string;
  /** Path in the identity hierarchy. */
  readonly cgroup: string;
  /** PID of its init as the host sees it. */
  readonly init: number;
  /** Where its cgroups are, by controller: cpu, cpuacct, cpuset, memory, io, pids. */
  readonly cgroups: Readonly<Partial<Record<ControllerName, CgroupPlace>>>;
  /** Bytes; null: unlimited. */
  readonly memoryLimit: number | null;
  /** Bytes; null: unlimited. */
  readonly swapLimit: number | null;
  /** CPUs shown. */
  readonly cpus: number;
  /** quota / period; null: unlimited. */
  readonly cpuQuota: number | null;
}

/** A file that every container has. */
export interface ViewInfo {
  readonly index: number;
  /** E.g. "proc/meminfo". */
  readonly path: string;
  /** Permission bits as the kernel's file has them. */
  readonly mode: number;
}

/** What is at a path of a container's tree. */
export interface TreeNode {
  /** As st_mode of stat(2). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes; 0 of what is rendered, until it is. */
  readonly size: number;
  readonly links: number;
  /** It is the host's, of sysfs, as a container is shown it. */
  readonly isMirrored: boolean;
  /** Of a symlink. */
  readonly target?: string;
  /** Of a directory. */
  readonly names?: readonly string[];
}

/**
 * The containers and views without a connection to the kernel, for engines written in JavaScript.
 * Whatever is asked runs on the JavaScript thread. Methods throw an Error with `code`.
 */
export interface Renderer {
  /** The ids of all containers with processes. */
  list(): string[];
  /** The bytes of a view or of a file of sysfs. ESRCH: there is no such container. */
  render(id: string, path: string): Buffer;
  /** What is at a path below a container's directory; null: nothing. */
  look(id: string, path: string): TreeNode | null;
  /** Ends its thread; afterwards every call throws EBADF. */
  close(): void;
}

/** Something that happened to mount namespaces of containers. */
export interface WatchEvent {
  /**
   * "appeared": a program was executed in one not known yet; "mounts": what is mounted on proc or
   * sysfs of a followed one has changed; "ended": the process it was known by has; "lost": some
   * events were lost, or there is room again.
   */
  readonly kind: "appeared" | "mounts" | "ended" | "lost";
  readonly pid: number;
  /** Number of the mount namespace. */
  readonly namespace: number;
  /** Number of the tenant: see tenantOf. */
  readonly tenant: number;
}

/** How a watch stands. */
export interface WatchState {
  /** Gauges: namespaces that are known, and how many can be. */
  readonly known: number;
  readonly limit: number;
  /** How many one tenant's can be. */
  readonly tenantLimit: number;
  /** Times that there was no room for one: its tenant had its share, or all were taken. */
  readonly refused: number;
  /** Times that no descriptor or no memory was to be had. */
  readonly shortages: number;
}

/** Watches over mount namespaces by events of the kernel, on native threads. */
export interface NativeWatch {
  /** Throws when the kernel tells nobody of new processes; what is followed is told of even so. */
  start(): void;
  /**
   * Tells of changes of the mounts in the namespace of a process. Otherwise: it has ended, there is
   * no room for more ("lost" tells when there may be), or no descriptor was to be had.
   */
  follow(pid: number): "followed" | "ended" | "full" | "shortage";
  state(): WatchState;
  /**
   * A number for the tenant of a process, which is the outermost container around it. No other
   * tenant gets it after that one; its lower 32 bits are the number of the tenant's PID namespace.
   * 0: the process is of the host, or has ended.
   */
  tenantOf(pid: number): number;
  stop(): void;
}

/** A program that runs. */
export interface RunningProgram {
  /**
   * How it has ended: its exit status, or the number of the signal. Rejects with an Error with `code` when
   * it cannot be started.
   */
  readonly ended: Promise<{
    readonly status: number | null;
    readonly signal: number | null;
    readonly stdout: string;
    readonly stderr: string;
  }>;
  /** Kills it. */
  kill(): void;
}

export interface NativeBinding {
  readonly version: string;
  /** Constructs a session; throws TypeError on bad options. */
  readonly Session: new (
    options: SessionOptions,
  ) => NativeSession;
  /** Scans the host for containers. */
  scanContainers(): ContainerInfo[];
  /** The container that `pid` is in; null for a process of the host. Throws ESRCH when gone. */
  containerOf(pid: number): ContainerInfo | null;
  /** Constructs a renderer; figures of the host are used again for `tickMs`. */
  readonly Renderer: new (
    tickMs: number,
    bpf: "auto" | "off",
  ) => Renderer;
  readonly Watch: new (onEvents: (events: readonly WatchEvent[]) => void) => NativeWatch;
  /**
   * Constructs what takes surveys. The type and source say whose mounts inside of containers count,
   * the file where kills that the kernel's log told of are remembered ("": nowhere). The kernel's log
   * is read by a session that serves, where there is one.
   */
  readonly Surveyor: {
    new (
      fsType: string,
      source: string,
      killsFile: string,
      session?: NativeSession,
    ): {
      /** Takes one on a thread of its own; several at once are taken one after the other. */
      take(): Promise<Survey>;
      /**
       * A file that something is mounted on in a procfs or sysfs, as a process sees it, in its mount
       * namespace and below its root, on a thread of its own. `device` ("major:minor") is that of what is
       * mounted there, `directory` that of the procfs or sysfs. Rejects with an Error with `code`;
       * EXDEV where something else is there, EAGAIN where another file system would have to be asked
       * for the way. Does not settle while `device` does not answer.
       */
      readInside(pid: number, path: string, device: string, directory: string): Promise<string>;
    };
    /** Names of the columns of a survey: native/survey/figures.def. */
    readonly figures: readonly string[];
  };
  /** Files every container has on this host. */
  views(): ViewInfo[];
  /** Replaces this process by another program; returns only by throwing. */
  exec(argv: readonly string[]): never;
  /**
   * Runs a program (a path, and its arguments) without the fork that Node makes. It is killed after
   * `timeoutMs`, and when it prints more than 1 MiB.
   */
  run(argv: readonly string[], timeoutMs: number): RunningProgram;
  /** Unmounts lazily; false when nothing is mounted there. */
  unmount(path: string): boolean;
  /** fnmatch(3) without flags: what the attach helper matches patterns with. */
  fnmatch(pattern: string, name: string): boolean;
  /** The errno of openat2(2) of a directory that is there; 0 where no filter refuses it. */
  openat2Error(): number;
  /** Gives memory back that the allocator holds and nothing uses. */
  trimMemory(): void;
  /** Ends the process at once, without waiting for threads that something holds. */
  exitNow(status: number): never;
}
