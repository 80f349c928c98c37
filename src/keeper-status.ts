import * as z from "zod/mini";
import { VprocfsError } from "./errors.js";
import { askKeeper } from "./keeper.js";
import { within } from "./within.js";

/** A keeper's answer to `status`. */
const StatusSchema = z.object({
  state: z.string(),
  keeperPid: z.number(),
  workerPid: z.number(),
  generation: z.number(),
  uptimeMs: z.number(),
  workerUptimeMs: z.number(),
  restarts: z.number(),
  failuresInARow: z.number(),
  reasons: z.array(z.string()),
  resent: z.number(),
  requests: z.number(),
  protocol: z.string(),
  resend: z.boolean(),
  statesIgnored: z.number(),
  standby: z.string(),
  /** Descriptors that the keeper holds for later workers; earlier versions hold none. */
  descriptors: z._default(z.number(), 0),
  /** Descriptors that the service manager holds for the next keeper. */
  stored: z._default(z.number(), 0),
  /** Descriptors of containers that hand system calls over, lost between two workers. */
  descriptorsLost: z._default(z.number(), 0),
  /** Workers that were killed and have not ended. */
  undying: z._default(z.number(), 0),
  /** Whether the mount is still where it was made, and nothing over it. */
  mounted: z.optional(z.boolean()),
  /** Whether something is mounted over it. */
  covered: z._default(z.boolean(), false),
  /** Whether files that can be polled have a connection of their own. */
  polled: z.optional(z.boolean()),
  watchdogMs: z.number(),
  patienceMs: z.number(),
});

export type Status = z.infer<typeof StatusSchema>;

/** Asks the keeper of one mount point; throws if there is none. */
export type AskStatus = () => Promise<Status>;

/** Asks the keeper of a mount point; throws if there is none, or if it is silent for `withinMs`. */
export async function readStatus(mountpoint: string, withinMs?: number): Promise<Status> {
  const text = await askKeeper(mountpoint, "status", withinMs);
  try {
    return StatusSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new VprocfsError(
      "SYSTEM",
      `${mountpoint}: the keeper is of another version: restart the service`,
      {
        cause: error,
      },
    );
  }
}

/**
 * readStatus() for a command that needs it several times: asks once, when it is first called, and throws NoAnswer if that
 * takes longer than `withinMs`.
 */
export function askOnce(mountpoint: string, withinMs: number): AskStatus {
  let asked: Promise<Status> | undefined;
  return () => {
    const late = `${mountpoint}: its keeper has not answered within ${withinMs / 1000} s`;
    asked ??= within(readStatus(mountpoint), withinMs, late);
    return asked;
  };
}
