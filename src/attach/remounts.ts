/** How often a file comes back after it was taken away or covered. */
const MAX_REMOUNTS = 5;
/** A file that is left in peace for so long is given back again. */
const FORGIVE_MS = 3_600_000;
/** Paths of one namespace that are remembered. */
const MAX_PATHS = 1024;

interface Record {
  times: number;
  lastMs: number;
}

/**
 * How often each file of a container was given back. A container that keeps taking one away keeps
 * its will about that one, for a while; its other files are none the worse for it.
 */
export class Remounts {
  static readonly forgivenAfterMs = FORGIVE_MS;
  readonly #byNamespace = new Map<number, Map<string, Record>>();

  constructor(readonly now: () => number) {}

  /** Counts what was given back now; returns the paths that are left as they are from now on. */
  count(namespace: number, paths: readonly string[]): string[] {
    const records = this.#byNamespace.get(namespace) ?? new Map<string, Record>();
    this.#byNamespace.set(namespace, records);
    const now = this.now();
    const left: string[] = [];
    for (const path of paths) {
      const known = records.get(path);
      const times = known !== undefined && now - known.lastMs < FORGIVE_MS ? known.times + 1 : 1;
      if (known !== undefined || records.size < MAX_PATHS) {
        records.set(path, { times, lastMs: now });
      }
      if (times === MAX_REMOUNTS) {
        left.push(path);
      }
    }
    return left;
  }

  /** The paths of a namespace that are left as they are. */
  left(namespace: number): string[] {
    const now = this.now();
    return [...(this.#byNamespace.get(namespace) ?? [])]
      .filter(([, { times, lastMs }]) => times >= MAX_REMOUNTS && now - lastMs < FORGIVE_MS)
      .map(([path]) => path);
  }

  forget(namespace: number): void {
    this.#byNamespace.delete(namespace);
  }
}
