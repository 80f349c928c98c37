// Tasks of a recorded cgroup tree.

import { expect, it } from "vitest";
import { TaskCounter } from "../support/testing.js";
import { Tree, v2Container } from "./tree.js";

it("counts a task once that is moved while the cgroups are walked", () => {
  const { root } = new Tree({
    ...v2Container("/c"),
    "c/cgroup.threads": "70000001\n70000002\n",
    "c/to/cgroup.threads": "70000002\n70000003\n",
  });
  const counter = new TaskCounter("scan", 1_000_000, root);
  const [count] = counter.count([{ v1: null, id: 0n, path: "/c", pidNamespace: 0n }]);
  expect(count?.total).toBe(3);
});
