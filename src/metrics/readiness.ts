import { statfs } from "node:fs/promises";
import { messageOf } from "../errors.js";
import { within } from "../within.js";

/** <linux/magic.h> */
const FUSE_SUPER_MAGIC = 0x65735546;
const WITHIN_MS = 2000;

/** Checks whether a mount answers. While a check hangs, no other is started. */
export class Readiness {
  readonly #mountpoint: string;
  #check: Promise<string | undefined> | undefined;

  constructor(mountpoint: string) {
    this.#mountpoint = mountpoint;
  }

  async #ask(): Promise<string | undefined> {
    try {
      const { type } = await statfs(this.#mountpoint);
      return type === FUSE_SUPER_MAGIC ? undefined : `${this.#mountpoint}: not mounted`;
    } catch (error) {
      return `${this.#mountpoint}: ${messageOf(error)}`;
    } finally {
      this.#check = undefined;
    }
  }

  /** Undefined: it answers; else the reason why it is not ready. */
  async unready(): Promise<string | undefined> {
    this.#check ??= this.#ask();
    try {
      return await within(this.#check, WITHIN_MS, "does not answer");
    } catch (error) {
      return `${this.#mountpoint}: ${messageOf(error)}`;
    }
  }
}
