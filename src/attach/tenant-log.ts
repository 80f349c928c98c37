import type { Logger } from "../log.js";

/** Lines of a level about one tenant in an hour; one more says that others are left out. */
const MAX_LINES = { info: 200, warn: 50 } as const;
const WHAT = { info: "lines", warn: "warnings" } as const;
const HOUR_MS = 3_600_000;

type Level = keyof typeof MAX_LINES;

interface Hour {
  readonly beganMs: number;
  readonly lines: Record<Level, number>;
}

/** What a line is about. */
type About = Readonly<Record<string, unknown>>;

/**
 * The log of what is done about containers. Each tenant has its lines in it: with new namespaces it could otherwise fill
 * the journal, from which everybody else's lines would go. Warnings have their own, so that what is only told does not use
 * them up.
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
    this.#tell("info", tenant, about, message);
  }

  warn(tenant: number, about: About, message: string): void {
    this.#tell("warn", tenant, about, message);
  }

  #tell(level: Level, tenant: number, about: About, message: string): void {
    // A line that nobody sees uses none up, and none is said to be left out.
    if (!this.#log.isLevelEnabled(level)) {
      return;
    }
    const { lines } = this.#hourOf(tenant);
    lines[level] += 1;
    if (lines[level] <= MAX_LINES[level]) {
      this.#log[level](about, message);
    } else if (lines[level] === MAX_LINES[level] + 1) {
      this.#log.warn(
        { container: about.container, lines: MAX_LINES[level] },
        `too many ${WHAT[level]} about this container and those in it: leaving out more for an hour`,
      );
    }
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
    const hour = { beganMs: now, lines: { info: 0, warn: 0 } };
    this.#hours.set(tenant, hour);
    return hour;
  }
}
