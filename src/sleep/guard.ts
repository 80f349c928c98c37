import { type FSWatcher, mkdirSync, watch } from "node:fs";
import { dirname } from "node:path";
import type { Companion } from "../daemon.js";
import { messageOf } from "../errors.js";
import type { Logger } from "../log.js";
import { hasRecords, isRecordName, SLEEP_RECORD, thawRecorded } from "./record.js";

/**
 * How long containers may stay frozen for a suspend while the node is awake. It is longer than systemd allows hooks
 * before a suspend to take (90 s).
 */
const LONGEST_MS = 120_000;
/** How often to look where the kernel does not say that something was recorded. */
const LOOK_EVERY_MS = 30_000;

/** Thaws containers that a suspend has left frozen: at the start, and if `vprocfs sleep post` does not come. */
export function sleepGuard(
  log: Logger,
  record = SLEEP_RECORD,
  longestMs = LONGEST_MS,
  lookEveryMs = LOOK_EVERY_MS,
): Companion {
  let watcher: FSWatcher | undefined;
  let looks: NodeJS.Timeout | undefined;
  let timer: NodeJS.Timeout | undefined;
  const thaw = (): void => {
    clearTimeout(timer);
    timer = undefined;
    try {
      if (hasRecords(record)) {
        const containers = thawRecorded(record);
        log.warn({ containers }, "thawed containers that were frozen for a suspend");
      }
    } catch (error) {
      log.error({ error: messageOf(error) }, "cannot thaw containers frozen for a suspend");
    }
  };
  /**
   * A record that another process has taken counts too: that process may have been killed before it had
   * thawed all.
   */
  const mayBeFrozen = (): boolean => {
    try {
      return hasRecords(record);
    } catch {
      return true;
    }
  };
  const look = (): void => {
    if (!mayBeFrozen()) {
      clearTimeout(timer);
      timer = undefined;
    } else if (timer === undefined) {
      // A timer of Node does not advance while the node sleeps.
      timer = setTimeout(() => {
        thaw();
        // Containers that could not be thawed are tried again.
        look();
      }, longestMs).unref();
    }
  };
  const lookOften = (error: unknown): void => {
    if (looks === undefined) {
      log.warn(
        { error: messageOf(error) },
        "cannot watch for containers left frozen by a suspend: looking from time to time",
      );
      looks = setInterval(look, lookEveryMs).unref();
    }
  };
  return {
    start: () => {
      thaw();
      try {
        mkdirSync(dirname(record), { recursive: true, mode: 0o700 });
        watcher = watch(dirname(record), { persistent: false }, (_, name) => {
          if (name === null || isRecordName(name, record)) {
            look();
          }
        });
        watcher.on("error", lookOften);
      } catch (error) {
        lookOften(error);
      }
      look();
    },
    stop: async (forGood) => {
      watcher?.close();
      clearInterval(looks);
      looks = undefined;
      clearTimeout(timer);
      timer = undefined;
      if (forGood) {
        thaw();
      }
    },
  };
}
