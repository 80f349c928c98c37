// Loads and pressure triggers on Linux 6.1 and nothing but cgroup v2, with every capability.

import { expect, it } from "vitest";
import { program } from "../../support/programs.js";
import { runInVm, vmUnavailable } from "../../support/vm/vm.js";

const missing = vmUnavailable();

it.runIf(missing === undefined)(
  `counts tasks and sets triggers on cgroup v2${missing ? ` (${missing})` : ""}`,
  async () => {
    const guest = ["bash", "test/e2e/vm/v2-tasks-guest.sh", program("crowd"), program("trigger")];
    const result = await runInVm(guest, { timeoutSeconds: 1000 });
    expect(result.stdout).toContain("all checks hold");
    expect(result.code, result.stdout).toBe(0);
  },
  1_100_000,
);
