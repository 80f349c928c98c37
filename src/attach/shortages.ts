import type { Logger } from "../log.js";
import { printable } from "../text.js";

/** At most one line is logged in so long. */
const NEWS_MS = 30_000;

/** Counts how often descriptors, processes or memory were short. */
export class Shortages {
  count = 0;
  /** What was short last, and when (ms since the epoch). */
  last: { readonly what: string; readonly atMs: number } | undefined;

  #notedMs = Number.NEGATIVE_INFINITY;

  constructor(readonly log: Logger) {}

  note(what: string): void {
    const now = performance.now();
    const isNews = now - this.#notedMs > NEWS_MS;
    this.count += 1;
    this.last = { what, atMs: Date.now() };
    if (isNews) {
      this.#notedMs = now;
      this.log.warn({ reason: printable(what) }, "out of a resource, retrying");
    }
  }
}
