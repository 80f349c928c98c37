import { errnoOf, messageOf } from "../errors.js";
import type { Logger } from "../log.js";
import type { ContainerInfo, NativeBinding, NativeWatch, WatchEvent } from "../native/binding.js";
import { printable } from "../text.js";
import { FairQueue } from "./bounds.js";
import { Heals } from "./heals.js";
import {
  countOf,
  failureOf,
  type HelperReport,
  type HelperSettings,
  isShortage,
  runHelper,
} from "./helper.js";
import { forgetEnded, isLeftAlone } from "./left-alone.js";
import {
  containerOf,
  listNamespaces,
  listProcesses,
  mountNamespaceOf,
  namespacesOf,
} from "./namespaces.js";
import { type WhyNot, whyNotByName } from "./wanted.js";

/** Helpers at a time: a start of 200 containers must not be a start of 200 more processes. */
const AT_A_TIME = 8;
/** A helper takes some milliseconds: one that takes longer has much to do, or hangs. */
const SLOW_MS = 250;
const MOST_SLOW = 64;
/** Looks into one tenant's namespaces: so many at once, then so many a second. */
const LOOKS = { atOnce: 200, perSecond: 10 } as const;
/** CPU time of the helpers for one tenant: so much at once, then this share of one CPU. */
const COST = { freeMs: 2000, share: 0.1 } as const;
/**
 * A stop: how long helpers that attach may go on, how long one may take to detach from a namespace,
 * and all of them. The keeper kills a worker that has not stopped after 20 s.
 */
const STOP = { attachingMs: 1000, detachMs: 5000, detachAllMs: 10_000 } as const;
/** When to look again after a failure: the container may not have been ready. */
const RETRIES_MS = [50, 200, 1000, 5000, 20_000] as const;
/** When something was short, or a helper for the tenant hangs: as long as it takes. */
const PATIENT_MS = { first: 1000, most: 30_000 } as const;
/** Namespaces of one tenant to which something is to be done later. */
const MOST_LATER = 1024;
/** A look at all processes: not more often than this, and for a small share of the time. */
const AROUND = { restMs: 1000, restFactor: 20, atOnce: 250 } as const;
const FORGET_ENDED_MS = 60_000;

export interface WatcherOptions {
  readonly binding: Pick<NativeBinding, "containerOf" | "fnmatch" | "Watch">;
  readonly settings: HelperSettings;
  /** Patterns of the containers to take care of, and of those among them not to. */
  readonly only: readonly string[];
  readonly exclude: readonly string[];
  /** Whether services within containers that have a /proc of their own are followed. */
  readonly nested: boolean;
  /** Tells the helper the container's id: for engines that cannot be asked for it. */
  readonly tellId: boolean;
  readonly log: Logger;
  readonly now?: () => number;
  readonly run?: typeof runHelper;
}

/** How the watcher stands. */
export interface WatcherState {
  /** Mount namespaces that are followed, and how many can be. */
  readonly followed: number;
  readonly mostFollowed: number;
  /** How many of them may be one tenant's. */
  readonly tenantMost: number;
  /** Looks that wait for their tenant's turn, helpers that run, and those that take long. */
  readonly waiting: number;
  readonly running: number;
  readonly slow: number;
  /** Tenants of which a helper was given up that has not ended. */
  readonly hung: number;
  /** Times that a tenant had no room for another namespace. */
  readonly refused: number;
  /** Times that descriptors, processes or memory were short; all was tried again. */
  readonly shortages: number;
  /** What was short last, and when (ms since the epoch). */
  readonly lastShortage?: { readonly what: string; readonly atMs: number };
}

/** What is remembered of one container. */
interface Care {
  readonly container: ContainerInfo;
  /** The namespaces in which the files have been, each with the process it was found by. */
  readonly served: Map<number, number>;
  readonly heals: Heals;
}

/** A namespace that is to be looked at, through one process of it. */
interface Visit {
  readonly pid: number;
  readonly namespace: number;
  readonly tenant: number;
}

/**
 * Gives every container the files: those that run when it starts, those that appear later, and
 * those that lose them. Events come from the kernel by way of the native watch; the work is done by
 * the helper, in processes of its own, tenant by tenant. It never ends for want of anything: what
 * failed is done later.
 */
export class Watcher {
  readonly #options: WatcherOptions;
  readonly #watch: NativeWatch;
  readonly #queue: FairQueue<number, number>;
  readonly #cares = new Map<string, Care>();
  /** The container that a namespace belongs to. */
  readonly #owners = new Map<number, string>();
  /** Of each tenant, what is looked at later, by namespace and process: its number may be another's by then. */
  readonly #later = new Map<number, Set<string>>();
  /** Tenants of which a helper hangs, with the rest that they take. */
  readonly #hung = new Map<number, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #whyNot: WhyNot;
  readonly #now: () => number;
  readonly #run: typeof runHelper;
  #shortages = 0;
  #lastShortage: WatcherState["lastShortage"];
  #around: "no" | "under way" | "again" = "no";
  #looked: Promise<void> = Promise.resolve();
  #forgotMs = Number.NEGATIVE_INFINITY;
  readonly #abort = new AbortController();
  #stopped = false;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#whyNot = whyNotByName(options.binding, options.only, options.exclude);
    this.#now = options.now ?? (() => performance.now());
    this.#run = options.run ?? runHelper;
    this.#queue = new FairQueue({
      most: AT_A_TIME,
      slowMs: SLOW_MS,
      mostSlow: MOST_SLOW,
      ...LOOKS,
      ...COST,
      onError: (error) => this.#fail(error),
      now: this.#now,
    });
    this.#watch = new options.binding.Watch((events) => this.#take(events));
  }

  /** Watches first and looks around then, so that nothing falls between. */
  start(): void {
    this.#listen();
    this.#forgetEnded();
    this.#lookAround();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watch.stop();
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    this.#queue.drop();
    if (!(await this.#queue.idleWithin(STOP.attachingMs))) {
      // What they have not finished, detaching or the next worker does.
      this.#abort.abort();
      await this.#queue.idleWithin(STOP.attachingMs);
    }
  }

  /**
   * Takes the files, or those of kernel logs only, out of all containers; those of a pattern's too,
   * which hooks may have served. Resolves to their number. A container that takes too long keeps its
   * files, and nobody else.
   */
  async detachAll(onlyLogs: boolean): Promise<number> {
    const { binding, settings, log } = this.#options;
    // Nothing but the time that a stop has bounds this.
    const forever = { atOnce: 2 ** 30, perSecond: 2 ** 30, freeMs: 2 ** 30, share: 1 };
    const queue = new FairQueue<number, number>({
      most: AT_A_TIME,
      slowMs: SLOW_MS,
      mostSlow: MOST_SLOW,
      ...forever,
      onError: (error) => this.#fail(error),
    });
    const abort = new AbortController();
    let files = 0;
    for (const { pid, container, key } of listNamespaces(binding)) {
      queue.add(this.#watch.tenantOf(pid), key, async () => {
        const { name } = container;
        const what = { action: "detach", onlyLogs } as const;
        const run = { ...what, pid, name, timeoutMs: STOP.detachMs };
        files += countOf(await this.#run(settings, run, abort.signal), "detached");
        return 0;
      });
    }
    if (!(await queue.idleWithin(STOP.detachAllMs))) {
      const { waiting, running } = queue.state();
      queue.drop();
      abort.abort();
      log.warn({ namespaces: waiting + running }, "not detached in time");
    }
    return files;
  }

  /** Resolves when there is nothing to do at the moment. */
  async idle(): Promise<void> {
    await this.#looked;
    await this.#queue.idle();
  }

  state(): WatcherState {
    const { known, most, mostOfOne, refused, shortages } = this.#watch.state();
    return {
      followed: known,
      mostFollowed: most,
      tenantMost: mostOfOne,
      ...this.#queue.state(),
      hung: this.#hung.size,
      refused,
      shortages: shortages + this.#shortages,
      ...(this.#lastShortage === undefined ? {} : { lastShortage: this.#lastShortage }),
    };
  }

  /** False: the host has no thread for it at the moment. It is tried again, and looks around then. */
  #listen(): boolean {
    try {
      this.#watch.start();
    } catch (error) {
      if (errnoOf(error) === "EAGAIN") {
        this.#noteShortage(messageOf(error));
        this.#after(PATIENT_MS.first, () => {
          if (this.#listen()) {
            this.#lookAround();
          }
        });
        return false;
      }
      this.#options.log.warn(
        { reason: messageOf(error) },
        "the kernel does not tell of new processes: new containers are found by hooks only",
      );
    }
    return true;
  }

  /** Nothing that goes wrong here may end the process that serves. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#options.log.error({ error: messageOf(error) }, "looking after containers failed");
  }

  #noteShortage(what: string): void {
    this.#shortages += 1;
    const isNews =
      performance.now() - (this.#lastShortage?.atMs ?? Number.NEGATIVE_INFINITY) > PATIENT_MS.most;
    this.#lastShortage = { what, atMs: performance.now() };
    if (isNews) {
      this.#options.log.warn({ reason: printable(what) }, "something is short: trying again");
    }
  }

  /** Looks at every process, a part at a time: serving and other events go on. */
  #lookAround(): void {
    if (this.#around === "no") {
      this.#around = "under way";
      this.#looked = this.#lookAtAll();
    } else {
      this.#around = "again";
    }
  }

  async #lookAtAll(): Promise<void> {
    const begun = this.#now();
    let isWhole = true;
    try {
      const pids = listProcesses();
      const first = new Map<number, number>();
      for (let at = 0; at < pids.length && !this.#stopped; at += AROUND.atOnce) {
        namespacesOf(pids.slice(at, at + AROUND.atOnce), first);
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (const [namespace, pid] of first) {
        this.#meet(pid, namespace);
      }
    } catch (error) {
      isWhole = false;
      this.#fail(error);
      this.#noteShortage(messageOf(error));
    }
    const rest = Math.max(AROUND.restMs, AROUND.restFactor * (this.#now() - begun));
    this.#after(rest, () => {
      const again = !isWhole || this.#around === "again";
      this.#around = "no";
      if (again) {
        this.#lookAround();
      }
    });
  }

  #meet(pid: number, namespace: number): void {
    const owner = this.#owners.get(namespace);
    const servedBy =
      owner === undefined ? undefined : this.#cares.get(owner)?.served.get(namespace);
    // The kernel tells of what changes there.
    if (servedBy !== undefined && mountNamespaceOf(servedBy) === namespace) {
      return;
    }
    const tenant = this.#watch.tenantOf(pid);
    if (tenant !== 0) {
      this.#look({ pid, namespace, tenant });
    }
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
      this.#lookAround();
    } else if (event.kind === "ended") {
      this.#forget(event.namespace);
    } else {
      this.#look(event);
    }
  }

  #look({ pid, namespace, tenant }: Visit, attempt = 0): void {
    const visit = { pid, namespace, tenant };
    // One at a time for a tenant: nested namespaces get what is mounted in the outer one too.
    this.#queue.add(tenant, namespace, () => this.#visit(visit, attempt));
  }

  /** Looks again later; of more than a tenant may have, when there is time to look at all. */
  #lookLater(ms: number, visit: Visit, attempt: number): void {
    const { pid, namespace, tenant } = visit;
    const key = `${namespace} ${pid}`;
    const keys = this.#later.get(tenant) ?? new Set<string>();
    if (keys.has(key)) {
      return;
    }
    if (keys.size >= MOST_LATER) {
      this.#lookAround();
      return;
    }
    this.#later.set(tenant, keys.add(key));
    this.#after(ms, () => {
      keys.delete(key);
      if (keys.size === 0) {
        this.#later.delete(tenant);
      }
      this.#look(visit, attempt);
    });
  }

  #after(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#stopped) {
        this.#guard(action);
      }
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }

  #forget(namespace: number): void {
    const owner = this.#owners.get(namespace);
    this.#owners.delete(namespace);
    if (owner === undefined) {
      return;
    }
    const care = this.#cares.get(owner);
    care?.served.delete(namespace);
    care?.heals.forget(namespace);
    this.#dropUnlessOwner(owner);
  }

  #dropUnlessOwner(id: string): void {
    const care = this.#cares.get(id);
    if (
      care !== undefined &&
      ![...care.served.keys()].some((key) => this.#owners.get(key) === id)
    ) {
      this.#cares.delete(id);
      this.#forgetEnded();
    }
  }

  /** What operators have said of containers that have ended. */
  #forgetEnded(): void {
    const now = this.#now();
    if (now - this.#forgotMs >= FORGET_ENDED_MS) {
      this.#forgotMs = now;
      this.#guard(() => forgetEnded());
      this.#after(FORGET_ENDED_MS, () => this.#guard(() => forgetEnded()));
    }
  }

  #careFor(container: ContainerInfo): Care {
    const known = this.#cares.get(container.id);
    if (known?.container.init === container.init) {
      return known;
    }
    const care: Care = { container, served: new Map(), heals: new Heals(this.#now) };
    this.#cares.set(container.id, care);
    return care;
  }

  /** Whether a namespace is to have the files at all. */
  #isWanted(container: ContainerInfo, namespace: number): boolean {
    if (this.#whyNot(container) !== undefined || isLeftAlone(container.init)) {
      return false;
    }
    return this.#options.nested || mountNamespaceOf(container.init) === namespace;
  }

  /** Looks at a namespace in its tenant's turn. Resolves to the CPU time that this took, ms. */
  async #visit(visit: Visit, attempt: number): Promise<number | undefined> {
    const { pid, namespace } = visit;
    if (this.#stopped) {
      return 0;
    }
    // It has ended, and its number may be another process's now.
    if (mountNamespaceOf(pid) !== namespace) {
      if (!this.#later.has(visit.tenant)) {
        this.#hung.delete(visit.tenant);
      }
      return 0;
    }
    try {
      const container = containerOf(this.#options.binding, pid);
      if (container !== undefined) {
        return await this.#serve(visit, container, attempt);
      }
    } catch (error) {
      if (isShortage(messageOf(error))) {
        this.#noteShortage(messageOf(error));
      } else {
        this.#fail(error);
      }
      this.#lookLater(this.#patience(attempt), visit, attempt + 1);
      return undefined;
    }
    // Its runtime may still be moving it to its cgroups.
    const wait = RETRIES_MS[attempt];
    if (wait !== undefined) {
      this.#options.log.debug({ pid, attempt }, "of no container so far");
      this.#lookLater(wait, visit, attempt + 1);
    }
    return undefined;
  }

  #patience(attempt: number): number {
    return Math.min(PATIENT_MS.most, PATIENT_MS.first * 2 ** Math.min(attempt, 10));
  }

  async #serve(
    visit: Visit,
    container: ContainerInfo,
    attempt: number,
  ): Promise<number | undefined> {
    const { settings, tellId, log } = this.#options;
    const { namespace, tenant } = visit;
    if (!this.#isWanted(container, namespace)) {
      return undefined;
    }
    // The init outlives the others.
    const pid = mountNamespaceOf(container.init) === namespace ? container.init : visit.pid;
    // Subscribe before the first read so that no change is missed.
    const followed = this.#watch.follow(pid);
    if (followed !== "followed") {
      log.debug({ pid, followed }, "cannot be followed");
      if (followed === "shortage") {
        this.#noteShortage("descriptors, to follow a container");
        this.#lookLater(this.#patience(attempt), visit, attempt + 1);
      }
      return undefined;
    }
    const care = this.#careFor(container);
    this.#owners.set(namespace, container.id);
    const run = {
      action: "attach",
      pid,
      name: container.name,
      id: tellId ? container.id : undefined,
      tenant,
      leave: care.heals.left(namespace),
    } as const;
    const report = await this.#run(settings, run, this.#abort.signal);
    if (!this.#stopped) {
      this.#guard(() => this.#judge({ pid, namespace, tenant }, care, report, attempt));
    }
    return report.cpuUs === undefined ? undefined : report.cpuUs / 1000;
  }

  #judge(visit: Visit, care: Care, report: HelperReport, attempt: number): void {
    const { log } = this.#options;
    const { pid, namespace, tenant } = visit;
    const container = printable(care.container.name);
    if (report.busy) {
      this.#waitForHung(visit, container, attempt);
      return;
    }
    this.#hung.delete(tenant);
    const attached = countOf(report, "attached", "replaced", "healed");
    const failure = failureOf(report);
    if (attached > 0 && care.served.has(namespace)) {
      this.#countHeals(visit, care, report);
    } else if (attached > 0) {
      log.info({ container, pid, files: attached }, "attached");
    }
    if (failure === undefined) {
      care.served.set(namespace, pid);
      return;
    }
    const servedBy = care.served.get(namespace);
    if ((servedBy !== undefined && servedBy !== pid) || mountNamespaceOf(pid) !== namespace) {
      return;
    }
    if (report.isShort) {
      this.#noteShortage(failure);
      this.#lookLater(this.#patience(attempt), visit, attempt + 1);
      return;
    }
    const wait = RETRIES_MS[attempt];
    if (wait !== undefined) {
      this.#lookLater(wait, visit, attempt + 1);
    } else {
      log.warn({ container, pid, reason: printable(failure) }, "not attached");
    }
  }

  /** A helper for this tenant was given up and has not ended: none is started until it has. */
  #waitForHung(visit: Visit, container: string, attempt: number): void {
    const before = this.#hung.get(visit.tenant);
    const wait = Math.min(
      PATIENT_MS.most,
      before === undefined ? PATIENT_MS.first / 10 : before * 2,
    );
    if (before === undefined) {
      this.#options.log.warn(
        { container, pid: visit.pid },
        "a helper hangs in it: no other is started for it until that has ended",
      );
    }
    this.#hung.set(visit.tenant, wait);
    this.#queue.rest(visit.tenant, wait);
    this.#lookLater(wait, visit, attempt);
  }

  #countHeals(visit: Visit, care: Care, report: HelperReport): void {
    const { log } = this.#options;
    const container = printable(care.container.name);
    const places = report.files
      .filter(({ state }) => state === "attached" || state === "replaced" || state === "healed")
      .map(({ path }) => path);
    const left = care.heals.count(visit.namespace, places);
    log.info({ container, files: places.length }, "attached again");
    if (left.length > 0) {
      log.warn(
        { container, files: left.length, first: printable(left[0] ?? "") },
        "keeps taking files away: those are not given back for an hour",
      );
      this.#after(Heals.forgivenAfterMs, () => this.#look(visit));
    }
  }
}
