/** What the native addon says and takes of a session. `binding.ts` describes the rest of it. */

/** Counters of the agent that answers system calls; all only grow, except gauges marked so. */
export interface CallCounters {
  /** Calls that got the container's figures. */
  readonly answered: number;
  /** Calls let through to the kernel, for any reason. */
  readonly passed: number;
  /** Calls of these whose callers' memory blocks. */
  readonly late: number;
  /** Calls with a pointer to nowhere. */
  readonly faults: number;
  /** Callers that did not wait for their answer. */
  readonly gone: number;
  /** Calls that could not be answered at once: no writer, or no figures. */
  readonly waited: number;
  /** Calls of these that got EAGAIN, since that did not change within patience. */
  readonly failed: number;
  /** Calls after which their container was over its calls per second. */
  readonly paced: number;
  /** Calls that a worker before this one had taken. */
  readonly resumed: number;
  /** Messages on the sockets that no runtime should send. */
  readonly malformed: number;
  /** Gauge: notify descriptors and monitors of LXC. */
  readonly listeners: number;
  /** Gauge: processes that write into the memory of callers, and do not end when they are killed. */
  readonly stuck: number;
}

/** Counters of containers' kernel logs; all only grow, except gauges marked so. */
export interface KernelLogCounters {
  /** Records told to containers, by kind: oom, forks, fault, seccomp, hung, caller. */
  readonly records: Readonly<Record<string, number>>;
  /** Events in the host's log that look like a container's, and nothing proves whose they are. */
  readonly unproven: number;
  /** Times that the host's log was overwritten before it was read. */
  readonly lost: number;
  /** Events that were told to nobody: the logs together, or those of a tenant, have their size. */
  readonly refused: number;
  /** Gauge: containers whose log has records. */
  readonly logs: number;
  /** Gauge: bytes of memory that these take. */
  readonly bytes: number;
}

/** A record of a container's kernel log. */
export interface KernelLogRecord {
  /** Counts up by one from record to record of the container. */
  readonly sequence: number;
  /** Microseconds of the clock that the container's kernel log has. */
  readonly timeUs: number;
  /** Facility * 8 + level. */
  readonly priority: number;
  /** Bytes that are not printable ASCII are written as "\\x0a". */
  readonly text: string;
}

/** Records of a container's kernel log from one on. */
export interface KernelLogPage {
  readonly records: readonly KernelLogRecord[];
  /** The oldest one that is still there. */
  readonly first: number;
  /** The number that the next one will have. */
  readonly next: number;
}

/** What of something that all tenants (outermost containers) share is in use. */
export interface ResourceUse {
  /** Gauge. */
  readonly used: number;
  /** Beyond this, all together, a tenant gets only a little that is kept back for it. */
  readonly limit: number;
  /** What one tenant has at most. */
  readonly tenantLimit: number;
  /** How often a tenant asked for more than it may have. */
  readonly refused: number;
  /** How often of these it had less than one tenant may have: others had the rest. */
  readonly short: number;
}

/** Counters of a running session; all only grow, except gauges marked so. */
export interface SessionCounters {
  /** Requests answered, by FUSE operation name ("OPEN", "READ", ...). */
  readonly requests: Readonly<Record<string, number>>;
  /** Views rendered. */
  readonly renders: number;
  /** Readers served with what was made for another reader within a tick. */
  readonly shared: number;
  /** Requests answered with an error. */
  readonly errors: number;
  /** Sources that could not be read (EIO to the reader). */
  readonly sourceErrors: number;
  /** Opens refused because a container held too many snapshots. */
  readonly refusedOpens: number;
  /** Requests that waited for their own container's budget. */
  readonly deferred: number;
  /** Requests that waited since their container was over its budget of renders or CPU time. */
  readonly paced: number;
  /** Requests that the kernel resent after a worker died. */
  readonly resent: number;
  /** Passes over the tasks of the node or of containers, for loadavg and stat. */
  readonly taskPasses: number;
  /** What these took, µs. */
  readonly taskPassUs: number;
  /** Gauge: pressure triggers. */
  readonly triggers: number;
  /** Gauge: readers of containers' kernel logs that wait for a record. */
  readonly logReaders?: number;
  /** Gauge: requests that wait for their turn or for their container's budget. */
  readonly waiting: number;
  /** Gauge: notices about files that wait for the kernel. */
  readonly notices?: number;
  /** Gauge: open files. */
  readonly openFiles: number;
  /** Of system calls; absent where none are answered. */
  readonly calls?: CallCounters;
  /** Of containers' kernel logs; absent where they have none. */
  readonly kernelLog?: KernelLogCounters;
  /** By name: containers, sources, open_files, held_bytes, triggers, waiting. */
  readonly resources?: Readonly<Record<string, ResourceUse>>;
  /** Gauge: containers with state in memory. */
  readonly containers: number;
  /** Gauge: worker threads. */
  readonly threads: number;
}

/** What a session has measured of its requests; all only grow. */
export interface SessionMeasures {
  /** How many requests ended how; `file` is "" for those that are about no file. */
  readonly requests: readonly {
    readonly file: string;
    /** ok, gone, refused, interrupted or failed. */
    readonly result: string;
    readonly count: number;
  }[];
  /** How long requests took, from when they were taken to their answer. */
  readonly times: readonly {
    /** lookup, getattr, open, read or other. */
    readonly operation: string;
    /** Bucket i counts those below 2^i µs and not below 2^(i-1); the last one all that is longer. */
    readonly buckets: readonly number[];
    /** Their sum. */
    readonly seconds: number;
  }[];
}

/** What a session counts of one container. */
export interface ContainerCounters {
  readonly id: string;
  readonly requests: number;
  /** Opens refused because it held too much. */
  readonly refused: number;
  /** Gauge. */
  readonly openFiles: number;
  /** Gauge: bytes of the snapshots behind its open files. */
  readonly heldBytes: number;
  /** Gauge: load averages over 1, 5 and 15 minutes. Its tasks are counted from the first question. */
  readonly load: readonly number[];
}

/** What INIT negotiated and the kernel offers. */
export interface SessionFeatures {
  readonly protocolMajor: number;
  readonly protocolMinor: number;
  /** The kernel can resend what a dead worker had taken (Linux 6.9). */
  readonly resend: boolean;
  readonly maxReadahead: number;
  /** The contract in force: files come out of the page cache. */
  readonly tick: boolean;
  /** How tasks are counted: "bpf" or "scan"; empty until somebody has asked for a load. */
  readonly taskCounter: string;
  /** Why they are not counted by a BPF program; empty when they are, or were not to be. */
  readonly taskCounterFallback: string;
  /** Why no system calls are answered though they should be; empty when they are. */
  readonly callsProblem?: string;
  /** Why the host's kernel log cannot be read though containers have logs; empty when it can. */
  readonly kernelLogProblem?: string;
  /**
   * What would prove more of containers' kernel logs and is not there, with the reason; null until that is
   * known, which a tracing tool on the host may delay.
   */
  readonly kernelLogMissing?: readonly string[] | null;
  /** Files that are polled have a connection of their own. */
  readonly polled?: boolean;
  /** Why they have none though they should; empty when they have. */
  readonly polledProblem?: string;
  /** Why what an earlier worker left was not taken over; empty when it was. */
  readonly stateIgnored: string;
}

/** How system calls of containers are answered. */
export interface CallOptions {
  /** Of the sockets that runtimes hand them over through; must exist. */
  readonly directory: string;
  /** Calls of one container that are answered in a second (0..10000000); 0: no limit. */
  readonly perSecond: number;
  /** Whether sched_getaffinity(2) is answered too. */
  readonly affinity: boolean;
  /** How long a call that cannot be answered waits before it fails, in ms (0..3600000). */
  readonly patienceMs: number;
}

/** Descriptors that a worker has from its keeper. */
export interface Inheritance {
  readonly fuseFd: number;
  readonly stateFd: number;
  readonly controlFd: number;
  /** Both or none: of the connection for files that are polled. */
  readonly polledFuseFd?: number;
  readonly polledStateFd?: number;
}

export interface SessionOptions {
  /** Absolute path of an existing directory. Ignored with `inherit`. */
  readonly mountpoint: string;
  /** Where files are mounted that are polled; without it they are polled on the one mount. */
  readonly polledMountpoint?: string;
  /** File system type shown in mount tables, e.g. "fuse.lxcfs". */
  readonly fsType: string;
  /** Mount source, e.g. "vprocfs". */
  readonly source: string;
  /** Worker threads at most (2..256). */
  readonly maxThreads: number;
  /** Open files that one container may hold (1..65535); beyond: ENFILE for that container. */
  readonly maxOpenPerContainer: number;
  /** Renders that one container may ask for in a second; 0: no limit. */
  readonly rendersPerSecond: number;
  /** CPU time for the requests of one container in a second, in percent of one CPU; 0: no limit. */
  readonly maxCpuPerContainer: number;
  /** "exact": one snapshot per open. "tick": page-cached, at most tickMs old. */
  readonly consistency: "exact" | "tick";
  /** Age of shared inputs, ms (1..1000). */
  readonly tickMs: number;
  /** Pressure triggers that one container may hold (0..1024); beyond: ENOSPC. */
  readonly maxTriggersPerContainer: number;
  /** Whether tasks may be counted by a BPF program. */
  readonly bpf: "auto" | "off";
  /** Without it no system calls are answered. */
  readonly calls?: CallOptions;
  /** Whether containers have kernel logs of their own; they do not without it. */
  readonly kernelLog?: boolean;
  /** Descriptors handed down by the keeper; without them the session mounts by itself. */
  readonly inherit?: Inheritance;
  /** Called once when it serves: at once, or when the keeper has it take over. */
  readonly onServing: () => void;
  /** Called when features() says something else of calls or kernel logs than before. */
  readonly onFeatures: () => void;
  /** Called once when the connection ends without stop(): unmounted, aborted, or a fatal error. */
  readonly onEnd: (reason: string) => void;
}

/** A FUSE connection served by native threads. No JavaScript runs for a request. */
export interface NativeSession {
  /**
   * Mounts and serves; with `inherit` gets ready, and serves when the keeper says so. Throws an
   * Error with `code`.
   */
  start(): void;
  /**
   * Stops taking requests, answers those in flight, joins the threads. `unmount`: also unmounts
   * (lazily when busy); returns true when the unmount had to be lazy.
   */
  stop(unmount: boolean): Promise<boolean>;
  counters(): SessionCounters;
  measures(): SessionMeasures;
  /** Of these those that live, whether they asked for anything or not. */
  containers(ids: readonly string[]): ContainerCounters[];
  features(): SessionFeatures;
  /** The files of its tree as lines of the attach helper's settings; none before it serves. */
  files(): string[];
  /**
   * The kernel log of a container from a record on, at most so many. Rejects with an Error with
   * `code`: ESRCH where there is no such container, ENOTSUP where containers have no logs.
   */
  kernelLog(id: string, from: number, limit: number): Promise<KernelLogPage>;
}
