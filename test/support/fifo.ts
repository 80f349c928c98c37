import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoOf } from "../../src/errors.js";
import { outputSync } from "./command.js";
import { testName } from "./names.js";
import type { Scope } from "./scope.js";

/** A pipe with a name, of which nobody reads until a test does. */
export class Fifo {
  readonly path: string;
  /** Both ends, without which nobody could open the other one, and none of which ever waits. */
  readonly fd: number;
  #isClosed = false;

  constructor(scope: Scope) {
    const directory = mkdtempSync(join(tmpdir(), `${testName("fifo")}-`));
    scope.defer(() => rmSync(directory, { recursive: true }));
    this.path = join(directory, "fifo");
    outputSync(["mkfifo", this.path]);
    this.fd = openSync(this.path, constants.O_RDWR | constants.O_NONBLOCK);
    scope.defer(() => this.close());
  }

  /** From now on nobody may read who has not opened it. */
  close(): void {
    if (!this.#isClosed) {
      this.#isClosed = true;
      closeSync(this.fd);
    }
  }

  /** Leaves no room for a single byte. */
  fill(): void {
    for (const size of [4096, 1]) {
      while (this.#has(() => writeSync(this.fd, Buffer.alloc(size)))) {}
    }
  }

  /** Takes out what is in it now. */
  drain(): string {
    const chunks: Buffer[] = [];
    const readChunk = (): void => {
      const chunk = Buffer.alloc(4096);
      chunks.push(chunk.subarray(0, readSync(this.fd, chunk)));
    };
    while (this.#has(readChunk)) {}
    return Buffer.concat(chunks).toString();
  }

  /** Whether there was something to read, or room to write. */
  #has(act: () => unknown): boolean {
    try {
      act();
      return true;
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") {
        throw error;
      }
      return false;
    }
  }
}
