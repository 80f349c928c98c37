// The same kernel with all controllers in hierarchies of their own.

import { beforeAll, it } from "vitest";
import { describeLong } from "../../support/size.js";
import { fileScope } from "../../support/test-scope.js";
import { expectAllChecks } from "../../support/vm/checks.js";
import { Vm, vmUnavailable } from "../../support/vm/vm.js";

/** Everything takes many times longer in there, and more when the machine around it is busy. */
const SECONDS = 1500;
const TIMEOUT = { timeout: (SECONDS + 400) * 1000 };

const missing = vmUnavailable();

describeLong(`on cgroup v1${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  const scope = fileScope();
  let vm: Vm;

  beforeAll(() => {
    vm = Vm.boot(scope, { cgroup: "v1" });
  });

  it.runIf(missing === undefined).each(["v1-limits", "caller-identity"])(
    "holds what %s checks",
    TIMEOUT,
    async (name) => {
      expectAllChecks(await vm.run(["bash", `test/e2e/vm/${name}-guest.sh`], SECONDS));
    },
  );
});
