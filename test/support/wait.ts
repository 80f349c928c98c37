import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 10;

/** How many times slower than usual this machine is: emulated ones are. */
export const SLOWNESS = Number(process.env.VPROCFS_TEST_SLOWNESS ?? 1);

/** Whether what is tried is built with a sanitizer: `npm run sanitize`. */
export const isSanitized = process.env.VPROCFS_TEST_SANITIZER !== undefined;

/** How long an event may take before the test has failed; only ever reached by failures. */
export const DEADLINE_MS = 30_000 * SLOWNESS;

/**
 * Asks again and again until the answer is neither undefined nor false, and returns it. Throws
 * when the deadline passes, naming what did not happen.
 */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`did not happen within ${deadlineMs} ms: ${what}`);
    }
    await sleep(POLL_MS);
  }
}
