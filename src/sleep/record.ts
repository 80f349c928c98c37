// Which containers are frozen for a suspend: a file, so that any process can thaw them, even if the one that
// froze them has died.

import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../errors.js";
import { type Freezer, setFrozen } from "./freezer.js";

/** One file for the host, however many mounts there are. */
export const SLEEP_RECORD = "/run/vprocfs/frozen";

/** A line for each cgroup. Names of cgroups have no newlines, but may have a carriage return or U+2028. */
const LINE = /^(\d+) (\/.*)$/s;

/** The recorded freezers; incomplete lines are skipped. */
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

/** Whether this cgroup is recorded, and not an earlier one of the same name. */
export function isRecorded(record: string, { control, inode }: Freezer): boolean {
  return recorded(record).some((one) => one.control === control && one.inode === inode);
}

/** Records a cgroup; done before it is frozen. */
export function recordFrozen(record: string, { control, inode }: Freezer): void {
  mkdirSync(dirname(record), { recursive: true, mode: 0o700 });
  // The newline in front ends a line that was not written completely.
  appendFileSync(record, `\n${inode} ${control}\n`, { mode: 0o600 });
}

/**
 * Whether a file in the record's directory is the record, or a record that a process has taken to thaw its
 * cgroups.
 */
export function isRecordName(name: string, record: string): boolean {
  return name === basename(record) || name.startsWith(`${basename(record)}.`);
}

/** The record, and records that processes have taken and not finished. */
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
 * Thaws all recorded cgroups and removes the records; returns the number of thawed cgroups. A record with a
 * cgroup that cannot be thawed stays, and the first error is thrown at the end.
 */
export function thawRecorded(record: string): number {
  try {
    // The record is renamed first, so that what is recorded from now on is not removed with it.
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
