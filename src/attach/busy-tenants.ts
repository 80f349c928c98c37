import { HELPER_MS } from "./helper.js";

/** A helper ends within HELPER_MS, or it hangs. */
const HANGS_AFTER_MS = HELPER_MS + 1000;

interface Busy {
  readonly sinceMs: number;
  readonly waitMs: number;
  readonly hangs: boolean;
}

/**
 * The tenants for which another helper works: one of another vprocfs, during a takeover, or one that was given up and
 * cannot end.
 */
export class BusyTenants {
  readonly #busy = new Map<number, Busy>();

  /** Waits are `firstMs` at first, twice as long each time, and `maxMs` at most. */
  constructor(
    readonly firstMs: number,
    readonly maxMs: number,
    readonly now: () => number,
  ) {}

  /** The number of tenants with a helper that hangs. */
  get hung(): number {
    return [...this.#busy.values()].filter(({ hangs }) => hangs).length;
  }

  /**
   * A helper found another one at work. Returns how long to wait before the next try, and whether the other one has
   * just been found to hang.
   */
  note(tenant: number): { readonly waitMs: number; readonly hangsNow: boolean } {
    const now = this.now();
    const before = this.#busy.get(tenant);
    const waitMs = Math.min(this.maxMs, before === undefined ? this.firstMs : before.waitMs * 2);
    const sinceMs = before?.sinceMs ?? now;
    const hangs = now - sinceMs >= HANGS_AFTER_MS;
    this.#busy.set(tenant, { sinceMs, waitMs, hangs });
    return { waitMs, hangsNow: hangs && before?.hangs !== true };
  }

  /** The other one has ended, or nobody would find out that it has. */
  forget(tenant: number): void {
    this.#busy.delete(tenant);
  }
}
