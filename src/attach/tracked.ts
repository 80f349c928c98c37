import type { ContainerInfo } from "../native/binding.js";
import { Remounts } from "./remounts.js";

/** What is remembered of one container. */
export interface TrackedContainer {
  readonly container: ContainerInfo;
  /** The namespaces in which all files have been, each with the process it was found by. */
  readonly served: Map<number, number>;
  /**
   * Those in which any file has been, or all that are to be there: what is attached now was taken away. But for those
   * files, few mostly, that have failed every time.
   */
  readonly reached: Map<number, ReadonlySet<string>>;
  readonly remounts: Remounts;
}

/** A cgroup can have several PID namespaces, and another one after a container was started again. */
function keyOf({ id, init }: ContainerInfo): string {
  return `${id} ${init}`;
}

/** The containers that are looked after, and which namespaces are theirs. */
export class TrackedContainers {
  readonly #tracked = new Map<string, TrackedContainer>();
  /** The key of the container that a namespace belongs to. */
  readonly #owners = new Map<number, string>();

  constructor(readonly now: () => number) {}

  /** The process by which a namespace was found that has had the files. */
  servedBy(namespace: number): number | undefined {
    const owner = this.#owners.get(namespace);
    return owner === undefined ? undefined : this.#tracked.get(owner)?.served.get(namespace);
  }

  /** A namespace is this container's. */
  add(container: ContainerInfo, namespace: number): TrackedContainer {
    const key = keyOf(container);
    if (this.#owners.get(namespace) !== key) {
      this.forget(namespace);
      this.#owners.set(namespace, key);
    }
    const known = this.#tracked.get(key);
    if (known !== undefined) {
      return known;
    }
    const tracked: TrackedContainer = {
      container,
      served: new Map(),
      reached: new Map(),
      remounts: new Remounts(this.now),
    };
    this.#tracked.set(key, tracked);
    return tracked;
  }

  /** A namespace has ended. True: it was the last of its container. */
  forget(namespace: number): boolean {
    const owner = this.#owners.get(namespace);
    this.#owners.delete(namespace);
    const tracked = owner === undefined ? undefined : this.#tracked.get(owner);
    if (owner === undefined || tracked === undefined) {
      return false;
    }
    tracked.served.delete(namespace);
    tracked.reached.delete(namespace);
    tracked.remounts.forget(namespace);
    if ([...tracked.reached.keys()].some((key) => this.#owners.get(key) === owner)) {
      return false;
    }
    this.#tracked.delete(owner);
    return true;
  }
}
