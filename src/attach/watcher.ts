import { messageOf } from "../errors.js";
import type { Logger } from "../log.js";
import type { ContainerInfo, NativeBinding, NativeWatch, WatchEvent } from "../native/binding.js";
import { printable } from "../text.js";
import { Bucket, Queue } from "./bounds.js";
import { countOf, failureOf, type HelperReport, type HelperSettings, runHelper } from "./helper.js";
import { isLeftAlone } from "./left-alone.js";
import { mapLimited } from "./limit.js";
import { containerOf, listNamespaces, mountNamespaceOf, pidNamespaceOf } from "./namespaces.js";
import { type WhyNot, whyNotByName } from "./wanted.js";

/** Helpers at a time: a start of 200 containers must not be a start of 200 more processes. */
const AT_A_TIME = 8;
/** How often the files of one container come back after they were taken away or covered. */
const MOST_HEALS = 5;
/** A container that is left in peace for so long is healed again. */
const FORGIVE_MS = 3_600_000;
/** Taking the files out of one namespace: all of them have the time that a stop has. */
const DETACH_WITHIN_MS = 5000;
/** Looks into one container: so many at once, then so many a second. */
const LOOKS = { atOnce: 100, perSecond: 5 } as const;
/** PID namespaces that are counted at a time. */
const MOST_ENTRANCES = 4096;
/** When to look again after a failure: the container may not have been ready. */
const RETRIES_MS = [50, 200, 1000, 5000, 20_000] as const;

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

/** What is remembered of one container. */
interface Care {
  readonly container: ContainerInfo;
  readonly looks: Bucket;
  /** The namespaces in which the files have been, each with the process it was found by. */
  readonly served: Map<number, number>;
  heals: number;
  healedMs: number;
  givenUp: boolean;
  limited: boolean;
}

/**
 * Gives every container the files: those that run when it starts, those that appear later, and
 * those that lose them. Events come from the kernel by way of the native watch; the work is done by
 * the helper, in processes of its own.
 */
export class Watcher {
  readonly #options: WatcherOptions;
  readonly #watch: NativeWatch;
  readonly #queue = new Queue<string>(AT_A_TIME, (error) => this.#fail(error));
  readonly #cares = new Map<string, Care>();
  /** The container that a namespace belongs to. */
  readonly #owners = new Map<number, string>();
  readonly #entrances = new Map<number, Bucket>();
  /** Events that are looked at later, by namespace and process: its number may be another's by then. */
  readonly #postponed = new Set<string>();
  /** Looks that wait since their container had too many, by container and namespace. */
  readonly #held = new Set<string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #whyNot: WhyNot;
  readonly #now: () => number;
  readonly #run: typeof runHelper;
  #stopped = false;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#whyNot = whyNotByName(options.binding, options.only, options.exclude);
    this.#now = options.now ?? (() => performance.now());
    this.#run = options.run ?? runHelper;
    this.#watch = new options.binding.Watch((events) => this.#take(events));
  }

  /** Watches first and looks around then, so that nothing falls between. */
  start(): void {
    try {
      this.#watch.start();
    } catch (error) {
      this.#options.log.warn(
        { reason: messageOf(error) },
        "the kernel does not tell of new processes: new containers are found by hooks only",
      );
    }
    this.#guard(() => this.#lookAround());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watch.stop();
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    await this.#queue.close();
  }

  /** Takes the files out of all containers; those of a pattern's too, which hooks may have served. */
  async detachAll(): Promise<number> {
    const { binding, settings } = this.#options;
    const namespaces = listNamespaces(binding);
    const reports = await mapLimited(namespaces, AT_A_TIME, ({ pid, container }) =>
      this.#run(settings, {
        action: "detach",
        pid,
        name: container.name,
        timeoutMs: DETACH_WITHIN_MS,
      }),
    );
    return reports.reduce((sum, report) => sum + countOf(report, "detached"), 0);
  }

  /** Resolves when there is nothing to do at the moment. */
  idle(): Promise<void> {
    return this.#queue.idle();
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

  #lookAround(): void {
    for (const { pid, container, key } of listNamespaces(this.#options.binding)) {
      this.#look(pid, key, container);
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
      this.#enter(event);
    }
  }

  #enter(event: WatchEvent, attempt = 0): void {
    const { pid, namespace } = event;
    const pids = pidNamespaceOf(pid);
    // It has ended, and its number may be another process's now.
    if (pids === undefined || mountNamespaceOf(pid) !== namespace) {
      return;
    }
    if (!this.#mayEnter(pids)) {
      this.#postpone(1000, event, attempt);
      return;
    }
    const container = containerOf(this.#options.binding, pid);
    if (container !== undefined) {
      this.#look(pid, namespace, container);
      return;
    }
    // Its runtime may still be moving it to its cgroups.
    const wait = RETRIES_MS[attempt];
    if (wait !== undefined) {
      this.#options.log.debug({ pid, attempt }, "of no container so far");
      this.#postpone(wait, event, attempt + 1);
    }
  }

  #postpone(ms: number, event: WatchEvent, attempt: number): void {
    const key = `${event.namespace} ${event.pid}`;
    if (!this.#postponed.has(key)) {
      this.#postponed.add(key);
      this.#later(ms, () => {
        this.#postponed.delete(key);
        this.#enter(event, attempt);
      });
    }
  }

  /** To find out whose a process is takes a while: so often for one PID namespace, and no more. */
  #mayEnter(pids: number): boolean {
    if (this.#entrances.size >= MOST_ENTRANCES) {
      this.#entrances.clear();
    }
    const { atOnce, perSecond } = LOOKS;
    const bucket = this.#entrances.get(pids) ?? new Bucket(atOnce, perSecond, this.#now);
    this.#entrances.set(pids, bucket);
    return bucket.take();
  }

  #forget(namespace: number): void {
    const owner = this.#owners.get(namespace);
    this.#owners.delete(namespace);
    if (owner === undefined) {
      return;
    }
    this.#cares.get(owner)?.served.delete(namespace);
    this.#dropUnlessOwner(owner);
  }

  #dropUnlessOwner(id: string): void {
    if (![...this.#owners.values()].includes(id)) {
      this.#cares.delete(id);
    }
  }

  #careFor(container: ContainerInfo): Care {
    const known = this.#cares.get(container.id);
    if (known?.container.init === container.init) {
      return known;
    }
    const care: Care = {
      container,
      looks: new Bucket(LOOKS.atOnce, LOOKS.perSecond, this.#now),
      served: new Map(),
      heals: 0,
      healedMs: 0,
      givenUp: false,
      limited: false,
    };
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

  #look(pid: number, namespace: number, container: ContainerInfo, attempt = 0): void {
    if (!this.#isWanted(container, namespace)) {
      return;
    }
    const care = this.#careFor(container);
    if (care.givenUp && this.#now() - care.healedMs < FORGIVE_MS) {
      return;
    }
    if (!care.looks.take()) {
      if (!care.limited) {
        care.limited = true;
        this.#options.log.warn(
          { container: printable(container.name) },
          "its mounts change too often: looked after less often",
        );
      }
      this.#hold(pid, namespace, container, attempt);
      return;
    }
    // One at a time for a container: nested namespaces get what is mounted in the outer one too.
    this.#queue.add(`${container.id} ${namespace}`, () =>
      this.#serve(pid, namespace, care, attempt),
    );
  }

  /** Looks once more, when its container may have another look and if it has not ended by then. */
  #hold(pid: number, namespace: number, container: ContainerInfo, attempt: number): void {
    const key = `${container.id} ${namespace}`;
    if (this.#held.has(key)) {
      return;
    }
    this.#held.add(key);
    this.#later(1000, () => {
      this.#held.delete(key);
      if (mountNamespaceOf(pid) === namespace) {
        this.#look(pid, namespace, container, attempt);
      }
    });
  }

  #later(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#stopped) {
        this.#guard(action);
      }
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }

  async #serve(pid: number, namespace: number, care: Care, attempt: number): Promise<void> {
    const { settings, tellId } = this.#options;
    const { container } = care;
    // Followed before it is looked at: what changes in between is told of.
    if (!this.#watch.follow(pid)) {
      this.#options.log.debug({ pid }, "cannot be followed");
      this.#dropUnlessOwner(container.id);
      return;
    }
    this.#owners.set(namespace, container.id);
    const id = tellId ? container.id : undefined;
    const report = await this.#run(settings, { action: "attach", pid, name: container.name, id });
    this.#judge(pid, namespace, care, report, attempt);
  }

  #judge(pid: number, namespace: number, care: Care, report: HelperReport, attempt: number): void {
    const { log } = this.#options;
    const container = printable(care.container.name);
    const attached = countOf(report, "attached", "replaced", "healed");
    const failure = failureOf(report);
    if (attached > 0 && care.served.has(namespace)) {
      this.#countHeal(namespace, care, attached);
    } else if (attached > 0) {
      log.info({ container, pid, files: attached }, "attached");
    }
    if (failure === undefined) {
      care.served.set(namespace, pid);
      return;
    }
    const servedBy = care.served.get(namespace);
    if (servedBy !== undefined && servedBy !== pid) {
      return;
    }
    const wait = RETRIES_MS[attempt];
    if (wait !== undefined && mountNamespaceOf(pid) === namespace) {
      this.#later(wait, () => this.#look(pid, namespace, care.container, attempt + 1));
    } else if (mountNamespaceOf(pid) === namespace) {
      log.warn({ container, pid, reason: printable(failure) }, "not attached");
    }
  }

  #countHeal(namespace: number, care: Care, files: number): void {
    const { log } = this.#options;
    const container = printable(care.container.name);
    const now = this.#now();
    care.heals = now - care.healedMs < FORGIVE_MS ? care.heals + 1 : 1;
    care.healedMs = now;
    care.givenUp = care.heals >= MOST_HEALS;
    if (care.givenUp) {
      this.#watch.unfollow(namespace);
      log.warn({ container, times: care.heals }, "takes its files away: not given back any more");
    } else {
      log.info({ container, files }, "attached again");
    }
  }
}
