import type { Logger } from "../log.js";

/** Lines about one tenant in an hour; one more says that others are left out. */
const MAX_LINES = 200;
const HOUR_MS = 3_600_000;

interface Hour {
  readonly beganMs: number;
  lines: number;
}

/** What a line is about. */
type About = Readonly<Record<string, unknown>>;

/**
 * The log of what is done about containers. Each tenant has its lines in it: with new namespaces it could otherwise fill
 * the journal, from which everybody else's lines would go.
 */
export class TenantLog {
  readonly #log: Logger;
  readonly #now: () => number;
  /** By tenant, the hour that began first before the others. */
  readonly #hours = new Map<number, Hour>();

  constructor(log: Logger, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  info(tenant: number, about: About, message: string): void {
    if (this.#mayTell(tenant, about)) {
      this.#log.info(about, message);
    }
  }

  warn(tenant: number, about: About, message: string): void {
    if (this.#mayTell(tenant, about)) {
      this.#log.warn(about, message);
    }
  }

  #mayTell(tenant: number, { container }: About): boolean {
    const hour = this.#hourOf(tenant);
    hour.lines += 1;
    if (hour.lines === MAX_LINES + 1) {
      this.#log.warn(
        { container, lines: MAX_LINES },
        "too many lines about this container and what is in it: leaving out more for an hour",
      );
    }
    return hour.lines <= MAX_LINES;
  }

  #hourOf(tenant: number): Hour {
    const now = this.#now();
    for (const [other, { beganMs }] of this.#hours) {
      if (now - beganMs < HOUR_MS) {
        break;
      }
      this.#hours.delete(other);
    }
    const known = this.#hours.get(tenant);
    if (known !== undefined) {
      return known;
    }
    const hour = { beganMs: now, lines: 0 };
    this.#hours.set(tenant, hour);
    return hour;
  }
}
