// A test has two sizes: a short form in `npm test`, which has a budget of minutes, and a full form in
// `npm run test:long`. test/README.md says which belongs where.

import { describe, it } from "vitest";

/** Whether this run is `npm run test:long`. */
export const isLong = process.env.VPROCFS_TEST_LONG === "on";

/** A count, a duration, a list of cases: `short` in `npm test`, `long` in `npm run test:long`. */
export function inLong<T>(short: T, long: T): T {
  return isLong ? long : short;
}

/**
 * A number that `inLong` chooses unless the environment variable `name` has one; scripts of bench/
 * ask for more that way. Throws when it is no positive number.
 */
export function sized(name: string, short: number, long: number): number {
  const text = process.env[name];
  if (text === undefined) {
    return inLong(short, long);
  }
  const number = Number(text);
  if (!(number > 0 && Number.isFinite(number))) {
    throw new Error(`${name} must be a positive number, not '${text}'`);
  }
  return number;
}

/** Only in `npm run test:long`; elsewhere it is not even listed as skipped. */
export const itLong: typeof it = isLong ? it : quiet(it);

/** Only in `npm run test:long`. A file of nothing else is named `*.long.test.ts` instead. */
export const describeLong: typeof describe = isLong ? describe : quiet(describe);

/** Takes all that `register` takes, also `.each`, and registers nothing. */
function quiet<T extends object>(register: T): T {
  const nothing: T = new Proxy(register, {
    apply: () => nothing,
    get: () => nothing,
  });
  return nothing;
}
