/** Namespaces of one tenant to which something is to be done later. */
const MAX_PENDING = 1024;

/** What is to be done after a while, unless all is stopped by then. */
export class DelayedVisits {
  /** Of each tenant. */
  readonly #keys = new Map<number, Set<string>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopped = false;

  /** Nothing that is done here throws: `onError` is told. */
  constructor(readonly onError: (error: unknown) => void) {}

  after(ms: number, action: () => void): void {
    if (this.#stopped) {
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      try {
        action();
      } catch (error) {
        this.onError(error);
      }
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }

  /** Once for each key of a tenant. False: it has too many. */
  add(tenant: number, key: string, ms: number, action: () => void): boolean {
    const keys = this.#keys.get(tenant) ?? new Set<string>();
    if (keys.has(key)) {
      return true;
    }
    if (keys.size >= MAX_PENDING) {
      return false;
    }
    this.#keys.set(tenant, keys.add(key));
    this.after(ms, () => {
      keys.delete(key);
      if (keys.size === 0) {
        this.#keys.delete(tenant);
      }
      action();
    });
    return true;
  }

  /** Whether there is something of a tenant. */
  has(tenant: number): boolean {
    return this.#keys.has(tenant);
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    this.#timers.clear();
  }
}
