import * as z from "zod/mini";
import { VprocfsError } from "./errors.js";
import { askKeeper } from "./keeper.js";

/** What a keeper says of itself and its worker. */
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
  /** Kept for workers to come; keepers of earlier versions keep none. */
  descriptors: z._default(z.number(), 0),
  /** Given to the service manager, for the next keeper to go on with. */
  stored: z._default(z.number(), 0),
  /** Of containers that hand system calls over; did not get from one worker to the next. */
  descriptorsLost: z._default(z.number(), 0),
  /** Workers that were killed and have not ended. */
  undying: z._default(z.number(), 0),
  /** Files that are polled have a connection of their own. */
  polled: z.optional(z.boolean()),
  watchdogMs: z.number(),
  patienceMs: z.number(),
});

export type Status = z.infer<typeof StatusSchema>;

/** The state of a mount; throws when no keeper serves there. */
export async function readStatus(mountpoint: string): Promise<Status> {
  const text = await askKeeper(mountpoint, "status");
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
