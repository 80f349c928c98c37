import { allProcesses } from "../processes.js";
import { namespacesOf } from "./namespaces.js";

/** Pause after a scan of all processes: at least this long, and this many times as long as the scan took. */
const SCAN_REST_MS = 1000;
const SCAN_REST_FACTOR = 20;
/** Processes that are read before other events of Node have a turn. */
const SCAN_BATCH = 250;

export interface ProcessScanOptions {
  /** Called for each mount namespace, with one process in it. */
  readonly onNamespace: (pid: number, namespace: number) => void;
  readonly after: (ms: number, action: () => void) => void;
  /** The scan failed; another one follows. */
  readonly onError: (error: unknown) => void;
  readonly now: () => number;
}

/** Scans all processes in batches, so that other events are handled in between. */
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
