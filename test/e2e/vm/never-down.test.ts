// Linux 6.1 cannot hand requests again: those in flight at a kill fail, and nothing else happens.

import { describe, expect, it } from "vitest";
import { project } from "../../support/project.js";
import { runInVm, vmUnavailable } from "../../support/vm/vm.js";
import { stormProgram } from "../never-down-support.js";

const KILLS = 3;
const reason = vmUnavailable();

describe.runIf(reason === undefined)(`on a kernel without resend${reason ?? ""}`, () => {
  it("fails only requests in flight", { timeout: 620_000 }, async () => {
    const guest = `${project}/test/e2e/vm/never-down-guest.mjs`;
    const { code, stdout } = await runInVm(
      ["node", guest, project, stormProgram(), String(KILLS)],
      { timeoutSeconds: 600 },
    );
    const line = stdout.split("\n").find((text) => text.startsWith('{"reads"'));
    expect(code, stdout).toBe(0);
    const result: Record<string, unknown> = JSON.parse(line ?? "{}");
    if (process.env.VPROCFS_TEST_STORM_KILLS !== undefined) {
      console.log(`no resend: ${line}`);
    }
    expect(result.failures).toEqual({});
    expect(result).toMatchObject({
      hung: 0,
      later: true,
      status: { resend: false, restarts: KILLS, resent: 0 },
    });
  });
});
