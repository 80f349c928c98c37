// Requests that wait for their turn, and work that waits for its time (native/fuse/turns.h,
// native/fuse/delayed_work.h).

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryDirectory } from "../support/daemon.js";
import { testScope } from "../support/test-scope.js";
import { native } from "../support/testing.js";

it("a request that is refused because too many wait costs those that come later nothing", () => {
  // A tenth of a second's worth can be had at once: two, of which the one in whose turn it is has one.
  expect(native.waitAfterRefusals(20, 10)).toBe(0);
});

it("what is another tenant's is not served in the turn of who asks for it", () => {
  expect(native.servesInOthersTurn()).toBe(false);
});

it.each([
  ["of its own", false, false, true],
  ["of its own that may wait for long", true, false, false],
  ["of another connection", false, true, false],
] as const)(
  "a thread that takes requests serves the next one of its tenant: %s",
  (_, isAside, isOfOther, serves) => {
    expect(native.servesWhereGateIsLeft(isAside, isOfOther)).toBe(serves);
  },
);

it("an interrupted reader of a log is not answered while somebody works on its request", () => {
  // Which may be about to wait for a record, and would then do so for nobody.
  expect(native.answersToInterrupted()).toEqual([2, 1]);
});

it("a request whose caller was killed counts no more as one that waits for a budget", () => {
  const [waiting, waitUs] = native.waitingAfterKills(10);
  expect(waiting).toBe(0);
  // As after none.
  expect(waitUs).toBeLessThanOrEqual(1_000_000);
});

it("requests that wait are left to the next worker once it is ready", () => {
  expect(native.answersAfterLeaving()).toEqual([1, 0]);
});

/** A procfs with process 7, for which these signals wait. */
function procfsWith(pending: string): string {
  const procfs = temporaryDirectory(testScope(), "proc");
  mkdirSync(join(procfs, "7"));
  writeFileSync(join(procfs, "7/status"), `Name:\tcat\nSigPnd:\t${pending}\n`);
  return procfs;
}

it("a caller that gets signal after signal in its turn is looked at by one, not by ever more", () => {
  expect(native.looksInTurn(procfsWith("0000000000000000"), 7, 50)).toBe(1);
});

it.each([
  ["was killed is answered at once", "0000000000000100", [1]],
  ["got another signal waits on", "0000000000004000", []],
] as const)("a caller whose answer waits for a notice and that %s", (_, pending, answered) => {
  expect(native.answersBeforeNotice(procfsWith(pending), 7)).toEqual(answered);
});

it("work that waits for its time has it also when it is told to stop", () => {
  expect(native.delayAtStop(20_000)).toBeGreaterThanOrEqual(20_000);
});
