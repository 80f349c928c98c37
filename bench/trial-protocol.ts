/** The request of the runner to a trial's process, and the answer; both are JSON. */

import { z } from "zod";
import { sampleSchema } from "./measure.js";
import { PEER_NAMES } from "./support/peers/peer.js";

export const trialRequestSchema = z.object({
  case: z.string(),
  peer: z.enum(PEER_NAMES),
  variant: z.string(),
  scale: z.enum(["quick", "full"]),
  cli: z.string(),
  /** Whether daemons and readers get the highest priority. */
  favoured: z.boolean(),
  programs: z.object({
    load: z.string(),
    stage: z.string(),
    floor: z.string(),
    crash: z.string(),
  }),
});
export type TrialRequest = z.infer<typeof trialRequestSchema>;

/** The samples, or why there are none. */
export const trialResultSchema = z.union([
  z.object({ samples: z.array(sampleSchema) }),
  z.object({ skipped: z.string() }),
  z.object({ unavailable: z.string() }),
  z.object({ failed: z.string() }),
]);
export type TrialResult = z.infer<typeof trialResultSchema>;
