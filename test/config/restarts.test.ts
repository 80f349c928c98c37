// What vprocfs-unit does after the end of the service, with a systemctl and a sleep that only say what they were asked.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it, onTestFinished } from "vitest";
import { output } from "../support/command.js";
import { project } from "../support/project.js";

interface Node {
  /** Descriptors that systemd keeps of the service. */
  readonly kept: string;
  /** What systemd is about to do with the service. */
  readonly job?: string;
}

/** Runs vprocfs-unit with a systemctl that answers for such a node. */
async function runUnit(
  verb: string,
  { kept, job = "" }: Node,
  variables: Readonly<Record<string, string>>,
): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "vprocfs-test-unit-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const systemctl = `#!/bin/sh
case "$*" in
"show --property=NFileDescriptorStore --value vprocfs.service") echo "${kept}" ;;
"list-jobs --no-legend --full vprocfs.service") [ -z "${job}" ] || echo "1 vprocfs.service ${job} running" ;;
is-system-running) echo stopping ;;
esac
`;
  writeFileSync(join(directory, "systemctl"), systemctl, { mode: 0o755 });
  writeFileSync(join(directory, "sleep"), '#!/bin/sh\necho "$*"\n', { mode: 0o755 });
  const unit = join(project, "packaging/systemd/vprocfs-unit");
  const env = { PATH: `${directory}:${process.env.PATH}`, INVOCATION_ID: "1", ...variables };
  return output([unit, verb, "vprocfs.service"], { env });
}

describe("a service that has ended", () => {
  it.each([
    ["waits where systemd would start it again every 100 ms", "exit-code", "0", "", "2\n"],
    ["waits if it was being started", "exit-code", "0", "start", "2\n"],
    ["does not wait while readers do", "signal", "3", "", ""],
    ["does not wait after it has ended well", "success", "0", "", ""],
    ["does not wait during a stop", "exit-code", "0", "stop", ""],
    ["does not wait during a restart", "exit-code", "0", "restart", ""],
  ])("%s", async (_, result, kept, job, waits) => {
    const variables = { SERVICE_RESULT: result };
    expect(await runUnit("stopped", { kept, job }, variables)).toBe(waits);
  });
});

describe("a service that is restarted", () => {
  async function endOf(kept: string): Promise<string> {
    const says = "trap 'echo TERM; exit 0' TERM; trap 'echo LEAVE; exit 0' RTMIN; echo ready; ";
    const main = spawn("bash", ["-c", `${says} while :; do read -r -t 1 _ <> <(:); done`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => {
      main.kill("SIGKILL");
    });
    const lines = createInterface({ input: main.stdout })[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe("ready");
    const node = { kept, job: "restart" };
    await runUnit("stop", node, { MAINPID: `${main.pid}` });
    return (await lines.next()).value;
  }

  it("is told to leave the mount if systemd keeps it", async () => {
    expect(await endOf("3")).toBe("LEAVE");
  });

  it("is told to leave the mount if systemctl does not say whether systemd keeps it", async () => {
    expect(await endOf("")).toBe("LEAVE");
  });

  it("is told to stop by a signal that it knows if systemd keeps nothing", async () => {
    expect(await endOf("0")).toBe("TERM");
  });
});
