import { Worker } from "node:worker_threads";
import { installed } from "../layout.js";

/** A password to be checked, and where it came from. */
export interface Check {
  readonly id: number;
  readonly password: string;
  readonly hash: string;
  readonly address: string;
  /** 0: a unix socket. */
  readonly port: number;
}

export interface Verdict {
  readonly id: number;
  /** Undefined: not checked, because the client has too many checks waiting. */
  readonly isRight: boolean | undefined;
}

/** The other end of a connection. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** Checks that the thread may have at a time; further ones are refused. */
const MAX_IN_FLIGHT = 256;

/** The uid of the TCP socket with this local port, from the texts of /proc/net/tcp and tcp6; "" if there is none. */
export function userOf(port: number, tables: readonly string[]): string {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  for (const table of tables) {
    for (const line of table.split("\n")) {
      const words = line.trim().split(/\s+/);
      if (words[1]?.endsWith(suffix)) {
        return words[7] ?? "";
      }
    }
  }
  return "";
}

/** The part of a Worker that is used, for tests. */
type Thread = Pick<Worker, "on" | "postMessage" | "terminate" | "unref">;

function startThread(): Thread {
  return new Worker(installed("dist/password-thread.js"));
}

/** Checks passwords on a thread of its own, which the first check starts. */
export class PasswordThread {
  readonly #startThread: () => Thread;
  readonly #open = new Map<number, (isRight: boolean | undefined) => void>();
  #thread: Thread | undefined;
  #last = 0;

  /** `start` throws while the host has no thread to give. */
  constructor(start: () => Thread = startThread) {
    this.#startThread = start;
  }

  /**
   * Undefined: not checked, because the client or all clients together ask for too many, or no thread can be
   * started.
   */
  check(password: string, hash: string, { address, port }: Peer): Promise<boolean | undefined> {
    if (this.#open.size >= MAX_IN_FLIGHT) {
      return Promise.resolve(undefined);
    }
    let thread: Thread;
    try {
      thread = this.#start();
    } catch {
      // The next check tries again.
      return Promise.resolve(undefined);
    }
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve) => {
      this.#open.set(id, resolve);
      const check: Check = { id, password, hash, address, port };
      thread.postMessage(check);
    });
  }

  async close(): Promise<void> {
    await this.#thread?.terminate();
    this.#giveUp();
  }

  #start(): Thread {
    if (this.#thread !== undefined) {
      return this.#thread;
    }
    const thread = this.#startThread();
    thread.unref();
    thread.on("message", ({ id, isRight }: Verdict) => {
      this.#open.get(id)?.(isRight);
      this.#open.delete(id);
    });
    // A thread that fails emits both events, and the next check may start another one between them.
    const onEnd = (): void => {
      if (this.#thread === thread) {
        this.#giveUp();
      }
    };
    thread.on("error", onEnd);
    thread.on("exit", onEnd);
    this.#thread = thread;
    return thread;
  }

  /** Forgets the thread, and the checks that it will not answer any more. */
  #giveUp(): void {
    this.#thread = undefined;
    for (const resolve of this.#open.values()) {
      resolve(undefined);
    }
    this.#open.clear();
  }
}
