import { allProcesses } from "../processes.js";
import { namespacesOf } from "./namespaces.js";

/** A scan of all processes: not more often than this, and for a small share of the time. */
const SCAN_REST_MS = 1000;
const SCAN_REST_FACTOR = 20;
/** Processes that are looked at before other events get a turn. */
const SCAN_BATCH = 250;

export interface ProcessScanOptions {
  /** Told of each mount namespace and of one process in it. */
  readonly onNamespace: (pid: number, namespace: number) => void;
  readonly after: (ms: number, action: () => void) => void;
  /** Not all could be looked at; it is tried again. */
  readonly onError: (error: unknown) => void;
  readonly now: () => number;
}

/** Looks at every process, a part at a time: serving and other events go on. */
export class ProcessScan {
  readonly #options: ProcessScanOptions;
  #state: "no" | "under way" | "again" = "no";
  #stopped = false;
  /** Resolves when the last scan has ended. */
  scanned: Promise<void> = Promise.resolve();

  constructor(options: ProcessScanOptions) {
    this.#options = options;
  }

  begin(): void {
    if (this.#state === "no") {
      this.#state = "under way";
      this.scanned = this.#scanAll();
    } else {
      this.#state = "again";
    }
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
      const first = new Map<number, number>();
      for (let at = 0; at < pids.length && !this.#stopped; at += SCAN_BATCH) {
        namespacesOf(pids.slice(at, at + SCAN_BATCH), first);
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (const [namespace, pid] of first) {
        onNamespace(pid, namespace);
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
