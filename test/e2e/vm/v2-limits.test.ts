// Containers on a machine with nothing but cgroup v2.

import { expect, it } from "vitest";
import { runInVm, vmUnavailable } from "../../support/vm/vm.js";

const missing = vmUnavailable();

it.runIf(missing === undefined)(
  `shows memory, swap, CPUs and time by the limits of cgroup v2${missing ? ` (${missing})` : ""}`,
  async () => {
    const result = await runInVm(["bash", "test/e2e/vm/v2-limits-guest.sh"], {
      timeoutSeconds: 1200,
    });
    expect(result.stdout).toContain("all checks hold");
    expect(result.code, result.stdout).toBe(0);
  },
  1_300_000,
);
