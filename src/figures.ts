// Figures that only the worker has, for an operator's commands. It answers on a socket beside the keeper's,
// whether or not it serves metrics.

import { rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import * as z from "zod/mini";
import type { WatcherState } from "./attach/watcher.js";
import type { Companion } from "./daemon.js";
import type { Engine } from "./engine/engine.js";
import { socketOf } from "./keeper.js";
import type { Logger } from "./log.js";
import { resourcesOf } from "./metrics/resources.js";
import type { NativeBinding } from "./native/binding.js";
import { listenInPlace } from "./operator-socket.js";

const ANSWER_WITHIN_MS = 1000;
/** A question lists ids of containers; a survey has at most 10,000. */
const LONGEST_QUESTION = 1 << 20;
const LONGEST_ANSWER = 16 << 20;
/** A client that is silent for so long is disconnected. */
const SILENT_MS = 5000;
const MAX_CLIENTS = 16;

const Question = z.object({
  containers: z.array(z.string()),
  /** The PIDs of their inits, as the host sees them. */
  inits: z.optional(z.array(z.number())),
});

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
  // What follows is optional, because earlier versions do not send it.
  /** The PID of that process. */
  pid: z.optional(z.number()),
  /** Whether containers have kernel logs. */
  kernelLog: z.optional(z.boolean()),
  /** Whether files of an LXCFS are replaced, as the setting `replace-lxcfs` has it. */
  replaceLxcfs: z.optional(z.boolean()),
  /** Where it serves metrics, as the setting `metrics` has it. */
  metrics: z.optional(z.string()),
  /** The error with which openat2(2) fails in that process, such as "ENOSYS"; absent if it works. */
  openat2: z.optional(z.string()),
  /** Records of the host's log that no container got. */
  kernelLogUntold: z.optional(
    z.object({
      /** Groups of records that could not be attributed to a container. */
      unproven: z.number(),
      /** Times that the host's log was overwritten before it was read. */
      lost: z.number(),
      /** Groups for which there was no room. */
      refused: z.number(),
    }),
  ),
  /** Sources that would prove more of them and are missing. */
  kernelLogMissing: z.optional(z.array(z.string())),
  /** Why the host's log cannot be read although containers have logs; "" if it can. */
  kernelLogProblem: z.optional(z.string()),
  /** Why system calls are not answered although they should be; "" if they are. */
  callsProblem: z.optional(z.string()),
  /** Why metrics are not served although they should be; "" if they are. */
  metricsProblem: z.optional(z.string()),
  /** Whether that is not decided yet: an address that is in use may become free with the earlier worker's end. */
  metricsPending: z.optional(z.boolean()),
  /**
   * How often descriptors, processes or memory were short for the watcher; what last, and when (ms since the epoch),
   * where that was noted: it is not of native code.
   */
  shortages: z.optional(
    z.object({
      count: z.number(),
      last: z.optional(z.object({ what: z.string(), atMs: z.number() })),
    }),
  ),
  /** Why the kernel does not report new processes to the watcher; "" if it does, or there is none. */
  watchProblem: z.optional(z.string()),
  /** Resources that all tenants share, by name. */
  resources: z.record(z.string(), Resource),
  /** Requests so far and the load average over one minute, by id of a container. */
  containers: z.record(z.string(), z.object({ requests: z.number(), load: z.number() })),
});

export type DaemonFigures = z.infer<typeof Answer>;

/** The socket on which the worker of a mount point answers, for root only. */
export function figuresSocketOf(mountpoint: string): string {
  return socketOf(mountpoint).replace(/\.sock$/, ".figures");
}

/** The error with which a seccomp filter of the service's unit refuses openat2(2), which the helper needs. */
function refusalOf({ openat2Error }: Pick<NativeBinding, "openat2Error">): { openat2?: string } {
  const code = openat2Error();
  return code === 0 ? {} : { openat2: getSystemErrorName(-code) };
}

/** What the answers are made from, besides the engine. */
export interface FiguresOptions {
  readonly mountpoint: string;
  readonly binding: Pick<NativeBinding, "version" | "openat2Error">;
  readonly metrics: string;
  readonly replaceLxcfs: boolean;
  /** Why they are not served, "" if they are, or are off; and whether that is not decided yet. */
  readonly metricsState: () => Promise<{ readonly problem: string; readonly isPending: boolean }>;
  readonly attaching: (() => WatcherState) | undefined;
  readonly log: Logger;
}

function shortagesOf(watcher: WatcherState | undefined): Pick<DaemonFigures, "shortages"> {
  const { shortages: count, lastShortage: last } = watcher ?? {};
  return count === undefined || count === 0
    ? {}
    : { shortages: { count, ...(last === undefined ? {} : { last }) } };
}

async function answerTo(
  question: string,
  engine: Engine,
  options: FiguresOptions,
): Promise<DaemonFigures> {
  const { binding, metrics, replaceLxcfs, attaching } = options;
  const { containers, inits = [] } = Question.parse(JSON.parse(question));
  const those = containers.map((id, at) => ({ id, init: inits[at] ?? 0 }));
  const { problem: metricsProblem, isPending: metricsPending } = await options.metricsState();
  const { kernelLogMissing, kernelLogProblem = "", callsProblem = "" } = engine.features();
  const counters = engine.counters();
  const watcher = attaching?.();
  const counted = (await engine.containers(those)).map(({ id, requests, load }) => {
    return [id, { requests, load: load[0] ?? 0 }] as const;
  });
  return {
    version: binding.version,
    pid: process.pid,
    kernelLog: counters.kernelLog !== undefined,
    replaceLxcfs,
    metrics,
    ...refusalOf(binding),
    kernelLogUntold: counters.kernelLog,
    kernelLogMissing: [...(kernelLogMissing ?? [])],
    kernelLogProblem,
    callsProblem,
    metricsProblem,
    metricsPending,
    ...shortagesOf(watcher),
    watchProblem: watcher?.problem ?? "",
    resources: Object.fromEntries(resourcesOf(counters, watcher)),
    containers: Object.fromEntries(counted),
  };
}

/** Reads one question and writes the answer to it. */
function serveClient(client: Socket, answer: (question: string) => Promise<object>): void {
  let question = "";
  client.setTimeout(SILENT_MS, () => client.destroy());
  client.on("error", () => client.destroy());
  client.setEncoding("utf8").on("data", (text: string) => {
    question += text;
    if (question.length > LONGEST_QUESTION) {
      client.destroy();
    }
  });
  client.on("end", async () => {
    try {
      client.end(JSON.stringify(await answer(question)));
    } catch {
      // The question is malformed.
      client.destroy();
    }
  });
}

/** Answers on the socket of a mount point while an engine serves it. */
export function figuresCompanion(options: FiguresOptions): Companion {
  const { mountpoint, log } = options;
  const path = figuresSocketOf(mountpoint);
  let server: Server | undefined;
  return {
    isAwaited: true,
    start: (engine) => {
      const answer = (question: string) => answerTo(question, engine, options);
      server = createServer({ allowHalfOpen: true }, (client) => serveClient(client, answer));
      server.maxConnections = MAX_CLIENTS;
      listenInPlace(server, path, log, "top, status and doctor");
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

/** Asks the worker of a mount point; undefined if none serves there, or if it does not answer. */
export async function askFigures(
  mountpoint: string,
  those: readonly { readonly id: string; readonly init: number }[] = [],
): Promise<DaemonFigures | undefined> {
  const question = { containers: those.map(({ id }) => id), inits: those.map(({ init }) => init) };
  try {
    const text = await exchange(figuresSocketOf(mountpoint), JSON.stringify(question));
    return Answer.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
