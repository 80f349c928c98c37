/** How often a file is mounted again after it was unmounted or covered. */
const MAX_REMOUNTS = 5;
/**
 * The same in one hour for what is below the directory of a CPU or node: the kernel itself unmounts that when one is no
 * longer shown, because a limit was lowered.
 */
const MAX_REMOUNTS_OF_CPU = 60;
const OF_CPU = /^\/sys\/devices\/system\/(cpu\/(cpu|cpufreq\/policy)|node\/node)\d+(\/|$)/;
/** The count of a file starts again if the file was not remounted for so long. */
const FORGIVE_MS = 3_600_000;
/**
 * With so many paths of one namespace that are remembered, no other below the directory of a CPU or node is: the helper
 * may mount more of these again than it is worth to remember, and the tenant pays for it. Of others our tree has few, but
 * a container may cover files of ours in its own sysfs.
 */
const MAX_PATHS = 1024;
const MAX_ALL_PATHS = 2 * MAX_PATHS;

interface Record {
  readonly times: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly isOfCpu: boolean;
}

function hasReached({ times, isOfCpu }: Record): boolean {
  return times >= (isOfCpu ? MAX_REMOUNTS_OF_CPU : MAX_REMOUNTS);
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
      const isOfCpu = known?.isOfCpu ?? OF_CPU.test(path);
      const sinceMs = isOfCpu ? known?.firstMs : known?.lastMs;
      const goesOn = known !== undefined && sinceMs !== undefined && now - sinceMs < FORGIVE_MS;
      const record = goesOn
        ? { ...known, times: known.times + 1, lastMs: now }
        : { times: 1, firstMs: now, lastMs: now, isOfCpu };
      if (known !== undefined || records.size < (isOfCpu ? MAX_PATHS : MAX_ALL_PATHS)) {
        records.set(path, record);
      }
      if (hasReached(record) && !(goesOn && hasReached(known))) {
        left.push(path);
      }
    }
    return left;
  }

  /** The paths of a namespace that have reached the limit and are not mounted again for now. */
  left(namespace: number): string[] {
    const now = this.now();
    return [...(this.#byNamespace.get(namespace) ?? [])]
      .filter(([, record]) => hasReached(record) && now - record.lastMs < FORGIVE_MS)
      .map(([path]) => path);
  }

  forget(namespace: number): void {
    this.#byNamespace.delete(namespace);
  }
}
