import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import { errnoOf, VprocfsError } from "../errors.js";
import type { KernelLogRecord } from "../native/session.js";
import { printable } from "../text.js";
import { logSocketOf, type Reply, ReplySchema, type Request } from "./protocol.js";

/** For how long somebody who follows waits for the next worker. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 100;

const REASONS: Readonly<Record<string, string>> = {
  ESRCH: "the container is gone",
  ENOTSUP: "this vprocfs keeps no kernel logs of containers",
  ENOENT: 'the vprocfs here keeps no kernel logs (kernel-log = "off", or another version)',
  ECONNREFUSED: "the vprocfs here does not answer",
  EACCES: "must be run as root",
};

type Ending = "end" | "cut" | { readonly error: string };

/** Undefined: the worker went away before it had written the line to its end. */
function replyOf(line: string): Reply | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const reply = ReplySchema.safeParse(value);
  return reply.success ? reply.data : { error: "EPROTO" };
}

/** One connection: tells of records until it ends, one way or the other. */
function ask(
  path: string,
  request: Request,
  tell: (record: KernelLogRecord) => void,
): Promise<Ending> {
  return new Promise((resolve) => {
    const socket = createConnection(path, () => socket.write(`${JSON.stringify(request)}\n`));
    let ending: Ending = "cut";
    socket.on("error", (error) => {
      ending = { error: errnoOf(error) ?? "EIO" };
      resolve(ending);
    });
    createInterface({ input: socket })
      // What the socket says is said again here.
      .on("error", () => {})
      .on("line", (line) => {
        const reply = replyOf(line);
        if (reply === undefined) {
          return;
        }
        if ("sequence" in reply) {
          tell(reply);
        } else {
          ending = "end" in reply ? "end" : reply;
        }
      })
      .on("close", () => resolve(ending));
  });
}

/**
 * Tells of the records of a container's kernel log, and with `follow` of those that come, until the
 * container ends. Throws a VprocfsError where there are none to be had.
 */
export async function readKernelLog(
  mountpoint: string,
  id: string,
  follow: boolean,
  tell: (record: KernelLogRecord) => void,
): Promise<void> {
  const path = logSocketOf(mountpoint);
  let from = 0;
  let newestUs = -1;
  let againUntilUs = -1;
  let lastReplyMs = Date.now();
  let isKnown = false;
  for (;;) {
    const ending = await ask(path, { id, from, follow }, (record) => {
      // After a stop and a start the numbers begin again, and old records come with their times.
      if (record.sequence < from) {
        againUntilUs = newestUs;
      }
      from = record.sequence + 1;
      lastReplyMs = Date.now();
      isKnown = true;
      if (record.timeUs > againUntilUs) {
        newestUs = Math.max(newestUs, record.timeUs);
        tell(record);
      }
    });
    if (ending === "end") {
      return;
    }
    // A worker ends, and the next one goes on.
    const error = ending === "cut" ? "ECONNREFUSED" : ending.error;
    if (ending === "cut") {
      lastReplyMs = Date.now();
    } else if (error === "ESRCH" && isKnown) {
      return;
    }
    const mayReturn = error === "ECONNREFUSED" || (error === "ENOENT" && isKnown);
    if (!mayReturn || Date.now() - lastReplyMs > PATIENCE_MS) {
      const reason = isKnown
        ? "the vprocfs here has stopped"
        : (REASONS[error] ?? `cannot get the kernel log (${error})`);
      throw new VprocfsError("NOT_MOUNTED", `${printable(mountpoint)}: ${reason}`);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
