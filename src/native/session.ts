/** The types of a session of the native addon. `binding.ts` has the rest of its types. */

/** Counters of the agent that answers system calls. They only grow, except those marked as gauges. */
interface CallCounters {
  /** Calls answered with the container's figures. */
  readonly answered: number;
  /** Calls passed to the kernel, for any reason. */
  readonly passed: number;
  /** Those of the passed calls whose callers' memory blocked. */
  readonly late: number;
  /** Calls with an invalid pointer (EFAULT). */
  readonly faults: number;
  /** Calls whose callers were gone before the answer. */
  readonly gone: number;
  /** Calls that could not be answered at once: there was no writer, or the figures could not be read. */
  readonly waited: number;
  /** Those of the waiting calls that got EAGAIN in the end. */
  readonly failed: number;
  /** Calls that made their container exceed its calls per second. */
  readonly paced: number;
  /** Calls taken over from an earlier worker. */
  readonly resumed: number;
  /** Malformed messages on the sockets. */
  readonly malformed: number;
  /** Gauge: notify descriptors and monitors of LXC. */
  readonly listeners: number;
  /** Gauge: writer processes that are stuck on a caller's memory, even though they were killed. */
  readonly stuck: number;
}

/** Counters of containers' kernel logs. They only grow, except those marked as gauges. */
interface KernelLogCounters {
  /** Records added to logs, by kind: oom, forks, fault, seccomp, hung, caller. */
  readonly records: Readonly<Record<string, number>>;
  /** Events in the host's log that could not be attributed to a container. */
  readonly unproven: number;
  /** Times that the host's log was overwritten before it was read. */
  readonly lost: number;
  /** Events left out because the logs of a tenant, or all together, had reached their limit. */
  readonly refused: number;
  /** Gauge: containers whose log has records. */
  readonly logs: number;
  /** Gauge: bytes of memory that logs take. */
  readonly bytes: number;
}

/** A record of a container's kernel log. */
export interface KernelLogRecord {
  /** Its number in the container's log; the next record has the next number. */
  readonly sequence: number;
  /** Microseconds on the container's clock of kernel logs. */
  readonly timeUs: number;
  /** Facility * 8 + level. */
  readonly priority: number;
  /** Bytes that are not printable ASCII are written as "\\x0a". */
  readonly text: string;
}

/** Successive records of a container's kernel log. */
interface KernelLogPage {
  readonly records: readonly KernelLogRecord[];
  /** The number of the oldest record that the log still has. */
  readonly first: number;
  /** The number that the next new record will have. */
  readonly next: number;
}

/** The use of a resource that all tenants (outermost containers) share. */
export interface ResourceUse {
  /** Gauge. */
  readonly used: number;
  /** Total use beyond which each tenant gets only its reserved part. */
  readonly limit: number;
  /** The most that one tenant may use. */
  readonly tenantLimit: number;
  /** Requests for the resource that were refused. */
  readonly refused: number;
  /** Those of the refused requests whose tenant was below its limit, because others used the rest. */
  readonly short: number;
}

/** Counters of a running session. They only grow, except those marked as gauges. */
export interface SessionCounters {
  /** Requests answered, by FUSE operation name ("OPEN", "READ", ...). */
  readonly requests: Readonly<Record<string, number>>;
  /** Views rendered. */
  readonly renders: number;
  /** Reads served with a file rendered for another reader within the same tick. */
  readonly shared: number;
  /** Requests answered with an error. */
  readonly errors: number;
  /** Sources that could not be read (EIO to the reader). */
  readonly sourceErrors: number;
  /** Opens refused because a container held too many files or bytes. */
  readonly refusedOpens: number;
  /** Requests that waited for another request of their container, or for its budget. */
  readonly deferred: number;
  /** Requests that waited because their container was over its budget of renders or CPU time. */
  readonly paced: number;
  /** Requests that the kernel resent after a worker died. */
  readonly resent: number;
  /** Passes that count tasks, for loadavg and stat. */
  readonly taskPasses: number;
  /** Time that these passes took, µs. */
  readonly taskPassUs: number;
  /** Gauge: pressure triggers. */
  readonly triggers: number;
  /** Gauge: readers of containers' kernel logs that wait for a record. */
  readonly logReaders?: number;
  /** Gauge: requests that wait for their turn or for their container's budget. */
  readonly waiting: number;
  /** Gauge: notices about files that wait to be sent to the kernel. */
  readonly notices?: number;
  /** Gauge: open files. */
  readonly openFiles: number;
  /** Counters of system calls; absent if none are answered. */
  readonly calls?: CallCounters;
  /** Counters of containers' kernel logs; absent if there are none. */
  readonly kernelLog?: KernelLogCounters;
  /** Resources that tenants share, by name: containers, sources, open_files, ... */
  readonly resources?: Readonly<Record<string, ResourceUse>>;
  /** Gauge: containers with state in memory. */
  readonly containers: number;
  /** Gauge: worker threads. */
  readonly threads: number;
}

/** What a session has measured of its requests. The numbers only grow. */
export interface SessionMeasures {
  /** Requests by file and result; `file` is "" for requests that concern no file. */
  readonly requests: readonly {
    readonly file: string;
    /** ok, gone, refused, interrupted or failed. */
    readonly result: string;
    readonly count: number;
  }[];
  /** The time from receiving a request to answering it. */
  readonly times: readonly {
    /** lookup, getattr, open, read or other. */
    readonly operation: string;
    /** Bucket i counts requests that took from 2^(i-1) to below 2^i µs; the last one has no upper bound. */
    readonly buckets: readonly number[];
    /** The sum of all times. */
    readonly seconds: number;
  }[];
}

/** A session's counters of one container. */
export interface ContainerCounters {
  readonly id: string;
  readonly requests: number;
  /** Opens refused because it held too much. */
  readonly refused: number;
  /** Gauge. */
  readonly openFiles: number;
  /** Gauge: bytes of the snapshots behind its open files. */
  readonly heldBytes: number;
  /** Gauge: load averages over 1, 5 and 15 minutes. Counting its tasks begins when this is first asked for. */
  readonly load: readonly number[];
}

/** What was negotiated at FUSE_INIT, and what the kernel offers. */
export interface SessionFeatures {
  readonly protocolMajor: number;
  readonly protocolMinor: number;
  /** Whether the kernel can resend requests that a dead worker had taken (Linux 6.9). */
  readonly resend: boolean;
  readonly maxReadahead: number;
  /** Whether the contract `tick` is in force: files come from the page cache. */
  readonly tick: boolean;
  /** How tasks are counted: "bpf" or "scan"; empty until somebody has asked for a load. */
  readonly taskCounter: string;
  /** Why tasks are not counted by a BPF program; empty if they are, or if it is turned off. */
  readonly taskCounterFallback: string;
  /** Why system calls are not answered although they should be; empty if they are. */
  readonly callsProblem?: string;
  /** Why the host's kernel log cannot be read although containers have logs; empty if it can. */
  readonly kernelLogProblem?: string;
  /**
   * Missing sources that would prove more records for containers' kernel logs, with reasons; null: not known
   * yet, which a tracing tool on the host may delay.
   */
  readonly kernelLogMissing?: readonly string[] | null;
  /** Whether files that can be polled have a connection of their own. */
  readonly polled?: boolean;
  /** Why they have none although they should; empty if they have one. */
  readonly polledProblem?: string;
  /** Why the state of an earlier worker was not taken over; empty if it was. */
  readonly stateIgnored: string;
}

/** How system calls of containers are answered. */
interface CallOptions {
  /** The directory of the sockets to which runtimes hand calls over; must exist. */
  readonly directory: string;
  /** Calls answered per second for one container (0..10000000); 0: no limit. */
  readonly perSecond: number;
  /** Whether sched_getaffinity(2) is answered too. */
  readonly affinity: boolean;
  /** How long a call that cannot be answered waits before it fails, in ms (0..3600000). */
  readonly patienceMs: number;
}

/** What a worker inherits from its keeper: descriptors, and the devices of their file systems as of makedev(3). */
export interface Inheritance {
  readonly fuseFd: number;
  readonly stateFd: number;
  readonly controlFd: number;
  /** The connection for files that can be polled: both or neither. */
  readonly polledFuseFd?: number;
  readonly polledStateFd?: number;
  /** Missing: an earlier keeper, which does not tell them. */
  readonly device?: number;
  readonly polledDevice?: number;
}

export interface SessionOptions {
  /** Absolute path of an existing directory. Ignored with `inherit`. */
  readonly mountpoint: string;
  /** The second mount point, of files that can be polled; without it they are polled on the main mount. */
  readonly polledMountpoint?: string;
  /** File system type shown in mount tables, e.g. "fuse.lxcfs". */
  readonly fsType: string;
  /** Mount source, e.g. "vprocfs". */
  readonly source: string;
  /** Maximum number of worker threads (2..256). */
  readonly maxThreads: number;
  /** Open files that one container may hold (1..65535); further opens get ENFILE. */
  readonly maxOpenPerContainer: number;
  /** Renders per second for one container; 0: no limit. */
  readonly rendersPerSecond: number;
  /** CPU time for the requests of one container in a second, in percent of one CPU; 0: no limit. */
  readonly maxCpuPerContainer: number;
  /** "exact": a snapshot for each open. "tick": files come from the page cache, at most tickMs old. */
  readonly consistency: "exact" | "tick";
  /** How long a rendered file, and what it was made from, is reused, ms (1..1000). */
  readonly tickMs: number;
  /** Pressure triggers that one container may hold (0..1024); further ones get ENOSPC. */
  readonly maxTriggersPerContainer: number;
  /** Whether tasks may be counted by a BPF program. */
  readonly bpf: "auto" | "off";
  /** Without it no system calls are answered. */
  readonly calls?: CallOptions;
  /** Where metrics are served, as it is configured: the keeper keeps that socket. Missing: nowhere, or at a path. */
  readonly metricsAddress?: string;
  /** Whether containers have kernel logs of their own; false by default. */
  readonly kernelLog?: boolean;
  /** Descriptors inherited from the keeper; without them the session mounts itself. */
  readonly inherit?: Inheritance;
  /** Called once, when it begins to serve: at once, or when the keeper tells it to take over. */
  readonly onServing: () => void;
  /** Called when features() changes in what it says of system calls or kernel logs. */
  readonly onFeatures: () => void;
  /** Called when moreCpus() has one after it had none. */
  readonly onMoreCpus: () => void;
  /**
   * Called with a reason if the connection ends without stop() (unmounted, aborted, fatal error), and with the
   * reasons that src/daemon.ts names.
   */
  readonly onEnd: (reason: string) => void;
}

/** A FUSE connection served by native threads. No JavaScript runs for a request. */
export interface NativeSession {
  /** Mounts and serves; with `inherit` gets ready and serves when the keeper says so. Throws an Error with `code`. */
  start(): void;
  /**
   * Takes no more requests, answers those in flight, and joins the threads; with `unmount` also unmounts. Resolves to
   * true if the unmount had to be lazy, because the mount was busy.
   */
  stop(unmount: boolean): Promise<boolean>;
  counters(): SessionCounters;
  measures(): SessionMeasures;
  /**
   * The counters of those of these containers that are running, and that have sent requests or whose init is given (0:
   * it is not) and can be found before long. The others may be there the next time.
   */
  containers(ids: readonly string[], inits: readonly number[]): Promise<ContainerCounters[]>;
  features(): SessionFeatures;
  /** The ids of containers that show more CPUs than before, since the last call. */
  moreCpus(): string[];
  /** The files of the tree as lines of the attach helper's settings; empty before it serves. */
  files(): string[];
  /** The socket of metrics that an earlier worker has left; -1: none, or it was taken. The descriptor is the caller's. */
  takeMetricsSocket(): number;
  /** Leaves the socket of metrics to later workers. */
  keepMetricsSocket(fd: number): void;
  /**
   * At most `limit` records of a container's kernel log, from number `from` on. Rejects with an Error with
   * `code`: ESRCH if there is no such container, ENOTSUP if containers have no logs.
   */
  kernelLog(id: string, from: number, limit: number): Promise<KernelLogPage>;
}
