/** What the runner asks of the process of a trial, and what that answers; both in JSON. */

import { z } from "zod";
import { sampleSchema } from "./measure.js";
import { PEER_NAMES } from "./support/peers/peer.js";

export const trialRequestSchema = z.object({
  case: z.string(),
  peer: z.enum(PEER_NAMES),
  variant: z.string(),
  scale: z.enum(["quick", "full"]),
  cli: z.string(),
  /** What is measured goes before everything else on the machine. */
  favoured: z.boolean(),
  programs: z.object({
    load: z.string(),
    stage: z.string(),
    floor: z.string(),
    crash: z.string(),
  }),
});
export type TrialRequest = z.infer<typeof trialRequestSchema>;

/** Figures, or why there are none. */
export const trialResultSchema = z.union([
  z.object({ samples: z.array(sampleSchema) }),
  z.object({ skipped: z.string() }),
  z.object({ unavailable: z.string() }),
  z.object({ failed: z.string() }),
]);
export type TrialResult = z.infer<typeof trialResultSchema>;
