// Requests that wait for their turn, and work that waits for its time (native/fuse/turns.h,
// native/fuse/delayed_work.h).

import { expect, it } from "vitest";
import { native } from "../support/testing.js";

it("a request that is refused because too many wait costs those that come later nothing", () => {
  // A tenth of a second's worth can be had at once: two, of which the one in whose turn it is has one.
  expect(native.waitAfterRefusals(20, 10)).toBe(0);
});

it("what is another tenant's is not served in the turn of who asks for it", () => {
  expect(native.servesInOthersTurn()).toBe(false);
});

it("work that waits for its time has it also when it is told to stop", () => {
  expect(native.delayAtStop(20_000)).toBeGreaterThanOrEqual(20_000);
});
