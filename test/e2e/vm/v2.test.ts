// Everything on Linux 6.1 and nothing but cgroup v2, with every capability: one machine for all.

import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { haveProgram, output } from "../../support/command.js";
import { testName } from "../../support/names.js";
import { cxxProgram, program } from "../../support/programs.js";
import { project } from "../../support/project.js";
import { inLong, isLong } from "../../support/size.js";
import { fileScope, testScope } from "../../support/test-scope.js";
import { expectAllChecks } from "../../support/vm/checks.js";
import { Vm, type VmResult, vmUnavailable } from "../../support/vm/vm.js";

const KILLS = inLong(2, 20);
const SUSPENDS = inLong(1, 20);
/** Everything takes many times longer in there, and more when the machine around it is busy. */
const SECONDS = 1500;
const TIMEOUT = { timeout: (SECONDS + 400) * 1000 };

const missing = vmUnavailable();
const title = `on cgroup v2${missing === undefined ? "" : ` (skipped: ${missing})`}`;

describe.runIf(missing === undefined)(title, () => {
  const scope = fileScope();
  let vm: Vm;

  beforeAll(() => {
    vm = Vm.boot(scope, { kernelArguments: "numa=fake=2" });
  });

  function guest(name: string, ...args: readonly string[]): Promise<VmResult> {
    return vm.run(["bash", `test/e2e/vm/${name}-guest.sh`, ...args], SECONDS);
  }

  it("shows memory, swap, CPUs and time by the limits", TIMEOUT, async () => {
    expectAllChecks(await guest("v2-limits"));
  });

  it("counts tasks and sets triggers", TIMEOUT, async () => {
    expectAllChecks(await guest("v2-tasks", program("crowd"), program("trigger")));
  });

  it("tells a container what the kernel says about it", TIMEOUT, async () => {
    expectAllChecks(await guest("kernel-log", program("fault")));
  });

  it("finds whose figures a process is to see", TIMEOUT, async () => {
    expectAllChecks(await guest("caller-identity"));
  });

  it("suspends while programs poll every file", TIMEOUT, async () => {
    expectAllChecks(await guest("suspend", `${SUSPENDS}`));
  });

  it("gives all containers their files, and takes them away", TIMEOUT, async () => {
    expectAllChecks(await guest("attach"));
  });

  // CRIU 3.17 does not know the kernels of today's hosts, and this one it does.
  for (const [runtime, name] of [
    ["runc", "runc"],
    ["lxc", "lxc-checkpoint"],
  ] as const) {
    const lacking = ["criu", name].filter((one) => !haveProgram(one));
    const reason = lacking.length === 0 ? "" : ` (skipped: no ${lacking.join(", no ")})`;
    it.runIf(isLong && lacking.length === 0)(
      `lets CRIU checkpoint and restore a container of ${runtime} that has the files${reason}`,
      TIMEOUT,
      async () => {
        expectAllChecks(await guest("criu", runtime));
      },
    );
  }

  it("without resend, fails only requests in flight when a worker dies", TIMEOUT, async () => {
    const script = `${project}/test/e2e/vm/never-down-guest.mjs`;
    const { code, stdout } = await vm.run(
      ["node", script, project, cxxProgram("storm"), `${KILLS}`],
      SECONDS,
    );
    const line = stdout.split("\n").find((text) => text.startsWith('{"reads"'));
    expect(code, stdout).toBe(0);
    const result: Record<string, unknown> = JSON.parse(line ?? "{}");
    if (isLong || process.env.VPROCFS_TEST_STORM_KILLS !== undefined) {
      console.log(`no resend: ${line}`);
    }
    expect(result.failures).toEqual({});
    expect(result).toMatchObject({
      hung: 0,
      later: true,
      status: { resend: false, restarts: KILLS, resent: 0 },
    });
  });

  it.runIf(haveProgram("dpkg-deb"))(
    "installs the Debian package, installs it again under load, and purges it without a trace",
    TIMEOUT,
    async () => {
      expectAllChecks(await guest("debian", ...(await debianPackages())));
    },
  );
});

/**
 * The package in two versions, and the ones that take LXCFS's place. In the short form, in which the machine would be
 * busy with them for minutes, it is the same package twice: dpkg unpacks it again, and its scripts do what they do at
 * an upgrade.
 */
async function debianPackages(): Promise<readonly string[]> {
  // Below the project: the machine shares it, and /tmp not.
  mkdirSync(join(project, "build"), { recursive: true });
  const directory = mkdtempSync(join(project, "build", `${testName("deb")}-`));
  testScope().defer(() => rmSync(directory, { recursive: true }));
  for (const version of inLong(["0.1.0+1"], ["0.1.0+1", "0.1.0+2"])) {
    // Without a network.
    const build = ["unshare", "--net", process.execPath, "packaging/debian/build.mjs"];
    // A build removes the packages of other versions from where it puts its own.
    const place = ["--output", join(directory, version)];
    const options = [...place, "--version", version, "--compression", "none"];
    await output([...build, ...options], { cwd: project });
  }
  const named = (version: string, start: string): string[] =>
    readdirSync(join(directory, version))
      .filter((name) => name.startsWith(start))
      .map((name) => join(directory, version, name));
  const packages = [
    ...named("0.1.0+1", "vprocfs_"),
    ...named(inLong("0.1.0+1", "0.1.0+2"), "vprocfs_"),
    ...inLong<readonly string[]>([], ["vprocfs-lxcfs-compat_", "vprocfs-as-lxcfs_"]).flatMap(
      (name) => named("0.1.0+1", name),
    ),
  ];
  expect(packages).toHaveLength(inLong(2, 4));
  return packages;
}
