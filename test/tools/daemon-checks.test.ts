import { expect, it } from "vitest";
import { loadConfig } from "../../src/config-load.js";
import { checkDaemon } from "../../src/tools/daemon-checks.js";
import { NoAnswer } from "../../src/within.js";
import { testName } from "../support/names.js";

const config = loadConfig({ flags: {}, env: {}, defaultFile: "/nonexistent" });

/** What is found of a mount point whose keeper is asked in vain, and what to do. */
async function found(state: "live" | "none", why: Error) {
  const mountpoint = `/${testName("nobody-")}`;
  const place = { mountpoint, state, flags: "", ask: () => Promise.reject(why) };
  const findings = await checkDaemon(config, place, "1.0.0");
  return findings.filter(({ what }) => what.includes(why.message));
}

it.each([
  ["live", "warning"],
  ["none", "problem"],
] as const)("has nobody restart a keeper that may only be slow, mount %s", async (state, level) => {
  const [late, ...others] = await found(state, new NoAnswer("its keeper is late"));
  expect(others).toEqual([]);
  expect(late?.level).toBe(level);
  expect(late?.what).toMatch(/not known whether it serves in other namespaces/);
  expect(late?.todo).toMatch(/^it may only be slow: see .*, and run this again$/);
});

it("says what no keeper means", async () => {
  const [none] = await found("live", new Error("there is no keeper"));
  expect(none?.todo).toContain("restart vprocfs");
});
