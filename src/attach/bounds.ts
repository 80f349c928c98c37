/** Helpers at a time: a start of 200 containers must not be a start of 200 more processes. */
export const AT_A_TIME = 8;
/** A helper takes some milliseconds: one that takes longer has much to do, or hangs. */
export const SLOW = { slowMs: 250, maxSlow: 64 } as const;

/** For what is done once to all: only how long it may take in all bounds what tenants take. */
export const ONCE_FOR_ALL = {
  concurrency: AT_A_TIME,
  ...SLOW,
  atOnce: 2 ** 30,
  perSecond: 2 ** 30,
  freeMs: 2 ** 30,
  share: 1,
} as const;

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

  #fill(): void {
    const now = this.now();
    const dropped = ((now - this.#filledMs) / 1000) * this.perSecond;
    this.#tokens = Math.min(this.capacity, this.#tokens + dropped);
    this.#filledMs = now;
  }

  /** Takes one token; false when there is none. */
  take(): boolean {
    this.#fill();
    if (this.#tokens < 1) {
      return false;
    }
    this.#tokens -= 1;
    return true;
  }

  /** How long until there is a token; 0: there is one. */
  waitMs(): number {
    this.#fill();
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) / this.perSecond) * 1000);
  }

  isFull(): boolean {
    this.#fill();
    return this.#tokens >= this.capacity;
  }
}

/** What a job has cost, ms of CPU time; undefined: nothing that anybody knows of. */
export type Job = () => Promise<number | undefined>;

export interface FairQueueOptions {
  /** Jobs at a time. */
  readonly concurrency: number;
  /** A job that takes longer has no place among them any more, so that it is nobody's but its own. */
  readonly slowMs: number;
  /** Such jobs at a time; beyond, they take places. */
  readonly maxSlow: number;
  /** Jobs of one tenant: so many at once, then so many a second. */
  readonly atOnce: number;
  readonly perSecond: number;
  /** What the jobs of one tenant may cost at once, ms, and the share of its time after that. */
  readonly freeMs: number;
  readonly share: number;
  /** Told of jobs that reject. */
  readonly onError: (error: unknown) => void;
  readonly now?: () => number;
}

interface TenantQueue<K> {
  readonly waiting: Map<K, Job>;
  readonly bucket: Bucket;
  isRunning: boolean;
  /** When its jobs will have cost no more than its share. */
  paidMs: number;
  restsUntilMs: number;
}

/**
 * Runs jobs of tenants: one at a time for each, and the tenants take turns. Whatever the jobs of one
 * cost, and if they never end, those of another wait for no longer than it takes to start one.
 */
export class FairQueue<T, K> {
  readonly #options: FairQueueOptions;
  readonly #now: () => number;
  /** In the order of their turns. */
  readonly #queues = new Map<T, TenantQueue<K>>();
  #running = 0;
  #slow = 0;
  #timer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  constructor(options: FairQueueOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** A job that waits is replaced by a later one with its key. */
  add(tenant: T, key: K, job: Job): void {
    this.#queueOf(tenant).waiting.set(key, job);
    this.#next();
  }

  /** Whether a job of a tenant waits. */
  hasWaiting(tenant: T): boolean {
    return (this.#queues.get(tenant)?.waiting.size ?? 0) > 0;
  }

  /** Has no job of a tenant start for a while. */
  rest(tenant: T, ms: number): void {
    const queue = this.#queueOf(tenant);
    queue.restsUntilMs = Math.max(queue.restsUntilMs, this.#now() + ms);
  }

  /** Jobs that wait and that run, and those of them that are slow. */
  state(): { readonly waiting: number; readonly running: number; readonly slow: number } {
    let waiting = 0;
    for (const queue of this.#queues.values()) {
      waiting += queue.waiting.size;
    }
    return { waiting, running: this.#running, slow: this.#slow };
  }

  /** Drops what waits. */
  drop(): void {
    for (const queue of this.#queues.values()) {
      queue.waiting.clear();
    }
    this.#settle();
  }

  /** Resolves to true when nothing waits or runs, to false when something still does after `ms`. */
  async idleWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), ms);
    });
    const isIdle = await Promise.race([this.idle().then(() => true), late]);
    clearTimeout(timer);
    return isIdle;
  }

  /** Resolves when nothing waits or runs. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#settle();
    });
  }

  #queueOf(tenant: T): TenantQueue<K> {
    const known = this.#queues.get(tenant);
    if (known !== undefined) {
      return known;
    }
    const { atOnce, perSecond } = this.#options;
    const queue: TenantQueue<K> = {
      waiting: new Map(),
      bucket: new Bucket(atOnce, perSecond, this.#now),
      isRunning: false,
      paidMs: 0,
      restsUntilMs: 0,
    };
    this.#queues.set(tenant, queue);
    return queue;
  }

  #settle(): void {
    const { waiting, running } = this.state();
    if (waiting === 0 && running === 0) {
      for (const resolve of this.#idle.splice(0)) {
        resolve();
      }
    }
  }

  /** How long until a tenant's next job may start. */
  #waitMs(queue: TenantQueue<K>): number {
    const now = this.#now();
    const { freeMs, share } = this.#options;
    const owes = queue.paidMs - now - freeMs / share;
    return Math.max(0, owes, queue.restsUntilMs - now, queue.bucket.waitMs());
  }

  #hasPlace(): boolean {
    const { concurrency, maxSlow } = this.#options;
    return this.#running - Math.min(this.#slow, maxSlow) < concurrency;
  }

  #next(): void {
    let soonest = Number.POSITIVE_INFINITY;
    for (const [tenant, queue] of [...this.#queues]) {
      if (queue.isRunning) {
        continue;
      }
      const wait = this.#waitMs(queue);
      if (queue.waiting.size === 0) {
        this.#forget(tenant, queue, wait);
      } else if (wait > 0) {
        soonest = Math.min(soonest, wait);
      } else if (this.#hasPlace()) {
        this.#start(tenant, queue);
      }
    }
    clearTimeout(this.#timer);
    if (Number.isFinite(soonest)) {
      this.#timer = setTimeout(() => this.#next(), Math.ceil(soonest));
      this.#timer.unref();
    }
  }

  /** Nothing is to be remembered of a tenant that owes nothing. */
  #forget(tenant: T, queue: TenantQueue<K>, wait: number): void {
    if (wait === 0 && queue.paidMs <= this.#now() && queue.bucket.isFull()) {
      this.#queues.delete(tenant);
    }
  }

  #start(tenant: T, queue: TenantQueue<K>): void {
    const [first] = queue.waiting;
    if (first === undefined) {
      return;
    }
    const [key, job] = first;
    queue.waiting.delete(key);
    queue.bucket.take();
    queue.isRunning = true;
    this.#running += 1;
    void this.#run(tenant, queue, job);
  }

  async #run(tenant: T, queue: TenantQueue<K>, job: Job): Promise<void> {
    let isSlow = false;
    const timer = setTimeout(() => {
      isSlow = true;
      this.#slow += 1;
      this.#next();
    }, this.#options.slowMs);
    timer.unref();
    let cost: number | undefined;
    try {
      cost = await job();
    } catch (error) {
      this.#options.onError(error);
    }
    clearTimeout(timer);
    if (isSlow) {
      this.#slow -= 1;
    }
    this.#running -= 1;
    queue.isRunning = false;
    // Its next turn comes after those of all who wait by now.
    this.#queues.delete(tenant);
    this.#queues.set(tenant, queue);
    queue.paidMs = Math.max(queue.paidMs, this.#now()) + (cost ?? 0) / this.#options.share;
    this.#next();
    this.#settle();
  }
}
