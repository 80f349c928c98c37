import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../errors.js";
import type { ContainerIdentity } from "../native/binding.js";
import { allProcesses, knownStatField, statField } from "../processes.js";
import {
  containerOf,
  type Identify,
  type MountNamespace,
  mountNamespaceOf,
  pidNamespaceOf,
} from "./namespaces.js";

/**
 * One empty file, "<PID>-<start in ticks>" of its first process, for each container that an operator has detached or
 * whose own configuration excludes it. native/attach/hook.cc adds and removes files too. A container that shares the
 * PID namespace of another one has that one's init, so only the cgroup of the process says whose a file is.
 */
const DIRECTORY = "/run/vprocfs/left-alone";

const START_TIME = 22;

/** Throws if it is not known whether the process has ended. */
function nameOf(init: number): string | undefined {
  const start = knownStatField(init, START_TIME);
  return start === undefined ? undefined : `${init}-${start}`;
}

/** Throws if that is not known: a container that an operator has detached would be attached again. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    // No container was ever left alone.
    if (errnoOf(error) === "ENOENT") {
      return [];
    }
    throw error;
  }
}

function pidIn(name: string): number {
  return Number(name.split("-", 1)[0]);
}

/** False also if that cannot be found out. */
function hasEnded(name: string): boolean {
  try {
    return nameOf(pidIn(name)) !== name;
  } catch {
    return false;
  }
}

/** Removes the files of containers that have ended. */
export function forgetEnded(directory = DIRECTORY): void {
  for (const name of namesIn(directory)) {
    if (hasEnded(name)) {
      rmSync(join(directory, name), { force: true });
    }
  }
}

type Container = Pick<ContainerIdentity, "id" | "init">;

/** Which containers the watcher leaves alone. */
export class LeftAlone {
  /** The PID namespaces of the processes that files name, by name. A process keeps its own. */
  readonly #places = new Map<string, number>();

  constructor(
    readonly identify: Identify<ContainerIdentity>,
    readonly directory = DIRECTORY,
  ) {}

  /** Throws if it is not known, because something is short. */
  has(container: Container): boolean {
    return this.#namesOf(this.#byPlace(), container).length > 0;
  }

  /** has() for many containers, as the directory is now: it is read once, and this throws if it cannot be. */
  now(): (container: Container) => boolean {
    const names = this.#byPlace();
    return (container) => {
      try {
        return this.#namesOf(names, container).length > 0;
      } catch {
        // Most likely it is the one that the file is about.
        return true;
      }
    };
  }

  /** Tells the watcher whether to leave a container alone from now on. `namespaces` are all of the container. */
  set(container: Container, leave: boolean, namespaces: readonly MountNamespace[]): void {
    if (!leave) {
      for (const name of this.#namesOf(this.#byPlace(), container)) {
        rmSync(join(this.directory, name), { force: true });
      }
      return;
    }
    const first = this.#firstProcess(container, namespaces);
    const name = first === undefined ? undefined : nameOf(first);
    if (name !== undefined) {
      mkdirSync(this.directory, { recursive: true, mode: 0o700 });
      writeFileSync(join(this.directory, name), "", { mode: 0o600 });
    }
  }

  /** The names in the directory, by the PID namespace of the process. */
  #byPlace(): Map<number, string[]> {
    const names = new Set(namesIn(this.directory));
    for (const name of this.#places.keys()) {
      if (!names.has(name)) {
        this.#places.delete(name);
      }
    }
    const byPlace = new Map<number, string[]>();
    for (const name of names) {
      const place = this.#places.get(name) ?? pidNamespaceOf(pidIn(name));
      if (place !== undefined) {
        this.#places.set(name, place);
        byPlace.set(place, [...(byPlace.get(place) ?? []), name]);
      }
    }
    return byPlace;
  }

  /** The names that are about a container. */
  #namesOf(byPlace: ReadonlyMap<number, readonly string[]>, container: Container): string[] {
    const place = pidNamespaceOf(container.init);
    const names = place === undefined ? [] : (byPlace.get(place) ?? []);
    return names.filter((name) => {
      const pid = pidIn(name);
      return nameOf(pid) === name && this.#isOf(pid, container);
    });
  }

  #isOf(pid: number, { id, init }: Container): boolean {
    const found = containerOf(this.identify, pid);
    return found === undefined ? pid === init : found.id === id;
  }

  /** Undefined: it has ended. The init may be that of a container which shares its PID namespace. */
  #firstProcess(container: Container, namespaces: readonly MountNamespace[]): number | undefined {
    const { init } = container;
    if (this.#isOf(init, container)) {
      return init;
    }
    const keys = new Set<number | undefined>(namespaces.map(({ key }) => key));
    const first = allProcesses()
      .filter((pid) => keys.has(mountNamespaceOf(pid)))
      .map((pid) => ({ pid, start: Number(statField(pid, START_TIME)) }))
      .sort((a, b) => a.start - b.start)
      .find(({ pid }) => this.#isOf(pid, container));
    return first?.pid;
  }
}
