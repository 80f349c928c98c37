// The thread that checks passwords: bcrypt takes a tenth of a second on purpose, and nothing else should wait for it.
// Clients take turns; among local clients, each user of this host is one.

import { readFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { compareSync } from "bcryptjs";
import { type Check, userOf, type Verdict } from "./password-client.js";

/** Waiting checks of one client; further ones are refused. */
const MAX_QUEUED = 4;
/** Clients with waiting checks. */
const MAX_CLIENTS = 64;

const waiting = new Map<string, Check[]>();
let isScheduled = false;

function answer(verdict: Verdict): void {
  parentPort?.postMessage(verdict);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function clientOf({ address, port }: Check): string {
  const isLocal = address === "::1" || address.replace(/^::ffff:/, "").startsWith("127.");
  if (!isLocal || port === 0) {
    return address;
  }
  return `${address} ${userOf(port, [read("/proc/net/tcp"), read("/proc/net/tcp6")])}`;
}

/** Runs one check of the client whose turn it is. */
function work(): void {
  isScheduled = false;
  const [first] = waiting;
  if (first === undefined) {
    return;
  }
  const [client, checks] = first;
  waiting.delete(client);
  const check = checks.shift();
  if (checks.length > 0) {
    waiting.set(client, checks);
  }
  if (check !== undefined) {
    answer({ id: check.id, isRight: compareSync(check.password, check.hash) });
  }
  schedule();
}

/** Schedules the next check, after the messages that have arrived meanwhile. */
function schedule(): void {
  if (!isScheduled && waiting.size > 0) {
    isScheduled = true;
    setImmediate(work);
  }
}

parentPort?.on("message", (check: Check) => {
  const client = clientOf(check);
  const checks = waiting.get(client) ?? [];
  if (checks.length >= MAX_QUEUED || (checks.length === 0 && waiting.size >= MAX_CLIENTS)) {
    answer({ id: check.id, isRight: undefined });
    return;
  }
  checks.push(check);
  waiting.set(client, checks);
  schedule();
});
