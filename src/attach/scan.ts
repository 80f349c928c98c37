import { allProcesses } from "../processes.js";
import { Bucket } from "./bounds.js";
import { walkNamespaces } from "./namespaces.js";

/** Pause after a scan of all processes: at least this long, and this many times as long as the scan took. */
const SCAN_REST_MS = 1000;
const SCAN_REST_FACTOR = 20;
/**
 * Scans for what may be left in namespaces: containers decide how often their processes end, and what a scan
 * costs is charged to none of them. One scan serves all that have asked meanwhile, so nobody can take it from
 * another; this many at once and then this many a second bound what all containers together can cause.
 */
const SPARING = { atOnce: 5, perSecond: 0.05 } as const;
/** Processes that are read before other events of Node have a turn. */
const SCAN_BATCH = 250;

interface ProcessScanOptions {
  /**
   * Called for each mount namespace, with one process in it. False: it has ended; another one of the namespace
   * follows.
   */
  readonly onNamespace: (pid: number, namespace: number) => boolean;
  readonly after: (ms: number, action: () => void) => void;
  /** The scan failed; another one follows. */
  readonly onError: (error: unknown) => void;
  readonly now: () => number;
}

/** Scans all processes in batches, so that other events are handled in between. */
export class ProcessScan {
  readonly #options: ProcessScanOptions;
  #state: "no" | "under way" | "again" = "no";
  readonly #sparing: Bucket;
  #isAsked = false;
  #stopped = false;
  /** Resolves when the last scan has ended. */
  scanned: Promise<void> = Promise.resolve();

  constructor(options: ProcessScanOptions) {
    this.#options = options;
    this.#sparing = new Bucket(SPARING.atOnce, SPARING.perSecond, options.now);
  }

  /** Begins a scan, or has another one follow the one that is under way. */
  begin(): void {
    if (this.#state === "no") {
      this.#state = "under way";
      this.scanned = this.#scanAll();
    } else {
      this.#state = "again";
    }
  }

  /**
   * The same, once SPARING allows it: a process has ended by which a namespace was known, and others may be in
   * it.
   */
  beginSparingly(): void {
    if (this.#isAsked) {
      return;
    }
    this.#isAsked = true;
    this.#options.after(this.#sparing.waitMs(), () => {
      this.#isAsked = false;
      this.#sparing.take();
      this.begin();
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  async #scanAll(): Promise<void> {
    const { onNamespace, after, onError, now } = this.#options;
    const begun = now();
    let isWhole = true;
    try {
      const pids = allProcesses();
      const settled = new Set<number>();
      for (let at = 0; at < pids.length && !this.#stopped; at += SCAN_BATCH) {
        walkNamespaces(pids.slice(at, at + SCAN_BATCH), settled, onNamespace);
        await new Promise((resolve) => setImmediate(resolve));
      }
    } catch (error) {
      isWhole = false;
      onError(error);
    }
    after(Math.max(SCAN_REST_MS, SCAN_REST_FACTOR * (now() - begun)), () => {
      const again = !isWhole || this.#state === "again";
      this.#state = "no";
      if (again) {
        this.begin();
      }
    });
  }
}
