/** A bucket of tokens: a few at once, then as many as drop in. */
export class Bucket {
  #tokens: number;
  #filledMs: number;

  constructor(
    readonly capacity: number,
    readonly perSecond: number,
    readonly now: () => number,
  ) {
    this.#tokens = capacity;
    this.#filledMs = now();
  }

  /** Takes one token; false when there is none. */
  take(): boolean {
    const now = this.now();
    const dropped = ((now - this.#filledMs) / 1000) * this.perSecond;
    this.#tokens = Math.min(this.capacity, this.#tokens + dropped);
    this.#filledMs = now;
    if (this.#tokens < 1) {
      return false;
    }
    this.#tokens -= 1;
    return true;
  }
}

/** Runs jobs, at most `most` at a time and one per key; a job that waits is not queued twice. */
export class Queue<K> {
  readonly #waiting = new Map<K, () => Promise<void>>();
  readonly #running = new Set<K>();
  #idle: (() => void)[] = [];

  /** `onError` is told of jobs that reject. */
  constructor(
    readonly most: number,
    readonly onError: (error: unknown) => void,
  ) {}

  add(key: K, job: () => Promise<void>): void {
    this.#waiting.set(key, job);
    this.#next();
  }

  /** Drops what waits, and resolves when nothing runs. */
  async close(): Promise<void> {
    this.#waiting.clear();
    await this.idle();
  }

  /** Resolves when nothing waits or runs. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#settle();
    });
  }

  #settle(): void {
    if (this.#waiting.size === 0 && this.#running.size === 0) {
      for (const resolve of this.#idle.splice(0)) {
        resolve();
      }
    }
  }

  #next(): void {
    for (const [key, job] of this.#waiting) {
      if (this.#running.size >= this.most) {
        break;
      }
      if (!this.#running.has(key)) {
        this.#waiting.delete(key);
        this.#running.add(key);
        void job()
          .catch(this.onError)
          .finally(() => {
            this.#running.delete(key);
            this.#next();
            this.#settle();
          });
      }
    }
  }
}
