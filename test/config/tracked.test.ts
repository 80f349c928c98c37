// What the watcher remembers of containers and their mount namespaces.

import { expect, it } from "vitest";
import { TrackedContainers } from "../../src/attach/tracked.js";
import type { ContainerIdentity } from "../../src/native/binding.js";

const container = { id: "1-2", init: 3, name: "web" } as ContainerIdentity;

it("remembers a container until the last of its namespaces has ended, also of those not reached", () => {
  const tracked = new TrackedContainers(() => 0);
  const first = tracked.add(container, 10);
  first.reached.set(10, new Set());
  expect(tracked.add(container, 11)).toBe(first);
  expect(tracked.forget(10)).toBe(false);
  expect(tracked.owns(first, 10)).toBe(false);
  expect(tracked.owns(first, 11)).toBe(true);
  expect(tracked.forget(11)).toBe(true);
  expect(tracked.owns(first, 11)).toBe(false);
});

it("finds all PID namespaces that have the id of a container", () => {
  const tracked = new TrackedContainers(() => 0);
  const [first, second] = [3, 4].map((init) => tracked.add({ ...container, init }, init));
  tracked.add({ ...container, id: "2-3", init: 5 }, 5);
  expect(tracked.withIds(new Set(["1-2"]))).toEqual([first, second]);
});
