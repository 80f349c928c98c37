// Which containers are frozen for a suspend: a file that outlives whoever wrote it, so that anybody can
// thaw them.

import { appendFileSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
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

/** Records one, before it is frozen. */
export function recordFrozen(record: string, { control, inode }: Freezer): void {
  mkdirSync(dirname(record), { recursive: true, mode: 0o700 });
  appendFileSync(record, `${inode} ${control}\n`, { mode: 0o600 });
}

/** Thaws all that are recorded, and forgets them. Returns how many there were to thaw. */
export function thawRecorded(record: string): number {
  const thawed = recorded(record).filter((freezer) => setFrozen(freezer, false));
  rmSync(record, { force: true });
  return thawed.length;
}
