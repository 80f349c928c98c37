import * as z from "zod/mini";
import { socketOf } from "../keeper.js";

/** Where a worker tells operators of containers' kernel logs: one socket per mount, for root only. */
export function logSocketOf(mountpoint: string): string {
  return socketOf(mountpoint).replace(/\.sock$/, ".log");
}

/** What a client asks first, as one line of JSON. */
export const RequestSchema = z.object({
  id: z.string().check(z.maxLength(64)),
  /** The first record that is wanted. */
  from: z.int().check(z.gte(0)),
  /** Go on with records that come later. */
  follow: z.boolean(),
});
export type Request = z.infer<typeof RequestSchema>;

/** What it gets, one line of JSON each. */
export const ReplySchema = z.union([
  z.object({
    sequence: z.number(),
    timeUs: z.number(),
    priority: z.number(),
    text: z.string(),
  }),
  /** The errno's name that says why there is nothing (more). */
  z.object({ error: z.string() }),
  /** All that there is has been told. */
  z.object({ end: z.literal(true) }),
]);
export type Reply = z.infer<typeof ReplySchema>;
