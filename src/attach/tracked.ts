import type { ContainerIdentity } from "../native/binding.js";
import { Remounts } from "./remounts.js";

/** What is remembered of one container. */
export interface TrackedContainer {
  readonly container: ContainerIdentity;
  /** Those that belong to it. */
  readonly namespaces: Set<number>;
  /** The namespaces that have had all their files, each with the process by which it was found. */
  readonly served: Map<number, number>;
  /** Those in which a file was missing to the last, likewise. */
  readonly failed: Map<number, number>;
  /**
   * The namespaces that have had files, each with the files that have failed so far. A file that is attached
   * now and is not among those was unmounted before.
   */
  readonly reached: Map<number, ReadonlySet<string>>;
  readonly remounts: Remounts;
}

/** The init is part of the key, because a cgroup may have several PID namespaces, and a new one after a restart. */
function keyOf({ id, init }: ContainerIdentity): string {
  return `${id} ${init}`;
}

/** The containers that the watcher serves, and their namespaces. */
export class TrackedContainers {
  readonly #tracked = new Map<string, TrackedContainer>();
  /** The key of the container that a namespace belongs to. */
  readonly #owners = new Map<number, string>();

  constructor(readonly now: () => number) {}

  /** The process by which a namespace was found; undefined: there may be something left to do. */
  doneBy(namespace: number): number | undefined {
    const owner = this.#owners.get(namespace);
    const tracked = owner === undefined ? undefined : this.#tracked.get(owner);
    return tracked?.served.get(namespace) ?? tracked?.failed.get(namespace);
  }

  /** Those with one of these ids, which several PID namespaces may have. */
  withIds(ids: ReadonlySet<string>): TrackedContainer[] {
    return [...this.#tracked.values()].filter(({ container }) => ids.has(container.id));
  }

  /** What has failed is to be tried again: something may have changed. */
  forgetFailures(): void {
    for (const { failed } of this.#tracked.values()) {
      failed.clear();
    }
  }

  /** Whether a namespace belongs to a container that is served. */
  has(namespace: number): boolean {
    return this.#owners.has(namespace);
  }

  /** Whether a namespace still belongs to what add() has returned for it. */
  owns(tracked: TrackedContainer, namespace: number): boolean {
    const owner = this.#owners.get(namespace);
    return owner !== undefined && this.#tracked.get(owner) === tracked;
  }

  /** Notes that a namespace belongs to a container. */
  add(container: ContainerIdentity, namespace: number): TrackedContainer {
    const key = keyOf(container);
    if (this.#owners.get(namespace) !== key) {
      this.forget(namespace);
      this.#owners.set(namespace, key);
    }
    const known = this.#tracked.get(key);
    if (known !== undefined) {
      known.namespaces.add(namespace);
      return known;
    }
    const tracked: TrackedContainer = {
      container,
      namespaces: new Set([namespace]),
      served: new Map(),
      failed: new Map(),
      reached: new Map(),
      remounts: new Remounts(this.now),
    };
    this.#tracked.set(key, tracked);
    return tracked;
  }

  /** Notes that a namespace has ended. True: it was the last one of its container. */
  forget(namespace: number): boolean {
    const owner = this.#owners.get(namespace);
    this.#owners.delete(namespace);
    const tracked = owner === undefined ? undefined : this.#tracked.get(owner);
    if (owner === undefined || tracked === undefined) {
      return false;
    }
    tracked.namespaces.delete(namespace);
    tracked.served.delete(namespace);
    tracked.failed.delete(namespace);
    tracked.reached.delete(namespace);
    tracked.remounts.forget(namespace);
    if (tracked.namespaces.size > 0) {
      return false;
    }
    this.#tracked.delete(owner);
    return true;
  }
}
