// Figures that only the process that serves has, for the commands of an operator: they ask on a socket
// of its own beside the keeper's, which works with and without metrics.

import { rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import * as z from "zod/mini";
import type { WatcherState } from "./attach/watcher.js";
import type { Companion } from "./daemon.js";
import type { Engine } from "./engine/engine.js";
import { messageOf } from "./errors.js";
import { socketOf } from "./keeper.js";
import type { Logger } from "./log.js";
import { resourcesOf } from "./metrics/resources.js";
import type { NativeBinding } from "./native/binding.js";
import { listenInPlace } from "./operator-socket.js";

const ANSWER_WITHIN_MS = 1000;
/** A question lists the ids of containers, of which a survey has 10,000 at most. */
const LONGEST_QUESTION = 1 << 20;
const LONGEST_ANSWER = 16 << 20;
/** A client that is silent for so long is cut off. */
const SILENT_MS = 5000;
const MAX_CLIENTS = 16;

const Question = z.object({ containers: z.array(z.string()) });

const Resource = z.object({
  used: z.number(),
  limit: z.number(),
  /** Requests for it that were refused. */
  refused: z.number(),
  /** Refused requests of tenants below their limit, because others used the rest. */
  short: z.number(),
});

const Answer = z.object({
  /** The version of the process that serves. */
  version: z.string(),
  /** Its PID; not told by earlier versions. */
  pid: z.optional(z.number()),
  /** Whether containers have kernel logs; not told by earlier versions. */
  kernelLog: z.optional(z.boolean()),
  /** The error by which openat2(2) is refused to it, as "ENOSYS". */
  openat2: z.optional(z.string()),
  /** What of the host's log they were not told; not told by earlier versions. */
  kernelLogUntold: z.optional(
    z.object({
      /** Groups of records that nothing proves whose they are. */
      unproven: z.number(),
      /** Times that the host's log was overwritten before it was read. */
      lost: z.number(),
      /** Groups for which there was no room. */
      refused: z.number(),
    }),
  ),
  /** What would prove more of them and is not there; not told by earlier versions. */
  kernelLogMissing: z.optional(z.array(z.string())),
  /** What all tenants share, by name. */
  resources: z.record(z.string(), Resource),
  /** Requests so far and the load average over one minute, by id of a container. */
  containers: z.record(z.string(), z.object({ requests: z.number(), load: z.number() })),
});

export type DaemonFigures = z.infer<typeof Answer>;
export type SharedResource = z.infer<typeof Resource>;

/** Where the process that serves a mount point is asked; for root only. */
export function figuresSocketOf(mountpoint: string): string {
  return socketOf(mountpoint).replace(/\.sock$/, ".figures");
}

/** By which error a filter of the service's unit refuses what the helper opens paths with. */
function refusalOf({ openat2Error }: Pick<NativeBinding, "openat2Error">): { openat2?: string } {
  const code = openat2Error();
  return code === 0 ? {} : { openat2: getSystemErrorName(-code) };
}

function answerTo(
  question: string,
  engine: Engine,
  binding: Pick<NativeBinding, "version" | "openat2Error">,
  attaching: WatcherState | undefined,
): DaemonFigures {
  const { containers } = Question.parse(JSON.parse(question));
  const counters = engine.counters();
  const counted = engine.containers(containers).map(({ id, requests, load }) => {
    return [id, { requests, load: load[0] ?? 0 }] as const;
  });
  return {
    version: binding.version,
    pid: process.pid,
    kernelLog: counters.kernelLog !== undefined,
    ...refusalOf(binding),
    kernelLogUntold: counters.kernelLog,
    kernelLogMissing: [...(engine.features().kernelLogMissing ?? [])],
    resources: Object.fromEntries(resourcesOf(counters, attaching)),
    containers: Object.fromEntries(counted),
  };
}

/** Reads one question, and writes what `answer` makes of it. */
function serveClient(client: Socket, answer: (question: string) => object): void {
  let question = "";
  client.setTimeout(SILENT_MS, () => client.destroy());
  client.on("error", () => client.destroy());
  client.setEncoding("utf8").on("data", (text: string) => {
    question += text;
    if (question.length > LONGEST_QUESTION) {
      client.destroy();
    }
  });
  client.on("end", () => {
    try {
      client.end(JSON.stringify(answer(question)));
    } catch {
      // No question that we know.
      client.destroy();
    }
  });
}

/** Answers on the socket of a mount point while an engine serves it. */
export function figuresCompanion(options: {
  readonly mountpoint: string;
  readonly binding: Pick<NativeBinding, "version" | "openat2Error">;
  readonly attaching: (() => WatcherState) | undefined;
  readonly log: Logger;
}): Companion {
  const { mountpoint, binding, attaching, log } = options;
  const path = figuresSocketOf(mountpoint);
  let server: Server | undefined;
  return {
    start: (engine) => {
      const answer = (question: string) => answerTo(question, engine, binding, attaching?.());
      server = createServer({ allowHalfOpen: true }, (client) => serveClient(client, answer));
      server.maxConnections = MAX_CLIENTS;
      listenInPlace(server, path, (error) => {
        log.warn({ error: messageOf(error) }, "cannot answer top, status and doctor");
      });
    },
    stop: async (forGood) => {
      server?.close();
      if (forGood) {
        rmSync(path, { force: true });
      }
    },
  };
}

function exchange(path: string, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = createConnection({ path, allowHalfOpen: true }, () => socket.end(question));
    socket.setTimeout(ANSWER_WITHIN_MS, () => socket.destroy(new Error("no answer")));
    socket.on("error", reject);
    socket.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
      if (answer.length > LONGEST_ANSWER) {
        socket.destroy(new Error("the answer is too long"));
      }
    });
    socket.on("end", () => resolve(answer));
  });
}

/**
 * Asks the process that serves a mount point, about these containers; undefined if none serves there,
 * or if it is of a version that does not answer.
 */
export async function askFigures(
  mountpoint: string,
  containers: readonly string[] = [],
): Promise<DaemonFigures | undefined> {
  try {
    const text = await exchange(figuresSocketOf(mountpoint), JSON.stringify({ containers }));
    return Answer.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
