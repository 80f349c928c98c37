import { fstatSync } from "node:fs";
import { type DestinationStream, type Logger, pino } from "pino";
import { printable } from "./text.js";

export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export const LOG_FORMATS = ["auto", "json", "text"] as const;

type LogLevel = (typeof LOG_LEVELS)[number];
type LogFormat = (typeof LOG_FORMATS)[number];

export type { Logger };

function formatValue(value: unknown): string {
  const text = typeof value === "string" ? printable(value) : JSON.stringify(value);
  return /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}

function messageOf(msg: unknown, rest: Readonly<Record<string, unknown>>): string {
  const pairs = Object.entries(rest).map(([key, value]) => ` ${key}=${formatValue(value)}`);
  return `${printable(String(msg ?? ""))}${pairs.join("")}`;
}

/** One pino record as `time LEVEL message key=value ...`. */
export function textLine(record: string): string {
  const fields: Record<string, unknown> = JSON.parse(record);
  const { time, level, msg, ...rest } = fields;
  return `${String(time)} ${String(level).toUpperCase().padEnd(5)} ${messageOf(msg, rest)}\n`;
}

/** The kind of file that the log is written to. */
interface LogPlace {
  readonly isTerminal: boolean;
  /** systemd's journal, which adds the time itself and takes the level from a prefix. */
  readonly isJournal: boolean;
}

/** Whether stderr is systemd's journal (JOURNAL_STREAM of systemd.exec(5)). */
function isJournal(): boolean {
  try {
    const { dev, ino } = fstatSync(2, { bigint: true });
    return process.env.JOURNAL_STREAM === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

function stderrPlace(): LogPlace {
  return { isTerminal: process.stderr.isTTY === true, isJournal: isJournal() };
}

/** syslog(3)'s numbers. */
const PRIORITIES: Readonly<Record<string, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

/** One record for the journal: `<4>message key=value ...`, or `<4>` and the record as JSON. */
function journalLine(record: string, asText: boolean): string {
  const fields: Record<string, unknown> = JSON.parse(record);
  const { time: _time, level, msg, ...rest } = fields;
  const prefix = `<${PRIORITIES[String(level)] ?? 6}>`;
  return asText ? `${prefix}${messageOf(msg, rest)}\n` : `${prefix}${record}`;
}

/** True when a log of this format goes out as text rather than JSON. */
export function isText(format: LogFormat, place: LogPlace = stderrPlace()): boolean {
  return format === "text" || (format === "auto" && (place.isTerminal || place.isJournal));
}

/** Bytes that are kept while they cannot be written; further lines are lost. */
const MAX_WAITING_BYTES = 1024 * 1024;
/** When to try again to write, if nothing is logged before. */
const RETRY_MS = 100;

/**
 * Writes to a descriptor such as stderr. If nobody reads it for a while, the lines wait in memory and the
 * process goes on: Node makes pipes non-blocking.
 */
export function logDestination(fd = 2): DestinationStream {
  const destination = pino.destination({
    dest: fd,
    sync: true,
    maxLength: MAX_WAITING_BYTES,
    // Otherwise pino would sleep until there is room.
    retryEAGAIN: () => false,
  });
  let isWaiting = false;
  // Without a listener, errors would be thrown. Only an error that may pass leads to another try.
  destination.on("error", (error: NodeJS.ErrnoException) => {
    const mayPass = error.code === "EAGAIN" || error.code === "ENOSPC";
    if (mayPass && !isWaiting) {
      isWaiting = true;
      setTimeout(() => {
        isWaiting = false;
        // Any write also writes what waits.
        destination.write("");
      }, RETRY_MS).unref();
    }
  });
  return destination;
}

/**
 * Formats each record, which is JSON, with `line`. A log that cannot be written is no error: the daemon can
 * still serve.
 */
function through(
  destination: DestinationStream,
  line: (record: string) => string,
): DestinationStream {
  return {
    write: (record) => {
      try {
        destination.write(line(record));
      } catch {
        // There is no other place to report it.
      }
    },
  };
}

/** The daemon's log on stderr. The format "auto" is text on a terminal and in the journal, else JSON. */
export function createLogger(
  level: LogLevel,
  format: LogFormat,
  destination: DestinationStream = logDestination(),
  place: LogPlace = stderrPlace(),
): Logger {
  const asText = isText(format, place);
  const plain = asText ? textLine : (record: string) => record;
  const line = place.isJournal ? (record: string) => journalLine(record, asText) : plain;
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    through(destination, line),
  );
}
