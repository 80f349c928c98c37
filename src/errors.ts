/** Exit statuses of the command line; a page of docs/reference/configuration.md lists them too. */
export const ExitStatus = {
  ok: 0,
  /** What was asked for could not be done. */
  failure: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
} as const;

/** What kind of thing went wrong; stable, for `--json` and for tests. */
export type ErrorCode =
  | "ADDON"
  | "CONFIG"
  | "CONTAINER"
  | "FUSE"
  | "MOUNTPOINT"
  | "NOT_MOUNTED"
  | "NOT_ROOT"
  | "USAGE"
  | "SYSTEM";

/** An error that an operator can act on. Its message is one line without a full stop. */
export class VprocfsError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "VprocfsError";
    this.code = code;
  }

  get exitStatus(): number {
    return this.code === "CONFIG" || this.code === "USAGE" ? ExitStatus.usage : ExitStatus.failure;
  }
}

/** The message of anything thrown, on one line. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replaceAll(/\s*\n\s*/g, " ").trim();
}

/** The status that a command ends with which anything thrown has ended. */
export function statusOf(error: unknown): number {
  return error instanceof VprocfsError ? error.exitStatus : ExitStatus.failure;
}

/** The system's error name ("ENOENT") of anything thrown, undefined when it has none. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return error.code;
  }
  return undefined;
}
