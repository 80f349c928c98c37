/** Delayed actions that one tenant may have. */
const MAX_PENDING = 1024;

/** Actions that run after a delay, unless stop() is called first. */
export class DelayedVisits {
  /** The keys of pending actions, by tenant. */
  readonly #keys = new Map<number, Set<string>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopped = false;

  /** `onError` gets what an action throws. */
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

  /** Adds an action, unless its key is pending already. False: the tenant has too many. */
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

  /** Whether a tenant has pending actions. */
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
