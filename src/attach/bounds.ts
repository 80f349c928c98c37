/** Helpers at a time, so that 200 containers that start together do not start 200 helpers together. */
export const AT_A_TIME = 8;
/** A helper takes some milliseconds. One that takes longer than this has much to do, or hangs. */
export const SLOW = { slowMs: 250, maxSlow: 64 } as const;

/** For work that is done once for all containers: it has a deadline as a whole, and no budget for each tenant. */
export const ONCE_FOR_ALL = {
  concurrency: AT_A_TIME,
  ...SLOW,
  atOnce: 2 ** 30,
  perSecond: 2 ** 30,
  freeMs: 2 ** 30,
  share: 1,
} as const;

/** A token bucket: `capacity` tokens at once, then `perSecond`. */
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

  /** Takes one token; false: there is none. */
  take(): boolean {
    this.#fill();
    if (this.#tokens < 1) {
      return false;
    }
    this.#tokens -= 1;
    return true;
  }

  /** Time until there is a token; 0: there is one now. */
  waitMs(): number {
    this.#fill();
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) / this.perSecond) * 1000);
  }

  isFull(): boolean {
    this.#fill();
    return this.#tokens >= this.capacity;
  }
}

/** Resolves to what the job has cost, in ms of CPU time; undefined: not known, and not charged. */
type Job = () => Promise<number | undefined>;

export interface FairQueueOptions {
  /** Jobs at a time. */
  readonly concurrency: number;
  /** A job that takes longer is slow and does not count towards `concurrency` any more. */
  readonly slowMs: number;
  /** How many slow jobs do not count; further ones do. */
  readonly maxSlow: number;
  /** Jobs of one tenant: this many at once, then `perSecond`. */
  readonly atOnce: number;
  readonly perSecond: number;
  /** Cost of one tenant's jobs: this many ms at once, then `share` of the time. */
  readonly freeMs: number;
  readonly share: number;
  /** Called with the error of a job that rejects. */
  readonly onError: (error: unknown) => void;
  readonly now?: () => number;
}

interface TenantQueue<K> {
  readonly waiting: Map<K, Job>;
  readonly bucket: Bucket;
  isRunning: boolean;
  /** When its share will have paid for its jobs so far. */
  paidMs: number;
  restsUntilMs: number;
}

/**
 * Runs jobs of tenants: one at a time for each tenant, and the tenants take turns. Expensive jobs of one
 * tenant, or jobs that never end, hardly delay the others.
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

  /** Adds a job. It replaces a waiting job of the same tenant and key. */
  add(tenant: T, key: K, job: Job): void {
    this.#queueOf(tenant).waiting.set(key, job);
    this.#next();
  }

  /** Removes a waiting job. False: there is none. */
  remove(tenant: T, key: K): boolean {
    if (this.#queues.get(tenant)?.waiting.delete(key) !== true) {
      return false;
    }
    this.#settle();
    return true;
  }

  /** How many jobs of the tenant wait. */
  waitingOf(tenant: T): number {
    return this.#queues.get(tenant)?.waiting.size ?? 0;
  }

  /** Starts no job of the tenant for `ms`. */
  rest(tenant: T, ms: number): void {
    const queue = this.#queueOf(tenant);
    queue.restsUntilMs = Math.max(queue.restsUntilMs, this.#now() + ms);
  }

  /** The numbers of waiting and of running jobs, and how many of those are slow. */
  state(): { readonly waiting: number; readonly running: number; readonly slow: number } {
    let waiting = 0;
    for (const queue of this.#queues.values()) {
      waiting += queue.waiting.size;
    }
    return { waiting, running: this.#running, slow: this.#slow };
  }

  /** Drops all waiting jobs. */
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

  /** Time until a tenant's next job may start. */
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

  /** Forgets a tenant without jobs once its budget is full again. */
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
    // To the end of the line: all tenants that wait now have their turns first.
    this.#queues.delete(tenant);
    this.#queues.set(tenant, queue);
    queue.paidMs = Math.max(queue.paidMs, this.#now()) + (cost ?? 0) / this.#options.share;
    this.#next();
    this.#settle();
  }
}
