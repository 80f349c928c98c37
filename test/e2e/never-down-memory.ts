// The memory that workers leave for each other, as the tests look into it and damage it; see
// native/state/state_file.h and native/state/layout.h.

import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  writeSync,
} from "node:fs";
import type { Status } from "../../src/keeper-status.js";
import type { Daemon } from "../support/daemon.js";
import type { Scope } from "../support/scope.js";
import { servingAfter, statusOf, stopped } from "./never-down-support.js";

export const GRANULE = 256;
const FILE_HEAD = 4096;
/** Of a word in the table: how many granules the record has that begins there. */
const WORD = 4;
/** What lies before the content of a record. */
const RECORD_HEAD = 32;

/** RecordType, in native/state/state_file.h. */
export const OPEN_FILE = 1;
export const HISTORY = 3;
export const TRIGGER = 5;
export const COPIES = 10;

/** One memory for each connection: that of the mount, and that of what is polled. */
export function statesOf(daemon: Daemon, scope: Scope): number[] {
  const directory = `/proc/${daemon.pid}/fd`;
  const names = readdirSync(directory).filter((fd) => {
    return readlinkSync(`${directory}/${fd}`).includes("memfd:vprocfs-state");
  });
  return names.map((name) => {
    const fd = openSync(`${directory}/${name}`, "r+");
    scope.defer(() => closeSync(fd));
    return fd;
  });
}

export function contentOf(state: number): Buffer {
  const bytes = Buffer.alloc(fstatSync(state).size);
  readSync(state, bytes, 0, bytes.length, 0);
  return bytes;
}

/** Where the contents of all records of a type begin. */
export function recordsOf(bytes: Buffer, type: number): number[] {
  const granules = Math.floor((bytes.length - FILE_HEAD) / (GRANULE + WORD));
  const first = Math.ceil((FILE_HEAD + granules * WORD) / GRANULE) * GRANULE;
  const found: number[] = [];
  for (let at = first; at < bytes.length; at += GRANULE) {
    const word = FILE_HEAD + ((at - first) / GRANULE) * WORD;
    if (bytes.readUInt32LE(word) !== 0 && bytes.readUInt32LE(at) === type) {
      found.push(at + RECORD_HEAD);
    }
  }
  return found;
}

/** Damages all records of a type, at this offset of their contents; returns how many. */
export function damageRecords(state: number, type: number, offset = 0): number {
  const bytes = contentOf(state);
  const records = recordsOf(bytes, type);
  for (const record of records) {
    const at = record + offset;
    writeSync(state, Buffer.from([(bytes[at] ?? 0) ^ 1]), 0, 1, at);
  }
  return records.length;
}

/** The worker stands still meanwhile: damage is to meet the next one. */
export async function damage(daemon: Daemon, how: () => void): Promise<Status> {
  const { workerPid, generation } = await statusOf(daemon);
  await stopped(workerPid);
  how();
  process.kill(workerPid, "SIGKILL");
  return servingAfter(daemon, generation);
}
