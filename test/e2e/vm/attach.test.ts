// Attaching on a machine with nothing but cgroup v2, where all containers are the test's.

import { expect, it } from "vitest";
import { runInVm, vmUnavailable } from "../../support/vm/vm.js";

const missing = vmUnavailable();

it.runIf(missing === undefined)(
  `gives all containers their files, and takes them away${missing ? ` (${missing})` : ""}`,
  async () => {
    const result = await runInVm(["bash", "test/e2e/vm/attach-guest.sh"], { timeoutSeconds: 900 });
    expect(result.stdout).toContain("all checks hold");
    expect(result.code).toBe(0);
  },
  1_000_000,
);
