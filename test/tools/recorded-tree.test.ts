// The machines that the benchmark's case `cpus` makes up.

import { expect, it } from "vitest";
import { INIT, makeTree, renderer } from "../../bench/support/recorded.js";
import { installed } from "../../src/layout.js";
import { temporaryDirectory } from "../support/daemon.js";
import { testScope } from "../support/test-scope.js";

it("show a container all their CPUs", () => {
  const tree = temporaryDirectory(testScope(), "recorded");
  makeTree(tree, 8);
  const render = renderer(installed("dist/cli.js"));
  expect(render?.(tree, "proc/stat", INIT, 1_000_000_000n).match(/^cpu\d+ /gm)).toHaveLength(8);
  expect(render?.(tree, "sys/devices/system/cpu/online", INIT, 1_000_000_000n)).toBe("0-7\n");
});
