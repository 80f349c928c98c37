// The kinds of tests; test/README.md says which is which, and how a test gets a short and a full form.

import { fileURLToPath } from "node:url";
import { configDefaults, defineConfig } from "vitest/config";
import { ASIDE, ASIDE_ONCE, FIRST, ONCE } from "./lanes/files.js";
import { Report } from "./support/report.js";

const report = process.env.VPROCFS_TEST_REPORT;
const isLong = process.env.VPROCFS_TEST_LONG === "on";

/** Copies that `npm run sanitize` makes, and files of tests that only `npm run test:long` runs. */
const exclude = [...configDefaults.exclude, "build/**", ...(isLong ? [] : ["**/*.long.test.ts"])];

/** Real mounts, cgroups, containers and machines: one file at a time, in one order. */
const serial = {
  exclude,
  fileParallelism: false,
  globalSetup: ["test/support/leftovers.mjs"],
  testTimeout: 120_000,
  hookTimeout: 120_000,
};

/**
 * Deadlines are long, but a machine that does other work too can be later than any: what fails twice is
 * broken. The last lines of a run say what was tried again.
 */
const again = { ...serial, retry: 1 };

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    pool: "forks",
    reporters: report === undefined ? ["default"] : ["default", new Report(report)],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/{view,source,config,container,metrics,support,tools}/**/*.test.ts"],
          exclude,
          // Deadlines within a test say what is late; a lane has a limit of its own.
          testTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: { ...again, name: "e2e-first", include: [...FIRST], sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: {
          ...again,
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          exclude: [...exclude, "test/e2e/vm/**", ...FIRST, ...ASIDE, ...ONCE],
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          ...serial,
          name: "e2e-once",
          include: [...ONCE],
          exclude: [...exclude, ...ASIDE_ONCE],
          sequence: { groupOrder: 3 },
        },
      },
      {
        // Beside e2e and e2e-once, of test/check.mjs; of Vitest alone, after them.
        extends: true,
        test: { ...again, name: "e2e-aside", include: [...ASIDE], sequence: { groupOrder: 4 } },
      },
      {
        extends: true,
        test: {
          ...serial,
          name: "e2e-aside-once",
          include: [...ASIDE_ONCE],
          sequence: { groupOrder: 5 },
        },
      },
      {
        extends: true,
        test: {
          ...serial,
          name: "vm",
          include: ["test/e2e/vm/**/*.test.ts"],
          sequence: { groupOrder: 6 },
        },
      },
      {
        extends: true,
        test: {
          ...serial,
          name: "node",
          include: ["test/node/**/*.test.ts"],
          testTimeout: 1_800_000,
          hookTimeout: 1_800_000,
          sequence: { groupOrder: 7 },
        },
      },
    ],
  },
});
