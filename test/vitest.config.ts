import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const report = process.env.VPROCFS_TEST_REPORT;

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    pool: "forks",
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: [
            "test/{view,source,config,contract,container,metrics,support,tools}/**/*.test.ts",
          ],
          testTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          // Real mounts, cgroups and containers: one file at a time, in one order.
          fileParallelism: false,
          globalSetup: ["test/support/leftovers.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Deadlines are long, but a machine that does other work too can be later than any: what
          // fails twice is broken.
          retry: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
