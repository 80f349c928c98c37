/** How often a file is mounted again after it was unmounted or covered. */
const MAX_REMOUNTS = 5;
/** The count of a file starts again if the file was not remounted for so long. */
const FORGIVE_MS = 3_600_000;
/** Paths that are remembered for one namespace. */
const MAX_PATHS = 1024;

interface Record {
  times: number;
  lastMs: number;
}

/**
 * Counts how often each file of a container was mounted again. A file that the container keeps unmounting is left
 * unmounted for a while; its other files are not affected.
 */
export class Remounts {
  static readonly forgivenAfterMs = FORGIVE_MS;
  readonly #byNamespace = new Map<number, Map<string, Record>>();

  constructor(readonly now: () => number) {}

  /** Counts files that were mounted again now; returns those that have reached the limit by that. */
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

  /** The paths of a namespace that have reached the limit and are not mounted again for now. */
  left(namespace: number): string[] {
    const now = this.now();
    return [...(this.#byNamespace.get(namespace) ?? [])]
      .filter(([, { times, lastMs }]) => times >= MAX_REMOUNTS && now - lastMs < FORGIVE_MS)
      .map(([path]) => path);
  }

  /**
   * Starts the counts of a namespace again for what is below the directories of CPUs and nodes: the kernel unmounts
   * that itself when one is no longer shown.
   */
  forgiveBelowCpus(namespace: number): void {
    const records = this.#byNamespace.get(namespace);
    for (const path of records?.keys() ?? []) {
      if (/^\/sys\/devices\/system\/(cpu|node)\//.test(path)) {
        records?.delete(path);
      }
    }
  }

  forget(namespace: number): void {
    this.#byNamespace.delete(namespace);
  }
}
