// The command of packaging/containerd/README.md that makes a base runtime spec, with a `ctr` that prints what
// containerd's does (oci.GenerateSpec).

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { haveProgram, output } from "../support/command.js";
import { project } from "../support/project.js";

const SPEC = {
  process: { cwd: "/", rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }] },
  linux: {},
};
const HOOK = { hook: { path: "/usr/libexec/vprocfs-hook" } };

it.runIf(haveProgram("jq"))(
  "a base runtime spec has the hook, and no limits for pods",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "vprocfs-test-containerd-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const hook = join(directory, "20-vprocfs.json");
    writeFileSync(hook, JSON.stringify(HOOK));
    const ctr = `#!/bin/sh\n[ "$*" = "oci spec" ] && echo '${JSON.stringify(SPEC)}'\n`;
    writeFileSync(join(directory, "ctr"), ctr, { mode: 0o755 });
    const page = readFileSync(join(project, "packaging/containerd/README.md"), "utf8");
    const [command = ""] = /^ +ctr oci spec \| jq .*\\\n.*$/m.exec(page) ?? [];
    const here = command
      .replace("/usr/share/containers/oci/hooks.d/20-vprocfs.json", hook)
      .replace(/>\S+$/, "");
    const env = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
    expect(JSON.parse(await output(["sh", "-c", here], { env }))).toEqual({
      process: { cwd: "/" },
      linux: {},
      hooks: { createRuntime: [HOOK.hook] },
    });
    // What is tried on a node is the same.
    const filter = /'\.hooks\.[^']*'/.exec(command)?.[0] ?? "?";
    const scenarios = readFileSync(join(project, "test/node/scenarios/containers.mjs"), "utf8");
    expect(scenarios).toContain(filter);
  },
);
