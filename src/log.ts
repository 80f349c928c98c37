import { type DestinationStream, type Logger, pino } from "pino";
import { printable } from "./text.js";

export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export const LOG_FORMATS = ["auto", "json", "text"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = (typeof LOG_FORMATS)[number];
export type { Logger };

function formatValue(value: unknown): string {
  const text = typeof value === "string" ? printable(value) : JSON.stringify(value);
  return /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}

/** One pino record as `time LEVEL message key=value ...`. */
export function textLine(record: string): string {
  const fields: Record<string, unknown> = JSON.parse(record);
  const { time, level, msg, ...rest } = fields;
  const pairs = Object.entries(rest).map(([key, value]) => ` ${key}=${formatValue(value)}`);
  const label = String(level).toUpperCase().padEnd(5);
  return `${String(time)} ${label} ${printable(String(msg ?? ""))}${pairs.join("")}\n`;
}

/** Writes text lines to a stream that wants JSON. */
function asText(destination: DestinationStream): DestinationStream {
  return { write: (record) => destination.write(textLine(record)) };
}

/** True when a log of this format goes out as text rather than JSON. */
export function isText(
  format: LogFormat,
  isTerminal: boolean = process.stderr.isTTY === true,
): boolean {
  return format === "text" || (format === "auto" && isTerminal);
}

/**
 * The daemon's log on stderr, where it does not mix with what a command prints. "auto" is text on
 * a terminal and JSON everywhere else.
 */
export function createLogger(
  level: LogLevel,
  format: LogFormat,
  destination: DestinationStream = pino.destination({ dest: 2, sync: true }),
  isTerminal: boolean = process.stderr.isTTY === true,
): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    isText(format, isTerminal) ? asText(destination) : destination,
  );
}
