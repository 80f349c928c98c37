import { errnoOf, messageOf } from "../errors.js";
import type { Logger } from "../log.js";
import type { ContainerIdentity, NativeBinding, NativeWatch } from "../native/binding.js";
import { printable } from "../text.js";
import { BusyTenants } from "./busy-tenants.js";
import {
  failureOf,
  type HelperReport,
  type HelperSettings,
  helperAbort,
  isShortage,
  pathsOf,
  type RunHelper,
} from "./helper.js";
import { LeftAlone } from "./left-alone.js";
import { containerOf, mountNamespaceOf, pidNamespaceOf } from "./namespaces.js";
import { Remounts } from "./remounts.js";
import { type ExclusionReason, exclusionByName } from "./selection.js";
import type { Shortages } from "./shortages.js";
import { TenantLog } from "./tenant-log.js";
import type { TrackedContainer, TrackedContainers } from "./tracked.js";

/** Delays of retries after a failure: the container may not have been ready. */
const RETRIES_MS = [50, 200, 1000, 5000, 20_000] as const;
/** No file failed. */
const NONE: ReadonlySet<string> = new Set();
/** Delays of retries if the node is short of something, or if another helper works for the tenant: without end. */
const PATIENT_MS = { first: 1000, max: 30_000 } as const;

/** A namespace to visit, and a process in it. */
export interface Visit {
  readonly pid: number;
  readonly namespace: number;
  readonly tenant: number;
  /** Whether the process is the init of its PID namespace: nobody outlives it there. */
  readonly isInit: boolean;
}

/** Which containers get the files, and how. */
export interface AttachingOptions {
  readonly settings: HelperSettings;
  /** Patterns of the containers to serve, and of those to leave alone even so. */
  readonly only: readonly string[];
  readonly exclude: readonly string[];
  /** Whether to serve also the services in containers that have their own /proc. */
  readonly nested: boolean;
  /** Whether to pass the container's id to the helper, for engines whose mount cannot be asked for it. */
  readonly passId: boolean;
  readonly log: Logger;
}

interface VisitsOptions extends AttachingOptions {
  readonly binding: Pick<NativeBinding, "identityOf" | "fnmatch">;
  readonly run: RunHelper;
  readonly watch: NativeWatch;
  readonly tracked: TrackedContainers;
  readonly shortages: Shortages;
  /** Whether visits of a tenant are pending. */
  readonly hasPending: (tenant: number) => boolean;
  readonly after: (ms: number, action: () => void) => void;
  readonly look: (visit: Visit) => void;
  readonly lookLater: (ms: number, visit: Visit, attempt: number) => void;
  /** The watch cannot follow another namespace of the tenant. It says so when there is room again. */
  readonly onFull: (tenant: number) => void;
  /** Looks for other processes in namespaces whose process has ended. */
  readonly lookForOthers: () => void;
  /** Starts no visit of a tenant for a while. */
  readonly rest: (tenant: number, ms: number) => void;
  readonly onError: (error: unknown) => void;
  readonly now: () => number;
}

/** Visits namespaces: runs the helper in them and acts on its report. */
export class Visits {
  readonly #options: VisitsOptions;
  readonly #exclusionReason: ExclusionReason;
  readonly #leftAlone: LeftAlone;
  readonly #log: TenantLog;
  /** As long as they have visits pending. */
  readonly #busy: BusyTenants;
  readonly #abort = helperAbort();
  #stopped = false;

  constructor(options: VisitsOptions) {
    this.#options = options;
    this.#exclusionReason = exclusionByName(options.binding, options.only, options.exclude);
    this.#leftAlone = new LeftAlone(options.binding.identityOf);
    this.#log = new TenantLog(options.log, options.now);
    this.#busy = new BusyTenants(PATIENT_MS.first / 10, PATIENT_MS.max, options.now);
  }

  /** The number of tenants with a helper that hangs. */
  get hung(): number {
    return this.#busy.hung;
  }

  /** From now on nothing is done about reports. */
  stop(): void {
    this.#stopped = true;
  }

  /** Kills running helpers. */
  abort(): void {
    this.#abort.abort();
  }

  /** Whether a namespace should have the files. */
  #isWanted(container: ContainerIdentity, namespace: number): boolean {
    if (this.#exclusionReason(container) !== undefined || this.#leftAlone.has(container)) {
      return false;
    }
    if (this.#options.nested || mountNamespaceOf(container.init) === namespace) {
      return true;
    }
    // A container that shares the PID namespace of another one has its init there, and is no service in it.
    const home = containerOf(this.#options.binding.identityOf, container.init);
    return home !== undefined && home.id !== container.id;
  }

  /** Visits a namespace. Resolves to the time that this took of this thread and of its helpers, ms. */
  async visit(visit: Visit, attempt: number): Promise<number> {
    const { now } = this.#options;
    let helperMs = 0;
    // Whatever becomes of its report, the tenant pays.
    const run: RunHelper = async (...rest) => {
      const report = await this.#options.run(...rest);
      helperMs += (report.cpuUs ?? 0) / 1000;
      return report;
    };
    const begun = now();
    // Until the helper runs everything is done here and now: how long that takes a container decides as well.
    const look = this.#look(visit, attempt, run);
    const ownMs = now() - begun;
    await look;
    this.forgetBusy(visit.tenant);
    return ownMs + helperMs;
  }

  /** Forgets that another helper works for a tenant, if no later visit would find out that it has ended. */
  forgetBusy(tenant: number): void {
    if (!this.#options.hasPending(tenant)) {
      this.#busy.forget(tenant);
    }
  }

  async #look(visit: Visit, attempt: number, run: RunHelper): Promise<void> {
    const { pid, namespace } = visit;
    // The process has ended, and another one may have its PID.
    if (mountNamespaceOf(pid) !== namespace) {
      this.#giveUp(visit);
      return;
    }
    try {
      const earlier = this.#earlier(visit);
      const container = containerOf(this.#options.binding.identityOf, earlier?.pid ?? pid);
      if (container !== undefined) {
        return await (earlier === undefined
          ? this.#serve(visit, container, attempt, run)
          : this.#serve(earlier, container, attempt, run, visit));
      }
    } catch (error) {
      if (errnoOf(error) === "ETIMEDOUT") {
        this.#options.log.debug({ pid, error: messageOf(error) }, "not attached yet");
      } else if (isShortage(messageOf(error))) {
        this.#options.shortages.note(messageOf(error));
      } else {
        this.#options.onError(error);
      }
      this.#options.lookLater(this.#patience(attempt), visit, attempt + 1);
      return;
    }
    // Its runtime may still be moving it to its cgroups.
    const wait = RETRIES_MS[attempt];
    if (wait !== undefined) {
      this.#options.log.debug({ pid, attempt }, "not in a container yet");
      this.#options.lookLater(wait, visit, attempt + 1);
    }
  }

  /** Its process has ended, or has moved to another namespace. */
  #giveUp({ pid, isInit }: Visit): void {
    if (!this.#stopped && (!isInit || mountNamespaceOf(pid) !== undefined)) {
      this.#options.lookForOthers();
    }
  }

  #patience(attempt: number): number {
    return Math.min(PATIENT_MS.max, PATIENT_MS.first * 2 ** Math.min(attempt, 10));
  }

  /**
   * The process by which a namespace was served, if it lives there with other PIDs: the namespace's /proc may be
   * for those (unshare --pid in a sidecar).
   */
  #earlier(visit: Visit): Visit | undefined {
    const by = this.#options.tracked.doneBy(visit.namespace);
    if (by === undefined || mountNamespaceOf(by) !== visit.namespace) {
      return undefined;
    }
    const isOther = pidNamespaceOf(by) !== pidNamespaceOf(visit.pid);
    return isOther ? { ...visit, pid: by, isInit: false } : undefined;
  }

  /** `other` is served if the /proc is none of the visit's. It is the one by which the namespace is known. */
  async #serve(
    visit: Visit,
    container: ContainerIdentity,
    attempt: number,
    run: RunHelper,
    other?: Visit,
  ): Promise<void> {
    const { settings, passId, log } = this.#options;
    const { namespace, tenant } = visit;
    if (!this.#isWanted(container, namespace)) {
      return;
    }
    // The init outlives the others.
    const isMain = mountNamespaceOf(container.init) === namespace;
    const lasting = isMain ? { ...visit, pid: container.init, isInit: true } : visit;
    const { pid } = lasting;
    // Subscribe before the first read so that no change is missed.
    const followed = this.#options.watch.follow(other?.pid ?? pid);
    if (followed !== "followed") {
      log.debug({ pid, followed }, "cannot watch its mounts");
      if (followed === "shortage") {
        this.#options.shortages.note("not enough descriptors to watch the mounts of a container");
        this.#options.lookLater(this.#patience(attempt), visit, attempt + 1);
      } else if (followed === "full") {
        this.#options.onFull(tenant);
      } else {
        this.#giveUp(other ?? lasting);
      }
      return;
    }
    const tracked = this.#options.tracked.add(container, namespace);
    const request = {
      action: "attach",
      pid,
      name: container.name,
      id: passId ? container.id : undefined,
      tenant,
      leave: tracked.remounts.left(namespace),
    } as const;
    const report = await run(settings, request, this.#abort.signal);
    if (!this.#stopped && this.#leftAlone.has(container)) {
      // An operator detached it meanwhile, before this helper had attached it.
      await run(settings, { ...request, action: "detach", leave: [] }, this.#abort.signal);
      return;
    }
    const isNone = report.files.length === 0 && !report.busy && !report.isShort;
    if (other !== undefined && isNone && !this.#stopped) {
      const next = containerOf(this.#options.binding.identityOf, other.pid);
      if (next !== undefined) {
        await this.#serve(other, next, attempt, run);
      }
      return;
    }
    if (!this.#stopped) {
      this.#judge(lasting, other ?? lasting, tracked, report, attempt);
    }
  }

  /** `next`: whom to look at where the helper could not work. */
  #judge(
    visit: Visit,
    next: Visit,
    tracked: TrackedContainer,
    report: HelperReport,
    attempt: number,
  ): void {
    const { pid, namespace, tenant } = visit;
    const container = printable(tracked.container.name);
    if (report.busy) {
      this.#waitForOther(next, container, attempt);
      return;
    }
    this.#busy.forget(tenant);
    // A process that is in it by now is visited by itself, and a later namespace may have its number.
    if (!this.#options.tracked.owns(tracked, namespace)) {
      return;
    }
    const attached = pathsOf(report, "attached", "replaced", "healed");
    const failure = failureOf(report);
    const late = tracked.reached.get(namespace);
    const again = late === undefined ? [] : attached.filter((path) => !late.has(path));
    if (attached.length > again.length) {
      const files = attached.length - again.length;
      this.#log.info(tenant, { container, pid, files }, "attached");
    }
    if (again.length > 0) {
      this.#countRemounts(visit, tracked, again);
    }
    if (failure === undefined) {
      tracked.reached.set(namespace, NONE);
      tracked.served.set(namespace, pid);
      tracked.failed.delete(namespace);
      return;
    }
    // Even if one file can never be attached, the remounts of the others are counted.
    const mounted = new Set([...attached, ...pathsOf(report, "present")]);
    if (late !== undefined || mounted.size > 0) {
      const missing = [...(late ?? pathsOf(report, "failed"))].filter((path) => !mounted.has(path));
      tracked.reached.set(namespace, new Set(missing));
    }
    const servedBy = tracked.served.get(namespace);
    if (servedBy !== undefined && servedBy !== pid) {
      return;
    }
    if (mountNamespaceOf(pid) !== namespace) {
      this.#giveUp(visit);
      return;
    }
    if (report.isShort) {
      this.#options.shortages.note(failure);
      this.#options.lookLater(this.#patience(attempt), next, attempt + 1);
      return;
    }
    const wait = RETRIES_MS[attempt];
    if (wait !== undefined) {
      this.#options.lookLater(wait, visit, attempt + 1);
    } else {
      tracked.failed.set(namespace, pid);
      const reason = printable(failure);
      this.#log.warn(tenant, { container, pid, reason }, "not attached");
    }
  }

  /** Visits again later, because another helper works for this tenant. */
  #waitForOther(visit: Visit, container: string, attempt: number): void {
    const { waitMs, hangsNow } = this.#busy.note(visit.tenant);
    if (hangsNow) {
      this.#log.warn(
        visit.tenant,
        { container, pid: visit.pid },
        "a helper hangs in this container: starting no other until it ends",
      );
    }
    this.#options.rest(visit.tenant, waitMs);
    this.#options.lookLater(waitMs, visit, attempt);
  }

  #countRemounts(visit: Visit, tracked: TrackedContainer, paths: readonly string[]): void {
    const { tenant } = visit;
    const container = printable(tracked.container.name);
    const left = tracked.remounts.count(visit.namespace, paths);
    this.#log.info(tenant, { container, files: paths.length }, "attached again");
    if (left.length > 0) {
      this.#log.warn(
        tenant,
        { container, files: left.length, first: printable(left[0] ?? "") },
        "keeps unmounting files: not mounting these again for an hour",
      );
      this.#options.after(Remounts.forgivenAfterMs, () => this.#options.look(visit));
    }
  }
}
