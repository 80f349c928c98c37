// The Debian package: installed, upgraded under load and purged, in the virtual machine.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { haveProgram, output } from "../../support/command.js";
import { project } from "../../support/project.js";
import { testScope } from "../../support/test-scope.js";
import { runInVm, vmUnavailable } from "../../support/vm/vm.js";

const missing = haveProgram("dpkg-deb") ? vmUnavailable() : "no dpkg-deb";
const title = missing === undefined ? "the Debian package" : `the Debian package (${missing})`;

describe.runIf(missing === undefined)(title, () => {
  it("installs, upgrades under load, and purges without a trace", {
    timeout: 1_600_000,
  }, async () => {
    // Below the project: the machine shares it, and /tmp not.
    const directory = mkdtempSync(join(project, "build/vprocfs-test-deb-"));
    testScope().defer(() => rmSync(directory, { recursive: true }));
    for (const version of ["0.1.0+1", "0.1.0+2"]) {
      // Without a network.
      const build = ["unshare", "--net", process.execPath, "packaging/debian/build.mjs"];
      const options = ["--output", directory, "--version", version, "--compression", "none"];
      await output([...build, ...options], { cwd: project });
    }
    const named = (start: string): string[] =>
      readdirSync(directory)
        .filter((name) => name.startsWith(start))
        .sort()
        .map((name) => join(directory, name));
    const packages = [...named("vprocfs_"), ...named("vprocfs-lxcfs-compat_").slice(0, 1)];
    expect(packages).toHaveLength(3);
    const guest = ["bash", "test/e2e/vm/debian-guest.sh", ...packages];
    const { code, stdout } = await runInVm(guest, { timeoutSeconds: 1500 });
    expect(stdout).toContain("all checks hold");
    expect(code, stdout).toBe(0);
  });
});
