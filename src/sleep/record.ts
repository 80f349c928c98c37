// Which containers are frozen for a suspend: a file that outlives whoever wrote it, so that anybody can
// thaw them.

import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../errors.js";
import { type Freezer, setFrozen } from "./freezer.js";

/** One for the host, whatever is mounted where. */
export const SLEEP_RECORD = "/run/vprocfs/frozen";

/** A line for each. No cgroup has a name with a newline. */
const LINE = /^(\d+) (\/.*)$/;

/** Those that are recorded; lines that are not whole are passed over. */
export function recorded(record: string): Freezer[] {
  let text = "";
  try {
    text = readFileSync(record, "utf8");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") {
      throw error;
    }
  }
  return text.split("\n").flatMap((line) => {
    const [, inode, control] = LINE.exec(line) ?? [];
    return inode === undefined || control === undefined ? [] : [{ control, inode: BigInt(inode) }];
  });
}

/** Whether it is recorded: another cgroup of that name is not. */
export function isRecorded(record: string, { control, inode }: Freezer): boolean {
  return recorded(record).some((one) => one.control === control && one.inode === inode);
}

/** Records one, before it is frozen. */
export function recordFrozen(record: string, { control, inode }: Freezer): void {
  mkdirSync(dirname(record), { recursive: true, mode: 0o700 });
  // Whatever was not written to its end before is a line of its own.
  appendFileSync(record, `\n${inode} ${control}\n`, { mode: 0o600 });
}

/** Whether a file beside the record is the record, or one that somebody has taken to thaw what is in it. */
export function isRecordName(name: string, record: string): boolean {
  return name === basename(record) || name.startsWith(`${basename(record)}.`);
}

/** The record, and those that somebody has taken to thaw what is in them and has not come to the end. */
function recordsAt(record: string): string[] {
  let names: string[] = [];
  try {
    names = readdirSync(dirname(record));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") {
      throw error;
    }
  }
  return names
    .filter((name) => isRecordName(name, record))
    .map((name) => join(dirname(record), name));
}

/** Whether there may be anything to thaw. */
export function hasRecords(record: string): boolean {
  return recordsAt(record).length > 0;
}

/**
 * Thaws all that are recorded, and forgets them; those that cannot be thawed stay recorded, and the first
 * failure is thrown when all others are done. Returns how many there were to thaw.
 */
export function thawRecorded(record: string): number {
  try {
    // Taken first: what somebody records from now on is not forgotten with it.
    const { randomUUID } = process.getBuiltinModule("node:crypto");
    renameSync(record, `${record}.${randomUUID()}`);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") {
      throw error;
    }
  }
  let thawed = 0;
  const failures: unknown[] = [];
  for (const taken of recordsAt(record).filter((path) => path !== record)) {
    const before = failures.length;
    for (const freezer of recorded(taken)) {
      try {
        thawed += setFrozen(freezer, false) ? 1 : 0;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === before) {
      rmSync(taken, { force: true });
    }
  }
  if (failures.length > 0) {
    throw failures[0];
  }
  return thawed;
}
