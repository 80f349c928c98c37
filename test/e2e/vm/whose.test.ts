// Shared PID namespaces and cgroup namespaces on a machine with nothing but cgroup v2.

import { expect, it } from "vitest";
import { runInVm, vmUnavailable } from "../../support/vm/vm.js";

const missing = vmUnavailable();

it.runIf(missing === undefined).each(["v2"] as const)(
  `finds whose figures a process is to see on cgroup %s${missing ? ` (${missing})` : ""}`,
  async (cgroup) => {
    const result = await runInVm(["bash", "test/e2e/vm/whose-guest.sh"], {
      timeoutSeconds: 600,
      cgroup,
    });
    expect(result.stdout).toContain("all checks hold");
    expect(result.code, result.stdout).toBe(0);
  },
  700_000,
);
