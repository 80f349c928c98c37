import { allProcesses } from "../processes.js";
import { namespacesOf } from "./namespaces.js";

/** A look at all processes: not more often than this, and for a small share of the time. */
const AROUND = { restMs: 1000, restFactor: 20, atOnce: 250 } as const;

export interface LookAroundOptions {
  /** Told of each mount namespace and of one process in it. */
  readonly meet: (pid: number, namespace: number) => void;
  readonly after: (ms: number, action: () => void) => void;
  /** Not all could be looked at; it is tried again. */
  readonly onError: (error: unknown) => void;
  readonly now: () => number;
}

/** Looks at every process, a part at a time: serving and other events go on. */
export class LookAround {
  readonly #options: LookAroundOptions;
  #state: "no" | "under way" | "again" = "no";
  #stopped = false;
  /** Resolves when the last look has ended. */
  looked: Promise<void> = Promise.resolve();

  constructor(options: LookAroundOptions) {
    this.#options = options;
  }

  begin(): void {
    if (this.#state === "no") {
      this.#state = "under way";
      this.looked = this.#lookAtAll();
    } else {
      this.#state = "again";
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  async #lookAtAll(): Promise<void> {
    const { meet, after, onError, now } = this.#options;
    const begun = now();
    let isWhole = true;
    try {
      const pids = allProcesses();
      const first = new Map<number, number>();
      for (let at = 0; at < pids.length && !this.#stopped; at += AROUND.atOnce) {
        namespacesOf(pids.slice(at, at + AROUND.atOnce), first);
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (const [namespace, pid] of first) {
        meet(pid, namespace);
      }
    } catch (error) {
      isWhole = false;
      onError(error);
    }
    after(Math.max(AROUND.restMs, AROUND.restFactor * (now() - begun)), () => {
      const again = !isWhole || this.#state === "again";
      this.#state = "no";
      if (again) {
        this.begin();
      }
    });
  }
}
