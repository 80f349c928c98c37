import * as z from "zod/mini";
import { socketOf } from "../keeper.js";

/** The socket on which a worker answers `vprocfs dmesg`, for root only. */
export function logSocketOf(mountpoint: string): string {
  return socketOf(mountpoint).replace(/\.sock$/, ".log");
}

/** Clients at a time; others get the error EBUSY. */
export const MAX_CLIENTS = 64;

/** The client's request: one line of JSON. */
export const RequestSchema = z.object({
  id: z.string().check(z.maxLength(64)),
  /** The number of the first record that is wanted. */
  from: z.int().check(z.gte(0)),
  /** Whether to continue with later records. */
  follow: z.boolean(),
});
export type Request = z.infer<typeof RequestSchema>;

/** The replies: one line of JSON each. */
export const ReplySchema = z.union([
  z.object({
    sequence: z.number(),
    timeUs: z.number(),
    priority: z.number(),
    text: z.string(),
  }),
  /** The name of the errno, if there are no (more) records because something failed. */
  z.object({ error: z.string() }),
  /** All records have been sent. */
  z.object({ end: z.literal(true) }),
]);
export type Reply = z.infer<typeof ReplySchema>;
