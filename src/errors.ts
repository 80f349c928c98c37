/** Exit statuses of the command line; a page of docs/reference/configuration.md lists them too. */
export const ExitStatus = {
  ok: 0,
  /** The command failed. */
  failure: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
} as const;

/** The kind of an error; stable, for tests. */
type ErrorCode =
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

/** The exit status of a command that threw `error`. */
export function statusOf(error: unknown): number {
  return error instanceof VprocfsError ? error.exitStatus : ExitStatus.failure;
}

/** The name of a system error, such as "ENOENT"; undefined if `error` is none. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return error.code;
  }
  return undefined;
}
