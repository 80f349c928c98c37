import { type FSWatcher, mkdirSync, watch } from "node:fs";
import { dirname } from "node:path";
import type { Companion } from "../daemon.js";
import { messageOf } from "../errors.js";
import type { Logger } from "../log.js";
import { hasRecords, isRecordName, SLEEP_RECORD, thawRecorded } from "./record.js";

/**
 * For so long containers may be frozen for a suspend, in time that the node is awake: longer than
 * systemd lets what runs before a suspend take (90 s).
 */
const LONGEST_MS = 120_000;

/** Thaws what a suspend has left frozen: at the start, and when nobody tells of the node's waking up. */
export function sleepGuard(log: Logger, record = SLEEP_RECORD, longestMs = LONGEST_MS): Companion {
  let watcher: FSWatcher | undefined;
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
  /** Also those that somebody has taken to thaw: whoever did may have been killed before the end. */
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
      // Of a clock that stands still while the node sleeps.
      timer = setTimeout(() => {
        thaw();
        // What could not be thawed is tried again.
        look();
      }, longestMs).unref();
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
        watcher.on("error", () => {});
      } catch (error) {
        log.warn(
          { error: messageOf(error) },
          "cannot watch for containers left frozen by a suspend",
        );
      }
      look();
    },
    stop: async (forGood) => {
      watcher?.close();
      clearTimeout(timer);
      timer = undefined;
      if (forGood) {
        thaw();
      }
    },
  };
}
