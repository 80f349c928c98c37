import { errnoOf, messageOf } from "../errors.js";
import type { NativeBinding, NativeWatch, WatchEvent } from "../native/binding.js";
import { AT_A_TIME, FairQueue, SLOW } from "./bounds.js";
import { DelayedVisits } from "./delayed.js";
import { detachAll } from "./detach-all.js";
import { isShortage, type RunHelper, runHelper } from "./helper.js";
import { forgetEnded } from "./left-alone.js";
import { mountNamespaceOf } from "./namespaces.js";
import { ProcessScan } from "./scan.js";
import { Shortages } from "./shortages.js";
import { type TrackedContainer, TrackedContainers } from "./tracked.js";
import { type AttachingOptions, type Visit, Visits } from "./visits.js";

/** Visits of one tenant's namespaces: this many at once, then this many a second. */
const VISIT_RATE = { atOnce: 200, perSecond: 10 } as const;
/** With so many visits of one tenant that wait, scans add no other: twice as many as can be followed of it. */
const MAX_WAITING = 2048;
/** CPU time of the helpers for one tenant: this much at once, then this share of one CPU. */
const COST = { freeMs: 2000, share: 0.1 } as const;
/** How long running helpers may go on when the watcher stops. */
const ATTACHING_MS = 1000;
/** Delays of retries to listen to the kernel, if the node is short of something: without end. */
const LISTEN_AGAIN_MS = { first: 1000, max: 30_000 } as const;
/** The same if the kernel did not say whether it reports anything, as when it has nothing to report: that takes a moment. */
const UNANSWERED_AGAIN_MS = 600_000;
const FORGET_ENDED_MS = 60_000;

interface WatcherOptions extends AttachingOptions {
  readonly binding: Pick<NativeBinding, "identityOf" | "fnmatch" | "run" | "Watch">;
  readonly now?: () => number;
  readonly run?: RunHelper;
}

/** The state of the watcher. */
export interface WatcherState {
  /** Mount namespaces that are followed, and how many can be. */
  readonly followed: number;
  readonly followLimit: number;
  /** How many of them one tenant may have. */
  readonly tenantLimit: number;
  /** Visits that wait for their turn, visits that run, and those of them that are slow. */
  readonly waiting: number;
  readonly running: number;
  readonly slow: number;
  /** Tenants with a helper that hangs. */
  readonly hung: number;
  /** Times that another namespace was not followed, because its tenant or all together had too many. */
  readonly refused: number;
  /** Those of them whose tenant was below its limit. */
  readonly short: number;
  /** Times that descriptors, processes or memory were short; each time it is tried again. */
  readonly shortages: number;
  /** What was short last, and when (ms since the epoch). */
  readonly lastShortage?: { readonly what: string; readonly atMs: number };
  /** Why the kernel does not report new processes; absent: it does, or is asked again because something was short. */
  readonly problem?: string;
}

/**
 * Mounts the files into every container: those that run when the watcher starts, those that start later, and
 * those that lose them. The kernel reports events through the native watch, and the helper does the work in
 * processes of its own, tenant by tenant. A failure never ends the watcher; the work is tried again later.
 */
export class Watcher {
  readonly #options: WatcherOptions;
  readonly #watch: NativeWatch;
  readonly #queue: FairQueue<number, number>;
  readonly #tracked: TrackedContainers;
  /** Later visits, by namespace and process: the number of a namespace may be another's by then. */
  readonly #delayed = new DelayedVisits((error) => this.#fail(error));
  readonly #shortages: Shortages;
  readonly #scan: ProcessScan;
  readonly #visits: Visits;
  /** Tenants with namespaces that a scan has left out, and that another one is to find. */
  readonly #leftOut = new Set<number>();
  readonly #now: () => number;
  readonly #run: RunHelper;
  #forgotMs = Number.NEGATIVE_INFINITY;
  #stopped = false;
  #problem: string | undefined;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#run = options.run ?? ((...rest) => runHelper(options.binding, ...rest));
    this.#tracked = new TrackedContainers(this.#now);
    this.#shortages = new Shortages(options.log);
    this.#scan = new ProcessScan({
      onNamespace: (pid, namespace) => this.#onNamespace(pid, namespace),
      after: (ms, action) => this.#delayed.after(ms, action),
      onError: (error) => {
        this.#fail(error);
        this.#shortages.note(messageOf(error));
      },
      now: this.#now,
    });
    this.#queue = new FairQueue({
      concurrency: AT_A_TIME,
      ...SLOW,
      ...VISIT_RATE,
      ...COST,
      onError: (error) => this.#fail(error),
      now: this.#now,
    });
    this.#watch = new options.binding.Watch((events) => this.#take(events));
    this.#visits = new Visits({
      ...options,
      run: this.#run,
      watch: this.#watch,
      tracked: this.#tracked,
      shortages: this.#shortages,
      hasPending: (tenant) => this.#delayed.has(tenant) || this.#queue.waitingOf(tenant) > 0,
      after: (ms, action) => this.#delayed.after(ms, action),
      look: (visit) => this.#look(visit),
      lookLater: (ms, visit, attempt) => this.#lookLater(ms, visit, attempt),
      onFull: (tenant) => this.#leftOut.delete(tenant),
      lookForOthers: () => this.#scan.beginSparingly(),
      rest: (tenant, ms) => this.#queue.rest(tenant, ms),
      onError: (error) => this.#fail(error),
      now: this.#now,
    });
  }

  /** Listens first and then scans all processes, so that no container is missed. */
  start(): void {
    this.#listen();
    this.#forgetEnded();
    this.#scan.begin();
  }

  /**
   * Looks again at containers with these ids: what a runtime has mounted below a directory of ours is missing for a CPU
   * that was not shown, and the kernel does not report that the CPU is shown now.
   */
  lookAgain(ids: readonly string[]): void {
    if (this.#stopped) {
      return;
    }
    this.#guard(() => {
      for (const tracked of this.#tracked.withIds(new Set(ids))) {
        this.#lookAtAll(tracked);
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watch.stop();
    this.#delayed.stop();
    this.#scan.stop();
    this.#visits.stop();
    this.#queue.drop();
    if (!(await this.#queue.idleWithin(ATTACHING_MS))) {
      // Detaching, or the next worker, deals with what they have not finished.
      this.#visits.abort();
      await this.#queue.idleWithin(ATTACHING_MS);
    }
  }

  /** Unmounts the files in all containers, see detachAll(). */
  detachAll(onlyLogs: boolean, seen = new Set<number>()): Promise<number> {
    const { binding, settings, log } = this.#options;
    const tenantOf = (pid: number): number => this.#watch.tenantOf(pid);
    const onError = (error: unknown): void => this.#fail(error);
    const options = { binding, settings, log, tenantOf, run: this.#run, onError };
    return detachAll(options, onlyLogs, seen);
  }

  /** Resolves when no scan runs and no visit waits or runs. */
  async idle(): Promise<void> {
    await this.#scan.scanned;
    await this.#queue.idle();
  }

  state(): WatcherState {
    const { known, limit, tenantLimit, refused, short, shortages } = this.#watch.state();
    return {
      followed: known,
      followLimit: limit,
      tenantLimit,
      ...this.#queue.state(),
      hung: this.#visits.hung,
      refused,
      short,
      shortages: shortages + this.#shortages.count,
      ...(this.#shortages.last === undefined ? {} : { lastShortage: this.#shortages.last }),
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    };
  }

  /** Tries again later if the node is short of something now, or may be. */
  #listen(attempt = 0): void {
    try {
      this.#watch.start();
      if (this.#problem !== undefined) {
        this.#problem = undefined;
        this.#options.log.info("the kernel reports new processes now");
        this.#scan.begin();
      }
    } catch (error) {
      const code = errnoOf(error) ?? "";
      if (isShortage(code)) {
        this.#shortages.note(messageOf(error));
        const { first, max } = LISTEN_AGAIN_MS;
        this.#delayed.after(Math.min(first * 2 ** attempt, max), () => {
          this.#listen(attempt + 1);
          // Also if that has failed: until it listens, new containers are found by scans alone.
          this.#scan.begin();
        });
        return;
      }
      if (code === "EOPNOTSUPP") {
        this.#delayed.after(UNANSWERED_AGAIN_MS, () => this.#listen());
      }
      const isNews = this.#problem === undefined;
      this.#problem = messageOf(error);
      if (isNews) {
        this.#options.log.warn(
          { reason: this.#problem },
          "the kernel does not report new processes: only hooks find new containers",
        );
      }
    }
  }

  /** Logs what `action` throws: it must not end the process that serves. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#options.log.error({ error: messageOf(error) }, "watching containers failed");
  }

  /** False: the process has ended. */
  #onNamespace(pid: number, namespace: number): boolean {
    const doneBy = this.#tracked.doneBy(namespace);
    // It is followed: the kernel reports what changes there.
    if (doneBy !== undefined && mountNamespaceOf(doneBy) === namespace) {
      return true;
    }
    const tenant = this.#watch.tenantOf(pid);
    const isTooMuch = this.#queue.waitingOf(tenant) >= MAX_WAITING;
    // What is followed has its room, which also bounds how many of these can wait.
    if (isTooMuch && !this.#tracked.has(namespace)) {
      this.#leftOut.add(tenant);
    } else if (tenant !== 0) {
      this.#look({ ...this.#watch.representativeOf(pid), namespace, tenant });
    }
    return mountNamespaceOf(pid) === namespace;
  }

  #take(events: readonly WatchEvent[]): void {
    if (this.#stopped) {
      return;
    }
    for (const event of events) {
      this.#guard(() => this.#takeOne(event));
    }
  }

  #takeOne(event: WatchEvent): void {
    if (event.kind === "lost") {
      this.#tracked.forgetFailures();
      this.#scan.begin();
    } else if (event.kind === "ended") {
      const isServed = this.#tracked.has(event.namespace);
      this.#forget(event.namespace);
      // Else those that end fast would wait without a bound.
      const isAwaited = this.#queue.remove(event.tenant, event.namespace);
      if ((isServed || isAwaited) && !event.isInit) {
        this.#scan.beginSparingly();
      }
      if (isAwaited) {
        this.#visits.forgetBusy(event.tenant);
        this.#lookForLeftOut(event.tenant);
      }
    } else {
      this.#look(event);
    }
  }

  /**
   * Visits a namespace when its tenant has its turn, however many visits of that wait: what events are about is
   * bounded by the watch, which does not report it again, and what is visited again has waited before.
   */
  #look({ pid, namespace, tenant, isInit }: Visit, attempt = 0): void {
    const visit = { pid, namespace, tenant, isInit };
    // One at a time for each tenant: what is mounted in a namespace can propagate to those nested in it.
    this.#queue.add(tenant, namespace, async () => {
      const costMs = this.#stopped ? 0 : await this.#visits.visit(visit, attempt);
      this.#lookForLeftOut(tenant);
      return costMs;
    });
  }

  /** Visits all namespaces of a container. It may have a thousand: little is done here, and the rest when they have their turn. */
  #lookAtAll({ container, namespaces }: TrackedContainer): void {
    let tenant = 0;
    for (const namespace of namespaces) {
      const pid = this.#tracked.doneBy(namespace);
      if (pid === undefined) {
        continue; // it is about to be looked at
      }
      if (tenant === 0) {
        const found = this.#watch.tenantOf(pid);
        tenant = mountNamespaceOf(pid) === namespace ? found : 0;
      }
      if (tenant !== 0) {
        this.#look({ pid, namespace, tenant, isInit: pid === container.init });
      }
    }
  }

  /** Scans for what scans have left out, once no visit of the tenant waits and unless it has no room for more. */
  #lookForLeftOut(tenant: number): void {
    if (this.#queue.waitingOf(tenant) === 0 && this.#leftOut.delete(tenant)) {
      this.#scan.beginSparingly();
    }
  }

  /**
   * Visits again later. If the tenant has too many later visits, a scan of all processes finds the namespace
   * again.
   */
  #lookLater(ms: number, visit: Visit, attempt: number): void {
    const key = `${visit.namespace} ${visit.pid}`;
    if (!this.#delayed.add(visit.tenant, key, ms, () => this.#look(visit, attempt))) {
      this.#scan.begin();
    }
  }

  #forget(namespace: number): void {
    if (this.#tracked.forget(namespace)) {
      this.#forgetEnded();
    }
  }

  /** Forgets which containers to leave alone that have ended: now if that was long ago, and once more later. */
  #forgetEnded(): void {
    const now = this.#now();
    if (now - this.#forgotMs >= FORGET_ENDED_MS) {
      this.#forgotMs = now;
      this.#guard(() => forgetEnded());
      this.#delayed.after(FORGET_ENDED_MS, () => forgetEnded());
    }
  }
}
