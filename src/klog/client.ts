import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import { errnoOf, VprocfsError } from "../errors.js";
import type { KernelLogRecord } from "../native/session.js";
import { printable } from "../text.js";
import { logSocketOf, MAX_CLIENTS, type Reply, ReplySchema, type Request } from "./protocol.js";

/** How long to wait for the next worker. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 100;
/** One that lasted so long was served until it was cut. */
const SERVED_MS = 1000;

/** Errors after which another attempt may do: the next worker serves, or a place is free. */
const PASSING: readonly string[] = ["EBUSY", "ECONNREFUSED", "ECONNRESET", "EPIPE"];

const REASONS: Readonly<Record<string, string>> = {
  ESRCH: "the container is gone",
  ENOTSUP: "this vprocfs keeps no kernel logs of containers",
  ENOENT: 'the vprocfs here keeps no kernel logs (kernel-log = "off", or another version)',
  EBUSY: `too many follow logs here: ${MAX_CLIENTS} already do`,
  ECONNREFUSED: "the vprocfs here does not answer",
  ECONNRESET: "the vprocfs here does not answer",
  EPIPE: "the vprocfs here does not answer",
  EACCES: "must be run as root",
};

type Ending = "end" | "cut" | { readonly error: string };

/** The reply in a line; undefined: the line is cut off, because the worker went away. */
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

/** Passes the records of one connection to `tell`; resolves to how the connection ended. */
function ask(
  path: string,
  request: Request,
  tell: (record: KernelLogRecord) => void,
): Promise<Ending> {
  return new Promise((resolve) => {
    const socket = createConnection(path, () => socket.write(`${JSON.stringify(request)}\n`));
    let ending: Ending = "cut";
    socket.on("error", (error) => {
      // What the other side has said explains more.
      ending = ending === "cut" ? { error: errnoOf(error) ?? "EIO" } : ending;
      resolve(ending);
    });
    createInterface({ input: socket })
      // The socket's own listener handles its errors.
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
 * Passes the records of a container's kernel log to `tell`; with `follow` also later ones, until the container ends.
 * Throws a VprocfsError if the log cannot be had within `patienceMs`.
 */
export async function readKernelLog(
  mountpoint: string,
  id: string,
  follow: boolean,
  tell: (record: KernelLogRecord) => void,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const path = logSocketOf(mountpoint);
  let from = 0;
  let newestUs = -1;
  let againUntilUs = -1;
  let lastReplyMs = Date.now();
  let isKnown = false;
  for (;;) {
    const beganMs = Date.now();
    const ending = await ask(path, { id, from, follow }, (record) => {
      // After a stop and a start, numbers begin at 0 again. Records that were passed on before are known by
      // their times.
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
    // If a worker has ended, the next one continues.
    const error = ending === "cut" ? "ECONNREFUSED" : ending.error;
    if (error === "ESRCH" && isKnown) {
      return;
    }
    // One that is refused, or that nobody accepts, may take as long.
    if (ending === "cut" && isKnown && Date.now() - beganMs > SERVED_MS) {
      lastReplyMs = Date.now();
    }
    const mayReturn = PASSING.includes(error) || (error === "ENOENT" && isKnown);
    if (!mayReturn || Date.now() - lastReplyMs > patienceMs) {
      const reason =
        isKnown && error !== "EBUSY"
          ? "the vprocfs here has stopped"
          : (REASONS[error] ?? `cannot get the kernel log (${error})`);
      throw new VprocfsError("NOT_MOUNTED", `${printable(mountpoint)}: ${reason}`);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
