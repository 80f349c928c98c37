/** What the native addon exports. `addon.ts` loads it; `session.ts` has the types of sessions. */

import type { NativeSession, SessionOptions } from "./session.js";

/** A container in a survey. */
export interface SurveyedContainer {
  readonly id: string;
  /** See ContainerIdentity. */
  readonly tenant: string;
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
  /** A row for each container, with a column for each name in Surveyor.figures; NaN: not known. */
  readonly figures: Float64Array;
  readonly tookSeconds: number;
  /** Containers of which something could not be read. */
  readonly failed: number;
  /** Containers left out because there are more than one survey reports. */
  readonly leftOut: number;
  /** Whether the kernel's log, which has the times of OOM kills, can be read. */
  readonly readsLog: boolean;
  /** OOM kills that no survey shows, because their containers ended before; counted from the first survey on. */
  readonly endedKills: number;
}

type ControllerName = "cpu" | "cpuacct" | "cpuset" | "memory" | "io" | "pids";

/** A cgroup in one hierarchy. */
export interface CgroupPlace {
  /** Where the hierarchy is mounted. */
  readonly mount: string;
  /** The path below the mount point, with a leading slash. */
  readonly path: string;
  readonly v2: boolean;
}

/** What says which container it is. */
export interface ContainerIdentity {
  /** Its name under `containers/`, which stays the same while it runs. */
  readonly id: string;
  /** The id of its outermost container, whose budgets it shares; its own id if it is not nested. */
  readonly tenant: string;
  /** Taken from the cgroup's path: "web1" from lxc.payload.web1, an OCI id, ...; "web1/inner" if it is in web1. */
  readonly name: string;
  /**
   * lxc, docker, podman, crio, containerd, kubernetes (with the cgroupfs driver, whose paths do not say whether
   * containerd or Docker made them), systemd-nspawn, runc, crun, or "".
   */
  readonly runtime: string;
  /** Path in the hierarchy that identifies containers. */
  readonly cgroup: string;
  /** PID of its init as the host sees it. */
  readonly init: number;
}

/** A container, and where to read its figures. */
export interface LocatedContainer extends ContainerIdentity {
  /** Where its cgroups are, by controller: cpu, cpuacct, cpuset, memory, io, pids. */
  readonly cgroups: Readonly<Partial<Record<ControllerName, CgroupPlace>>>;
}

/** A container as found on the host. */
export interface ContainerInfo extends LocatedContainer {
  /** Bytes; null: unlimited. */
  readonly memoryLimit: number | null;
  /** Bytes; null: unlimited. */
  readonly swapLimit: number | null;
  /** CPUs shown. */
  readonly cpus: number;
  /** quota / period; null: unlimited. */
  readonly cpuQuota: number | null;
}

/** A container as found on the host, whose figures could not be read. */
interface UnreadContainer extends LocatedContainer {
  /** Why: "/sys/fs/cgroup/web1: Too many open files". */
  readonly problem: string;
}

/** The memory of the node, in bytes. */
export interface NodeMemory {
  readonly total: number;
  /** What programs could still get: MemAvailable and `arc`. */
  readonly available: number;
  /** What ZFS's cache would give back. */
  readonly arc: number;
}

/** A file that every container has. */
interface ViewInfo {
  readonly index: number;
  /** E.g. "proc/meminfo". */
  readonly path: string;
  /** Permission bits as the kernel's file has them. */
  readonly mode: number;
}

/** A file, directory or link in a container's tree. */
export interface TreeNode {
  /** As st_mode of stat(2). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes; 0 for a file that is rendered when it is read. */
  readonly size: number;
  readonly links: number;
  /** Whether it mirrors a file of the host's sysfs. */
  readonly isMirrored: boolean;
  /** The target of a symlink. */
  readonly target?: string;
  /** The names in a directory. */
  readonly names?: readonly string[];
}

/**
 * Renders files of containers without a connection to the kernel, for engines written in JavaScript.
 * Everything runs on the JavaScript thread. Methods throw an Error with `code`.
 */
export interface Renderer {
  /** The ids of all containers with processes. */
  list(): string[];
  /** The bytes of a view or of a file of sysfs. ESRCH: there is no such container. */
  render(id: string, path: string): Buffer;
  /** The node at a path below a container's directory; null: there is none. */
  look(id: string, path: string): TreeNode | null;
  /** Ends its thread; afterwards every call throws EBADF. */
  close(): void;
}

/** An event of a mount namespace of a container. */
export interface WatchEvent {
  /**
   * "appeared": a program was executed in a namespace that is not followed, or for the first time by the process
   * by which one is followed; "mounts": what is mounted on proc or sysfs in a followed namespace has changed;
   * "ended": the process by which it was followed has ended; "lost": events were lost, or there is room to follow
   * more namespaces again.
   */
  readonly kind: "appeared" | "mounts" | "ended" | "lost";
  readonly pid: number;
  /** Number of the mount namespace. */
  readonly namespace: number;
  /** Number of the tenant: see tenantOf. */
  readonly tenant: number;
  /** Whether the process is the init of the PID namespace of all in the mount namespace: nobody outlives it there. */
  readonly isInit: boolean;
}

/** The state of a watch. */
interface WatchState {
  /** Gauges: namespaces that are followed, and how many can be. */
  readonly known: number;
  readonly limit: number;
  /** How many of them one tenant may have. */
  readonly tenantLimit: number;
  /** Times that a namespace was not followed, because its tenant or all together had too many. */
  readonly refused: number;
  /** Those of them whose tenant was below its limit. */
  readonly short: number;
  /** Times that descriptors or memory were short. */
  readonly shortages: number;
}

/** Reports events of mount namespaces, on native threads. */
export interface NativeWatch {
  /**
   * Throws if the kernel does not report new processes. Namespaces that are followed are reported even then. If a
   * thread, a descriptor or memory was short, it can be called again.
   */
  start(): void;
  /**
   * Follows the mount namespace of a process: reports changes of its mounts. "ended": the process has ended. "full":
   * there is no room for more namespaces; the event "lost" says when there may be. "shortage": no descriptor is left.
   */
  follow(pid: number): "followed" | "ended" | "full" | "shortage";
  state(): WatchState;
  /**
   * The number of a process's tenant (its outermost container), which no later tenant gets. The lower 32 bits are the
   * number of the tenant's PID namespace. 0: the process is of the host, or has ended, or something is short, and then
   * the event "lost" follows.
   */
  tenantOf(pid: number): number;
  /**
   * The process by which to know the mount namespace of a process: the init of its PID namespace if that is in the
   * same mount namespace (Linux 6.11), else the process itself.
   */
  representativeOf(pid: number): { readonly pid: number; readonly isInit: boolean };
  stop(): void;
}

/** A running program. */
export interface RunningProgram {
  /**
   * Resolves when it has ended, with its exit status or signal. Rejects with an Error with `code` if it
   * cannot be started.
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
  /** Scans the host for containers. One that keeps itself from being found is missing. */
  scanContainers(): (ContainerInfo | UnreadContainer)[];
  /** The same without figures: reads no file of a cgroup. */
  locateContainers(): LocatedContainer[];
  /**
   * The container of a process; null: a process of the host. Throws ESRCH if the process has ended, ETIMEDOUT if the
   * container keeps it from being found before long, and other errors if figures cannot be read.
   */
  containerOf(pid: number): ContainerInfo | null;
  /** The same without figures: reads no file of its cgroups. */
  locationOf(pid: number): LocatedContainer | null;
  /** The same without its cgroups. */
  identityOf(pid: number): ContainerIdentity | null;
  /** Constructs a renderer, which reuses figures of the host for `tickMs`. */
  readonly Renderer: new (
    tickMs: number,
    bpf: "auto" | "off",
  ) => Renderer;
  readonly Watch: new (onEvents: (events: readonly WatchEvent[]) => void) => NativeWatch;
  /**
   * Takes surveys. `fsType` and `source` identify our mounts in containers. Counts that the kernel does not
   * keep begin with those in the files `totals`.kills and `totals`.counters (`totals` "": with none); if `keepsTotals`,
   * they are kept there. A `session` reads the kernel's log for the surveyor, which otherwise reads it itself.
   */
  readonly Surveyor: {
    new (
      fsType: string,
      source: string,
      totals: string,
      keepsTotals: boolean,
      session?: NativeSession,
    ): {
      /** Takes a survey on a thread of its own. Surveys that are asked for at the same time are taken in turn. */
      take(): Promise<Survey>;
      /**
       * Reads a file that is mounted over a file of procfs or sysfs, in the mount namespace and below the
       * root of a process, on a thread of its own. `device` ("major:minor") is the device of the mounted
       * file, `directory` that of the procfs or sysfs. Rejects with an Error with `code`: EXDEV if something
       * else is mounted there, EAGAIN if another file system would have to be asked for a directory on the
       * way. Does not settle while `device` hangs.
       */
      readInside(pid: number, path: string, device: string, directory: string): Promise<string>;
    };
    /** Names of the columns of a survey: native/survey/figures.def. */
    readonly figures: readonly string[];
  };
  /** The memory of the node; null: the kernel does not say. */
  nodeMemory(): NodeMemory | null;
  /** The files that every container of this host has. */
  views(): ViewInfo[];
  /** Replaces this process by another program. Returns only by throwing. */
  exec(argv: readonly string[]): never;
  /**
   * Runs a program (its path and arguments), without the cost of Node's fork. It is killed after `timeoutMs`,
   * or if it prints more than 1 MiB.
   */
  run(argv: readonly string[], timeoutMs: number): RunningProgram;
  /** Unmounts lazily; false: nothing is mounted there. */
  unmount(path: string): boolean;
  /** fnmatch(3) without flags, with which the attach helper matches patterns too. */
  fnmatch(pattern: string, name: string): boolean;
  /** The errno with which a seccomp filter refuses openat2(2); 0: the call works. */
  openat2Error(): number;
  /** Returns memory to the kernel that the allocator holds and nothing uses. */
  trimMemory(): void;
  /** Ends the process at once, even if threads of it hang. */
  exitNow(status: number): never;
}
