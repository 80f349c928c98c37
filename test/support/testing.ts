/**
 * The native code without a mount: parsers, sources, models and views, over recorded trees or this
 * host's cgroups. An addon of its own, which no package has. Typed by hand; `native/testing/` is the
 * other side.
 */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testName } from "./names.js";
import { project } from "./project.js";

/** CPU time since the cgroup was made, µs. */
interface CpuUsage {
  readonly userUs: bigint;
  readonly niceUs: bigint;
  /** Whether the kernel tells that; false if it is missing. */
  readonly tellsNice?: boolean;
  readonly systemUs: bigint;
  readonly throttledUs: bigint;
  /** Of cgroups above that have a quota (native/facts/cpu.h); null: not the container's alone. */
  readonly quotasAbove?: readonly {
    readonly level: number;
    readonly throttledUs: bigint | null;
  }[];
  readonly perCpu: readonly {
    readonly cpu: number;
    readonly userUs: bigint;
    readonly systemUs: bigint;
  }[];
}

/** Mount points of a process below /proc and /sys. */
interface MountedFiles {
  readonly ours: number;
  readonly lxcfs: number;
  readonly dead: number;
}

/** What LXC's monitor asks (native/seccomp/message.h). */
interface LxcRequest {
  readonly id: bigint;
  readonly pid: number;
  /** Where in the packet the response stands. */
  readonly responseAt: number;
  /** How much of the packet goes back. */
  readonly answerBytes: number;
}

/** A step of a token bucket (native/tenant/budget.h). */
export type BudgetStep = readonly [
  what: "take" | "lend" | "give" | "charge" | "exceeded" | "forgive",
  atUs: number,
  tokens: number,
];

/** What was used up to a moment (native/tenant/cpu_contention.h); µs. */
type CpuUse = readonly [
  at: number,
  cpus: number,
  idle: number,
  kernel: number,
  requests: number,
  tenant: number,
];

/** What sysinfo(2) says (native/view/sysinfo_model.h); bytes. */
interface SysinfoFigures {
  readonly uptimeS: bigint;
  readonly loads: readonly bigint[];
  readonly total: bigint;
  readonly free: bigint;
  readonly shared: bigint;
  readonly buffers: bigint;
  readonly swapTotal: bigint;
  readonly swapFree: bigint;
  readonly tasks: bigint;
}

/** One reading of the kernel's figures (native/container/cpu_history.h). */
export interface CpuSample {
  readonly uptimeUs: bigint;
  readonly usage: CpuUsage;
  /** Ids of the shown CPUs, never empty. */
  readonly shown: readonly number[];
  readonly hostCpuset: readonly number[];
}

/** A counter of a cgroup's memory.stat or memory.events. */
interface MemoryEvent {
  readonly key: string;
  readonly count: bigint;
}

/** One reading of a cgroup, which is known by its inode number (native/container/event_history.h). */
export interface EventReading {
  readonly place: bigint;
  readonly events: readonly MemoryEvent[];
}

/** One reading of what a container of v1 has read from devices, which are known by their major numbers. */
interface DiskReading {
  /** The cgroup. */
  readonly place: bigint;
  /** The host's devices. */
  readonly present: readonly number[];
  /** Those that the cgroup tells of, and what it has read of each. */
  readonly used: readonly number[];
  readonly readBytes: readonly bigint[];
}

/** What /proc/stat shows of one CPU, µs. */
export interface CpuCounters {
  readonly id: number;
  readonly userUs: bigint;
  readonly niceUs: bigint;
  readonly systemUs: bigint;
  readonly idleUs: bigint;
  readonly stealUs: bigint;
}

export interface CpuReport {
  readonly cpus: readonly CpuCounters[];
  /** Of CPUs that were shown before. */
  readonly hidden: readonly Omit<CpuCounters, "id">[];
}

interface CpuLimits {
  readonly cpuset: readonly number[] | null;
  readonly bandwidth: { readonly quotaUs: bigint; readonly periodUs: bigint } | null;
}

interface Memory {
  readonly limitBytes: bigint | null;
  readonly usageBytes: bigint | null;
  readonly swapLimitBytes: bigint | null;
  readonly swapUsedBytes: bigint | null;
  readonly swappinessZero: boolean;
  readonly hugetlbLimitBytes: bigint | null;
  /** What all cgroups that have a limit leave; null: none has. */
  readonly roomBytes: bigint | null;
  readonly hugetlbUsedBytes: bigint;
  /** Reserved and not in use. */
  readonly hugetlbReservedBytes: bigint;
  /** What the limits of the cgroups above leave. */
  readonly hugetlbFreeBytes: bigint;
  /** By v2's names; only what the kernel tells. */
  readonly stat: Readonly<Record<string, bigint>>;
}

interface ViewRow {
  readonly index: number;
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly changes: "always" | "with-limits";
  /** Two readings differ while the container does nothing: they tell times, or averages of time. */
  readonly hasTimes: boolean;
}

export interface Cpuinfo {
  readonly header: string;
  readonly blocks: readonly { readonly cpu: number; readonly text: string }[];
  readonly trailer: string;
  readonly packageCpus: readonly bigint[];
}

interface MeminfoLine {
  readonly label: string;
  readonly value: bigint;
  readonly inKb: boolean;
}

interface HostStat {
  readonly cpuColumns: number;
  readonly btimeS: bigint;
  readonly lines: readonly { readonly key: string; readonly columns: number }[];
}

interface ProcessFacts {
  readonly startTicks: bigint;
  readonly innerPid: number;
  readonly v2: string;
  /** In the order of the enum Controller: cpu, cpuacct, cpuset, memory, blkio, pids, hugetlb. */
  readonly v1: readonly string[];
}

/** null, or empty: it is not there, or says something else. */
interface StatusField {
  readonly field: string | null;
  readonly mask: bigint | null;
  readonly numbers: readonly bigint[];
}

/** The cgroup files of one container. Methods throw an Error with `code` (ENODEV: it is gone). */
export interface Source {
  /** `hostSwapBytes`: more than any limit if it is not given. */
  memory(hostSwapBytes?: bigint): Memory;
  limits(): CpuLimits;
  usage(): CpuUsage;
}

/** The files of a recorded host, read as a live one's. Methods throw an Error with `code`. */
export interface HostFiles {
  /** The CPUs of which cpuinfo has a block at that time of CLOCK_BOOTTIME. */
  described(nowUs: bigint): number[];
  /** Whether cpuinfo was not parsed anew since the call before. */
  keepsCpuinfo(nowUs: bigint): boolean;
  /**
   * The devices ("8:0") that the file systems of process 4711 lie on, which are looked up again after a while. Always
   * of the process that had the PID at first.
   */
  mounted(nowUs: bigint): string[];
}

/**
 * The files of a sysfs's devices/system/node in contract `tick`, as the kernel asks for those of one container. Methods
 * throw an Error with `code`.
 */
export interface TickMirror {
  /** The node of a file. */
  lookup(name: string): bigint;
  /** The kernel may keep them for `validUs`. */
  attributes(node: bigint): { readonly bytes: number; readonly validUs: number };
  read(node: bigint): string;
}

/** A cgroup whose tasks are counted, with those below it. */
export interface CountedCgroup {
  /** The v1 hierarchy that it is in; null: cgroup2. */
  readonly v1: "memory" | "cpu" | "pids" | null;
  /** Its inode number. */
  readonly id: bigint;
  readonly path: string;
  /** Inode number of the PID namespace whose last PID is wanted. */
  readonly pidNamespace: bigint;
}

export interface TaskCount {
  readonly running: number;
  readonly blocked: number;
  readonly total: number;
  /** 0: not known. */
  readonly lastPid: number;
}

/** Counts tasks of this host's cgroups. Throws an Error with `code` where that cannot be done. */
export interface TaskCounter {
  count(cgroups: readonly CountedCgroup[]): TaskCount[];
}

/** Containers of this host that were asked about. */
export interface Registry {
  /** Knows no container from now on, and does not watch. */
  forget(): void;
  /** When the container of a process began, whose limits are watched from now on. Throws an Error with `code`. */
  find(pid: number): bigint;
  /**
   * When the PID namespace began whose age a process sees as that of its container, which is found by that
   * process or another one of it. Throws as find() does.
   */
  clockOf(pid: number, member?: number): bigint;
  /** How many of so many threads are not told the container of a process, for which they all ask at once. */
  refusedAtOnce(pid: number, threads: number): number;
  /** Watches for ends of containers, and for changes of limits, which it looks at for so long. */
  watch(lookMs: number): boolean;
  /** How often it has looked at them. */
  looks(): number;
  /** Whether it looks at them now. Meanwhile it hears of no end. */
  isLooking(): boolean;
  /** How many containers it knows. */
  known(): number;
  /** Knows no container from now on, and keeps what it does in a new state file of that size. */
  keep(bytes: number): boolean;
  /** Fills the state file with what is kept of a container that is gone. */
  fill(): boolean;
}

/** The containers of this host that may own records of its log; moments as for Census. */
export interface LogOwners {
  /** The ids of those that a memory cgroup is in, by its path in the hierarchy, the outermost first. */
  ofPath(path: string, nowUs: bigint): string[];
}

/** Looks for the containers of this host; moments are of any clock that only goes forward, in µs. */
export interface Census {
  look(nowUs: bigint): void;
  /** Whether this process is in a container. Looks at no other one. */
  lookAt(pid: number, nowUs: bigint): boolean;
  /** The ids of the containers that it knows. */
  found(): string[];
}

/** A record of a state file. */
interface HistoryRecord {
  readonly key: bigint;
  readonly record: number;
  readonly bytes: number;
}

/** A state file with the open files and the load averages that lie in it. */
export interface State {
  /**
   * A worker finds a container through the init of a PID namespace. Returns when the life of the
   * container began.
   */
  findContainer(key: bigint, pid: bigint, initStartUs: bigint): bigint;
  /** It finds another PID namespace in the same container. */
  joinContainer(key: bigint, pid: bigint, initStartUs: bigint): void;
  /** Notes the idle time to take off for one of its PID namespaces. */
  noteIdle(key: bigint, initStartUs: bigint, idleUs: bigint): void;
  /** That; null: nothing is noted. */
  notedIdle(key: bigint, initStartUs: bigint): bigint | null;
  /** Whether it is known to have, or to have had, more than one PID namespace. */
  hasSeveral(key: bigint): boolean;
  /** The last of its PID namespaces has ended. */
  endContainer(key: bigint): void;
  /** A container with all that it keeps, as one whose init is this process. */
  beginContainer(key: bigint, initStartUs: bigint): void;
  /** It ends. `goesOn`: another container object goes on with its life. */
  finishContainer(key: bigint, goesOn: boolean): void;
  /** A worker of a version that knows no lives keeps counters of a container of that age. */
  keepCounters(key: bigint, initStartUs: bigint, uptimeUs: bigint): void;
  /** How many containers have counters in the state file. */
  counters(): number;
  /**
   * Gives back what is kept of containers that are gone, in steps; returns how many. The keys from `there` on have a
   * cgroup.
   */
  giveBackUnseen(there: bigint): number;
  /** Whether somebody was told, since then, that counters find no room in their part of the file. */
  lacksRoom(): boolean;
  /** The age in the counters that are kept of a container that was found; null: none are. */
  keptCounters(key: bigint): bigint | null;
  /** How many lives lie in the state file. */
  lives(): number;
  /** Load averages of a container, with what it left in the state file; their number. */
  beginLoad(key: bigint, initStartUs: bigint): number;
  /** They take a sample, and lie in the state file from then on. */
  sampleLoad(load: number, nowUs: bigint): void;
  /** Their container is gone. */
  endLoad(load: number): void;
  /** How many of them lie in the state file. */
  loads(): number;
  /** The handle of an open file that shows `text`. */
  openFile(node: bigint, text: string): bigint;
  /** Its text; null when there is no such file. */
  readFile(node: bigint, handle: bigint): string | null;
  /** Registers a handle that another worker gave out. */
  restoreFile(node: bigint, handle: bigint, text: string): void;
  /** How many there are. */
  openFiles(): number;
  closeFile(node: bigint, handle: bigint): void;
  /** A reader of it has not ended when it is closed. */
  holdFile(node: bigint, handle: bigint): void;
  /** That reader is to be shown another text. */
  renewHeld(text: string): void;
  /**
   * Another worker takes over, from a state file whose header is damaged or not. Returns why it was
   * ignored, "" when it was not. Load averages and containers are forgotten.
   */
  takeOver(damaged: boolean): string;
  /** The index of a new record full of the low byte of `key`; 0: no room. */
  add(key: bigint, bytes: number): number;
  remove(key: bigint, record: number): void;
  /** What `add` made and is whole, by record. */
  records(): HistoryRecord[];
  /**
   * The same, as those find them who ask for one key only. `other`: whose records take the place of these as soon
   * as the first one is found; 0: nobody's.
   */
  recordsOf(key: bigint, other: bigint): HistoryRecord[];
}

export interface LoadSample {
  /** CLOCK_MONOTONIC. */
  readonly nowUs: bigint;
  /** Running and blocked tasks. */
  readonly active: bigint;
}

/** What a line of the kernel's log tells of a process killed for want of memory. */
interface OomKill {
  readonly cgroup: string;
  readonly task: string;
  readonly pid: bigint;
  readonly byLimit: boolean;
}

/** native/klog/record.h */
interface LogRecord {
  readonly level: number;
  readonly facility: number;
  readonly sequence: bigint;
  readonly timeUs: bigint;
  readonly fragment: boolean;
  readonly callerTask: number;
  readonly text: string;
  readonly escaped: string;
}

/** How a container knows what the host's log tells of. */
export interface LogContainer {
  /** Its cgroups. */
  readonly memory: string;
  readonly pids: string;
  /** The host's uid that is root inside. */
  readonly firstUser: number;
  readonly processes: readonly { readonly host: number; readonly own: number }[];
}

/** Who has a PID, and who had it last and has ended; in µs. */
export interface PidHolders {
  readonly living?: PidHolder;
  readonly ended?: PidHolder;
}

interface PidHolder {
  readonly start: bigint;
  readonly end: bigint;
  /** A signal has ended it or is about to. */
  readonly killed: boolean;
}

/** native/klog/sorter.h */
export interface LogGroup {
  readonly kind: string;
  /** What proves whose it is: the first of these that is not empty. */
  readonly memoryPath: string;
  readonly pidsPath: string;
  readonly pid: number;
  /** Of a system call: it ends the process. */
  readonly kills: boolean;
  readonly limitPath: string;
  readonly first: bigint;
  readonly killed: string;
  readonly lines: readonly string[];
}

/** native/klog/logs.h, in a state file of their own. */
interface KernelLogs {
  add(
    id: bigint,
    tenant: bigint,
    first: bigint,
    lines: readonly { readonly host: bigint; readonly text: string }[],
  ): number;
  /** As add(), on a thread that comes while another one makes room for the log `other` of the same tenant. */
  addWhileLooking(
    other: bigint,
    id: bigint,
    tenant: bigint,
    first: bigint,
    lines: readonly { readonly host: bigint; readonly text: string }[],
  ): number;
  read(
    id: bigint,
    from: bigint,
    most: number,
  ): {
    readonly texts: readonly string[];
    readonly sequences: readonly number[];
    readonly first: number;
    readonly next: number;
  } | null;
  /** These containers have ended. */
  end(ids: readonly bigint[]): void;
  forgetEnded(): void;
  /** Another worker goes on with the same memory; false: it was damaged. */
  takeOver(): boolean;
  figures(): {
    readonly size: number;
    readonly bytes: number;
    readonly refused: number;
    readonly mark: bigint;
  };
  setMark(mark: bigint): void;
  /** False: the bounds leave no room for a log. */
  begin(id: bigint, tenant: bigint): boolean;
  marks(id: bigint): {
    readonly cleared: number;
    readonly taken: number;
    readonly takenBytes: number;
    readonly consoleLevel: number;
    readonly savedLevel: number;
  } | null;
  /** False: there is no log. */
  clear(id: bigint): boolean;
  setConsole(id: bigint, level: number, saved: number): void;
  unread(id: bigint): { readonly records: number; readonly bytes: number };
  take(id: bigint, most: number): string;
  /** What the last take() gave, as far as it is there. */
  again(id: bigint): string;
  /** A value, -errno, "wait", or text for the caller's buffer; `again`: of a worker that died. */
  syslog(
    id: bigint,
    action: number,
    bytes: number,
    buffer: bigint,
    again?: boolean,
  ): number | "wait" | { readonly text: string };
  /** What the last syslog() took. */
  giveBack(id: bigint): void;
  listen(): void;
  /** The logs that were added to since listen(), once for each time. */
  unlisten(): readonly bigint[];
}

/** How long a file is in contract `tick`, and how long it was before it grew; 0: it did not. */
interface StableLength {
  bytes: number;
  seam: number;
}

interface Testing {
  renderFixture(caseDir: string, path: string, init: number, nowUs: bigint): string;
  /** struct sysinfo as a 64-bit process of the container gets it. */
  sysinfoFixture(caseDir: string, init: number, nowUs: bigint): Buffer;
  stabilised(text: string, before: StableLength, fixed: boolean): StableLength & { text: string };
  /** What LXC's monitor asks with a packet; null when it is no request. */
  readLxcRequest(packet: Buffer): LxcRequest | null;
  /**
   * The answer to monitor `key` that the last of `workers`, which follow one that died giving answer
   * `id`, finds not settled; 0: none. `settled`: the one before it has settled it.
   */
  pendingCallAfter(key: bigint, id: bigint, workers: number, settled: boolean): bigint | null;
  /** As native/testing/announced_size.cc has it. */
  announceSizes(
    steps: readonly (readonly [what: "tell" | "again" | "mark" | "note", size: number])[],
  ): number[];
  /**
   * Of a file whose text the kernel caches, when the cgroup files of its container were closed because others are in
   * use: the size that the kernel is known to have, how many texts are still held, and whether the kernel has another
   * text than this one and than one that is longer.
   */
  closeSources(text: string): number[];
  /** For each step what native/testing/budget.cc says, "take", "lend" and "exceeded" at a time (µs). */
  spendBudget(perSecond: number, steps: readonly BudgetStep[]): number[];
  /**
   * How long the next request has to wait for its budget (µs) when so many were refused in the turn
   * of another one because too many wait already.
   */
  waitAfterRefusals(perSecond: number, refusals: number): number;
  /** Whether what is another tenant's is served on the thread that asks for it in the turn of one. */
  servesInOthersTurn(): boolean;
  /**
   * Whether a request that waits at the gate is served on the thread that leaves it, which takes requests, when it is
   * aside, or of another connection.
   */
  servesWhereGateIsLeft(isAside: boolean, isOfOther: boolean): boolean;
  /**
   * The numbers of the answers, in their order, when in the turn of request 1 both were interrupted, as readers of
   * logs are: 2, which waits for its turn, and 1.
   */
  answersToInterrupted(): number[];
  /**
   * How many of a tenant's requests still count as waiting when so many had to wait for its budgets, and were answered
   * because their callers were killed.
   */
  waitingAfterKills(count: number): number[];
  /**
   * The numbers of the answers when in the turn of request 1 the worker leaves what waits, 2 for the turn and 3 for
   * a render; and how many still count as waiting.
   */
  answersAfterLeaving(): number[];
  /**
   * How often it was looked whether a caller was killed, whose status lies below `procfs`, when so many signals came in
   * the turn of its request.
   */
  looksInTurn(procfs: string, pid: number, interrupts: number): number;
  /**
   * The numbers of the answers when a signal came for the caller of request 1, whose status lies below `procfs`, while
   * its answer waited for a notice.
   */
  answersBeforeNotice(procfs: string, pid: number): number[];
  /** After how many µs work was done that was due in so many, and then told to stop. */
  delayAtStop(dueUs: number): number;
  /**
   * By payer, what it is charged for pieces of work that take so much CPU time each, µs. Payer 0
   * pays nothing.
   */
  chargeLaps(exactly: boolean, pieces: readonly (readonly [payer: number, us: number])[]): number[];
  /**
   * What tenants that want so much CPU time take together in each window (native/tenant/fair_share.h),
   * µs a second; `isKept`: they are kept to their share.
   */
  fairShareCpu(
    each: number,
    all: number,
    wants: readonly number[],
    windows: number,
    isKept: boolean,
  ): number[];
  /** After each use, whether others than one tenant want the CPUs. */
  findContention(uses: readonly CpuUse[]): ("none" | "some" | "new")[];
  /** What a system call is by its architecture (linux/audit.h) and number. */
  nameCall(arch: number, nr: number): string;
  /** What a caller of that many bits gets. */
  encodeSysinfo(figures: SysinfoFigures, bits: 32 | 64): Buffer;
  listFixture(caseDir: string, path: string, init: number, nowUs: bigint): string[];
  /** Directories and files of the tree, on a host that has what the recorded one has. */
  treePaths(caseDir: string): string[];
  /** The number of each path of a sysfs, and the path that a fresh worker finds by it. */
  numberPaths(
    sysDir: string,
    paths: readonly string[],
  ): { readonly number: number; readonly path: string }[];
  /**
   * At which of these times, ms after its first scan, a sysfs that has not the number is scanned again when it is asked
   * for it.
   */
  scanTimes(sysDir: string, number: number, times: readonly number[]): number[];
  /** `saved`: between any two samples the history is saved, and read again. */
  advanceSamples(samples: readonly CpuSample[], saved?: boolean): CpuReport[];
  /** Each sample is of a cgroup, by its inode number. */
  advanceMoved(samples: readonly CpuSample[], cgroups: readonly bigint[]): CpuReport[];
  /** What is told after each; `saved`: as above. */
  advanceEvents(readings: readonly EventReading[], saved?: boolean): (readonly MemoryEvent[])[];
  /** Each sample is another worker's. */
  advanceInherited(samples: readonly CpuSample[]): CpuReport[];
  /**
   * Seconds of CPU time that surveys tell of; the samples are as for advanceMoved(), from an index
   * on of another worker.
   */
  surveyedTime(
    samples: readonly CpuSample[],
    cgroups: readonly bigint[],
    begins?: bigint,
  ): { readonly userS: number; readonly niceS: number }[];
  /**
   * Where a container sees a kill, by its memory cgroup and its oldest start. Times are of CLOCK_BOOTTIME, µs;
   * the kill may have been `slackUs` earlier or later. `hadKill`: whether the cgroup has had one; known by default to nobody.
   */
  killPlace(
    line: string,
    atUs: bigint,
    slackUs: bigint,
    own: string,
    oldestUs: bigint,
    hadKill?: boolean,
  ): "elsewhere" | "own" | "below";
  /** How many kills of ended containers are counted after each survey, by what it has of the owners of one kill. */
  countEndedKill(surveys: readonly (readonly ("shown" | "lives" | "ended")[])[]): bigint[];
  /** Seconds since the epoch that are told of a moment of CLOCK_BOOTTIME at each of some times. */
  tellSinceEpoch(nowS: readonly number[], nowUs: readonly bigint[], momentUs: bigint): number[];
  /** When the node was booted, s since the epoch, by what the clocks say each time that they are read. */
  bootedSinceEpoch(realtimeS: readonly number[], boottimeUs: readonly bigint[]): number;
  /** The bytes read of each device that are told of after each reading. */
  restoreIo(readings: readonly DiskReading[]): bigint[][];
  shownCpus(limits: CpuLimits, online: readonly number[]): number[];
  views(): ViewRow[];
  /** The keys of memory.stat that are read: v2's name and v1's (native/facts/memory_keys.def). */
  memoryKeys(): (readonly [key: string, v1: string | null])[];
  /** A decimal number, clamped to 64 bits; null for anything else. */
  parseU64(text: string): bigint | null;
  parseCpuList(text: string): number[] | null;
  parseCpuinfo(text: string): Cpuinfo;
  parseMeminfo(text: string): MeminfoLine[];
  parseStat(text: string): HostStat;
  /** What is shown of a pressure file; null when nothing can be. */
  parsePressure(text: string): string | null;
  /** By the names of native/survey/figures.def; what is not told is left out. */
  cgroupFigures(caseDir: string, init: number, counters?: string): Record<string, number>;
  /** What a worker stores of a container's I/O after a reading. `stored`: by the worker before it. */
  storedIo(caseDir: string, init: number, stored: Buffer): Buffer;
  /** The text of a file of counters, as far as it is understood. */
  keptCounters(path: string): string;
  /** By the same names. */
  memoryFigures(caseDir: string, init: number, nowUs: bigint): Record<string, number>;
  /** A record of /dev/kmsg; null for what is none. */
  readLogRecord(bytes: string): LogRecord | null;
  /**
   * Events of the host's log, as a container is told them; proof comes before telling. `printers`:
   * the task that printed each record, by the tracepoint.
   */
  sortLog(
    records: readonly string[],
    container: LogContainer,
    printers?: readonly number[],
  ): LogGroup[];
  /** By when a record had been logged, of those that were read at these times; all in µs. */
  logClock(
    reads: readonly {
      readonly record: bigint;
      readonly monotonic: bigint;
      readonly behind: bigint;
    }[],
    record: bigint,
    monotonic: bigint,
  ): bigint;
  /**
   * When the one began that a record says has crashed (native/klog/crashes.h); null: not proven.
   * `lost`: until when reports were lost. `other`: of another PID.
   */
  whoCrashed(
    crashes: readonly ({ readonly at: bigint; readonly other?: boolean } & PidHolders)[],
    moment: { readonly at: bigint; readonly slack: bigint; readonly least: bigint },
    holders: PidHolders,
    lost?: bigint,
  ): bigint | null;
  /**
   * When the one began that had the PID at that moment; null: not proven. `named`: in a line that is
   * the container's own.
   */
  whoHadPid(
    moment: { readonly at: bigint; readonly slack: bigint; readonly least: bigint },
    holders: PidHolders,
    named: boolean,
  ): bigint | null;
  /**
   * Who printed each record, by samples of perf_event_open(2); null where that is not proven.
   * `faulted`: tasks without their code.
   */
  whoPrinted(
    samples: readonly Buffer[],
    records: readonly {
      readonly record: string;
      readonly logged: bigint;
      readonly faulted?: readonly number[];
    }[],
    lost: bigint,
  ): (number | null)[];
  /** Seconds that sorting and translating records takes. */
  timeLog(records: readonly string[]): number;
  /** What was written to /dev/kmsg. */
  readWritten(bytes: string): { readonly priority: number; readonly text: string };
  /** A record as /dev/kmsg gives it. */
  writeKmsg(sequence: bigint, timeUs: bigint, priority: number, text: string): string;
  /** What the reads of one reader of kmsg find, each with the records that are there. */
  followKmsg(
    steps: readonly ({ readonly first: number; readonly next: number } & (
      | { readonly at: number; readonly bytes: number }
      | { readonly seek: number }
    ))[],
  ): readonly (number | "nothing" | "loss")[];
  needsSyslogCapability(action: number, restricted: boolean): boolean;
  /** Bytes that one log, those of a tenant, and all may take. */
  readonly KernelLogs: new (
    each: number,
    tenant: number,
    all: number,
  ) => KernelLogs;
  /** null: the line tells of no kill. */
  parseOomKill(line: string): OomKill | null;
  /** A JSON document with `text` at the start of its "list", and its first 16 bytes. */
  writeJson(text: Buffer): { readonly whole: Buffer; readonly cut: Buffer };
  /** By the paths of a container's cgroup and of that of the outermost one around it. */
  nameContainer(
    cgroup: string,
    tenant: string,
  ): { readonly name: string; readonly runtime: string };
  /** What counts of the mountinfo of process 1, on a host with that of `self`. */
  countMounted(procDir: string, fsType: string, source: string): MountedFiles;
  readProcess(procDir: string, pid: number): ProcessFacts;
  /**
   * How many containers a look finds on a host with these directories as /proc and /sys/fs/cgroup, for which no more than
   * `spare` descriptors can be opened; undefined: any number.
   */
  takeCensus(
    procDir: string,
    cgroupDir: string,
    spare?: number,
  ): { readonly found: bigint; readonly leftOut: bigint };
  /** Fields of the text of /proc/<pid>/stat. */
  readStat(text: string): {
    readonly state: string;
    readonly threads: bigint | null;
    readonly exitCode: bigint | null;
  };
  /** A field of the text of /proc/<pid>/status, without its colon, and what can be made of it. */
  readStatus(text: string, name: string): StatusField;
  /**
   * For each text that the process's cgroup file says in turn, the cgroup of v1's cpu controller that
   * the container `cgroup` has been moved to; null: it was not.
   */
  findMoves(
    procDir: string,
    pid: number,
    startTicks: bigint,
    cgroup: string,
    texts: readonly string[],
  ): (string | null)[];
  /**
   * `tree`: a directory as /sys/fs/cgroup, or null for this host's own. `cgroup`: the text of the
   * container's /proc/<pid>/cgroup. `notify`: limits are cached until their files are written.
   */
  readonly Source: new (
    tree: string | null,
    cgroup: string,
    notify: boolean,
  ) => Source;
  /** `tree` has proc/ and sys/; what is older than `tickUs` is read again. */
  readonly HostFiles: new (
    tree: string,
    tickUs: bigint,
  ) => HostFiles;
  readonly TickMirror: new (sysfs: string, tickUs: number) => TickMirror;
  readonly State: new (bytes: number) => State;
  /** `most`: how many containers of one tenant it may know. */
  readonly Registry: new (
    most: number,
  ) => Registry;
  /** `most`: how many containers it tells of. */
  readonly Census: new (
    most: number,
  ) => Census;
  readonly LogOwners: new () => LogOwners;
  /** `budgetUs` is for "scan": how long a pass may take; and `tree`: a directory as /sys/fs/cgroup. */
  readonly TaskCounter: new (
    kind: "bpf" | "scan",
    budgetUs: number,
    tree?: string,
  ) => TaskCounter;
  /**
   * /proc/loadavg of a container after `samples`, the first of which was taken when it was
   * `uptimeUs` old.
   */
  loadAverages(
    uptimeUs: bigint,
    samples: readonly LoadSample[],
    tasks: { readonly running: bigint; readonly total: bigint; readonly lastPid: bigint },
  ): string;
}

/** What every member has to be; a build without one of them is of another version. */
const MEMBERS: Readonly<Record<keyof Testing, "function">> = {
  renderFixture: "function",
  sysinfoFixture: "function",
  stabilised: "function",
  fairShareCpu: "function",
  readLxcRequest: "function",
  pendingCallAfter: "function",
  announceSizes: "function",
  closeSources: "function",
  spendBudget: "function",
  waitAfterRefusals: "function",
  servesInOthersTurn: "function",
  servesWhereGateIsLeft: "function",
  answersToInterrupted: "function",
  waitingAfterKills: "function",
  answersAfterLeaving: "function",
  looksInTurn: "function",
  answersBeforeNotice: "function",
  delayAtStop: "function",
  chargeLaps: "function",
  findContention: "function",
  nameCall: "function",
  encodeSysinfo: "function",
  listFixture: "function",
  treePaths: "function",
  numberPaths: "function",
  scanTimes: "function",
  advanceSamples: "function",
  advanceMoved: "function",
  advanceEvents: "function",
  advanceInherited: "function",
  surveyedTime: "function",
  killPlace: "function",
  countEndedKill: "function",
  tellSinceEpoch: "function",
  bootedSinceEpoch: "function",
  restoreIo: "function",
  shownCpus: "function",
  views: "function",
  memoryKeys: "function",
  parseU64: "function",
  parseCpuList: "function",
  parseCpuinfo: "function",
  parseMeminfo: "function",
  parseStat: "function",
  parsePressure: "function",
  cgroupFigures: "function",
  storedIo: "function",
  keptCounters: "function",
  memoryFigures: "function",
  readLogRecord: "function",
  sortLog: "function",
  logClock: "function",
  whoCrashed: "function",
  whoHadPid: "function",
  whoPrinted: "function",
  timeLog: "function",
  readWritten: "function",
  writeKmsg: "function",
  followKmsg: "function",
  needsSyslogCapability: "function",
  KernelLogs: "function",
  parseOomKill: "function",
  writeJson: "function",
  nameContainer: "function",
  countMounted: "function",
  readProcess: "function",
  readStat: "function",
  readStatus: "function",
  takeCensus: "function",
  findMoves: "function",
  Source: "function",
  HostFiles: "function",
  TickMirror: "function",
  State: "function",
  Registry: "function",
  Census: "function",
  LogOwners: "function",
  TaskCounter: "function",
  loadAverages: "function",
};

/** `npm run check` builds without optimising. */
const BUILD = process.env.VPROCFS_TEST_BUILD ?? "Release";

function isTesting(value: unknown): value is Testing {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  const members = new Map<string, unknown>(Object.entries(value));
  return Object.entries(MEMBERS).every(([name, type]) => typeof members.get(name) === type);
}

/** The file of the native side, for a process of its own. */
export const TESTING = join(project, "build", BUILD, "vprocfs_testing.node");

function loadTesting(): Testing {
  const testing: unknown = createRequire(import.meta.url)(TESTING);
  if (!isTesting(testing)) {
    throw new Error(`${TESTING} is of another version: run 'node packaging/setup.mjs test'`);
  }
  return testing;
}

/** The native side itself. */
export const native = loadTesting();

/** container.json of a recorded case. */
interface RecordedContainer {
  readonly init: number;
  readonly clock: { readonly boottime_us: number; readonly realtime_us: number };
}

function property(object: unknown, name: string): unknown {
  return typeof object === "object" && object !== null
    ? new Map<string, unknown>(Object.entries(object)).get(name)
    : undefined;
}

function numberIn(object: unknown, name: string, where: string): number {
  const value = property(object, name);
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    throw new Error(`${where}: ${name} must be an integer`);
  }
  return value;
}

function readContainer(caseDir: string): RecordedContainer {
  const where = join(caseDir, "container.json");
  const json: unknown = JSON.parse(readFileSync(where, "utf8"));
  const clock = property(json, "clock");
  return {
    init: numberIn(json, "init", where),
    clock: {
      boottime_us: numberIn(clock, "boottime_us", where),
      realtime_us: numberIn(clock, "realtime_us", where),
    },
  };
}

/**
 * What operators are told of the cgroups of a recorded case. `counters`: an earlier worker's file of
 * this container's counters, which is brought up to date.
 */
export function figuresOfFixture(caseDir: string, counters?: string): ReadonlyMap<string, number> {
  const { init } = readContainer(caseDir);
  return new Map(Object.entries(native.cgroupFigures(caseDir, init, counters)));
}

/** What a worker stores of the I/O of a recorded container, and the kB read and written in it. */
export function storedIoOfFixture(
  caseDir: string,
  before: Buffer = Buffer.alloc(0),
): { readonly stored: Buffer; readonly totals: readonly number[] } {
  const stored = native.storedIo(caseDir, readContainer(caseDir).init, before);
  const totals = [8, 16].map((at) => Number(stored.readBigUInt64LE(at)) / 1024);
  return { stored, totals };
}

/** What operators are told of the memory of a recorded container. */
export function memoryFiguresOfFixture(caseDir: string): ReadonlyMap<string, number> {
  const { init, clock } = readContainer(caseDir);
  return new Map(Object.entries(native.memoryFigures(caseDir, init, BigInt(clock.boottime_us))));
}

/**
 * What the container of a recorded case reads from `path` ("proc/meminfo"), at the moment that its
 * container.json names. Throws an Error with `code` and `path` where a source cannot be read.
 */
export function renderFixture(caseDir: string, path: string): string {
  const { init, clock } = readContainer(caseDir);
  return native.renderFixture(caseDir, path, init, BigInt(clock.boottime_us));
}

/** struct sysinfo as a 64-bit process of the recorded container gets it. */
export function sysinfoFixture(caseDir: string): Buffer {
  const { init, clock } = readContainer(caseDir);
  return native.sysinfoFixture(caseDir, init, BigInt(clock.boottime_us));
}

/** A file's next text in contract `tick`, and its length; `fixed`: its columns are. */
export function stabilised(
  text: string,
  before: StableLength,
  fixed: boolean,
): StableLength & { text: string } {
  return native.stabilised(text, before, fixed);
}

/** The paths of the views of a recorded host: what its kernel lacks no container has. */
export function viewsOf(caseDir: string): string[] {
  return native
    .views()
    .map(({ path }) => path)
    .filter((path) => existsSync(join(caseDir, path)));
}

/** The names that it finds in a directory of sysfs, in no order. */
export function listFixture(caseDir: string, path: string): string[] {
  const { init, clock } = readContainer(caseDir);
  return native.listFixture(caseDir, path, init, BigInt(clock.boottime_us));
}

/** What counts of a container's mountinfo, on a host with that one. */
export function countMounted(
  mountinfo: string,
  fsType: string,
  source: string,
  host: string,
): MountedFiles {
  const directory = mkdtempSync(join(tmpdir(), `${testName("mounted")}-`));
  try {
    for (const [process, text] of Object.entries({ 1: mountinfo, self: host })) {
      mkdirSync(join(directory, process));
      writeFileSync(join(directory, process, "mountinfo"), `${text}\n`);
    }
    return native.countMounted(directory, fsType, source);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export const {
  treePaths,
  numberPaths,
  scanTimes,
  advanceSamples,
  advanceMoved,
  advanceEvents,
  advanceInherited,
  surveyedTime,
  killPlace,
  countEndedKill,
  tellSinceEpoch,
  bootedSinceEpoch,
  restoreIo,
  keptCounters,
  shownCpus,
  views,
  memoryKeys,
  parseU64,
  parseCpuList,
  parseCpuinfo,
  parseMeminfo,
  parseStat,
  parsePressure,
  parseOomKill,
  writeJson,
  nameContainer,
  readProcess,
  readStat,
  readStatus,
  takeCensus,
  findMoves,
  Source,
  HostFiles,
  TickMirror,
  State,
  Registry,
  Census,
  LogOwners,
  TaskCounter,
  loadAverages,
} = native;

/** The functions as they are, for tests of what they do with bad arguments. */
export const unchecked: ReadonlyMap<string, unknown> = new Map(Object.entries(native));
