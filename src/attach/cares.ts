import type { ContainerInfo } from "../native/binding.js";
import { Heals } from "./heals.js";

/** What is remembered of one container. */
export interface Care {
  readonly container: ContainerInfo;
  /** The namespaces in which the files have been, each with the process it was found by. */
  readonly served: Map<number, number>;
  readonly heals: Heals;
}

/** The containers that are looked after, and which namespaces are theirs. */
export class Cares {
  readonly #cares = new Map<string, Care>();
  /** The container that a namespace belongs to. */
  readonly #owners = new Map<number, string>();

  constructor(readonly now: () => number) {}

  /** The process by which a namespace was found that has had the files. */
  servedBy(namespace: number): number | undefined {
    const owner = this.#owners.get(namespace);
    return owner === undefined ? undefined : this.#cares.get(owner)?.served.get(namespace);
  }

  /** A namespace is this container's. */
  add(container: ContainerInfo, namespace: number): Care {
    this.#owners.set(namespace, container.id);
    const known = this.#cares.get(container.id);
    if (known?.container.init === container.init) {
      return known;
    }
    const care: Care = { container, served: new Map(), heals: new Heals(this.now) };
    this.#cares.set(container.id, care);
    return care;
  }

  /** A namespace has ended. True: it was the last of its container. */
  forget(namespace: number): boolean {
    const owner = this.#owners.get(namespace);
    this.#owners.delete(namespace);
    const care = owner === undefined ? undefined : this.#cares.get(owner);
    if (owner === undefined || care === undefined) {
      return false;
    }
    care.served.delete(namespace);
    care.heals.forget(namespace);
    if ([...care.served.keys()].some((key) => this.#owners.get(key) === owner)) {
      return false;
    }
    this.#cares.delete(owner);
    return true;
  }
}
