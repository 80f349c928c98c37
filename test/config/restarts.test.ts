// What vprocfs-unit does after the end of the service, with a systemctl and a sleep that only say what they were asked.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { output } from "../support/command.js";
import { project } from "../support/project.js";

interface Node {
  /** Descriptors that systemd keeps of the service. */
  readonly kept: string;
  /** RestartSteps=, which systemd before 254 does not know. */
  readonly steps: string;
}

describe("a service that has ended", () => {
  async function waitAfter(result: string, { kept, steps }: Node): Promise<string> {
    const directory = mkdtempSync(join(tmpdir(), "vprocfs-test-unit-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const systemctl = `#!/bin/sh
case "$*" in
"show --property=NFileDescriptorStore --value vprocfs.service") echo "${kept}" ;;
"show --property=RestartSteps --value vprocfs.service") echo "${steps}" ;;
is-system-running) echo stopping ;;
esac
`;
    writeFileSync(join(directory, "systemctl"), systemctl, { mode: 0o755 });
    writeFileSync(join(directory, "sleep"), '#!/bin/sh\necho "$*"\n', { mode: 0o755 });
    const unit = join(project, "packaging/systemd/vprocfs-unit");
    const env = { PATH: `${directory}:${process.env.PATH}`, SERVICE_RESULT: result };
    return output([unit, "stopped", "vprocfs.service"], { env });
  }

  it.each([
    ["waits where systemd would start it again every 100 ms", "exit-code", "0", "", "2\n"],
    ["does not wait where systemd itself does", "exit-code", "0", "6", ""],
    ["does not wait while readers do", "signal", "3", "", ""],
    ["does not wait after a stop", "success", "0", "", ""],
  ])("%s", async (_, result, kept, steps, waits) => {
    expect(await waitAfter(result, { kept, steps })).toBe(waits);
  });
});
