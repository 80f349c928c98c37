// /run is full, or becomes so: files are served, containers attached, workers replaced and reloaded all
// the same, and what cannot be is told.

import { mkdtempSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { filesOf } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { background, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { cli } from "../support/daemon.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { memTotalKb } from "../support/procfile.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

/** In a mount namespace of its own with a /run of its own: $1 its options, then the daemon's command. */
const PRIVATE = `mount --make-rprivate / && mount -t tmpfs -o "$1" run /run && shift && exec "$@"`;

class Hermit {
  readonly mountpoint: string;
  readonly pid: number;
  logs = "";

  private constructor(mountpoint: string, pid: number) {
    this.mountpoint = mountpoint;
    this.pid = pid;
  }

  static async start(scope: Scope, options: string, only: string): Promise<Hermit> {
    const mountpoint = mkdtempSync(join(tmpdir(), `${testName("mnt")}-`));
    scope.defer(() => rmdirSync(mountpoint));
    const quiet = ["--metrics", "off", "--watch", "on", "--attach-only", only];
    const child = background(scope, [
      ...["unshare", "-m", "sh", "-c", PRIVATE, "sh", options],
      ...[process.execPath, cli, "run", mountpoint, ...quiet],
    ]);
    const hermit = new Hermit(mountpoint, child.pid ?? 0);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        hermit.logs += text;
      });
    }
    await hermit.serving(1);
    return hermit;
  }

  async serving(generation: number): Promise<void> {
    await until(`generation ${generation} serves`, () =>
      this.logs.includes(`serves, generation ${generation}`),
    ).catch((error: unknown) => {
      throw new Error(this.logs, { cause: error });
    });
    expect(await this.inside("cat", `${this.mountpoint}/proc/meminfo`)).toMatch(/^MemTotal:/);
  }

  async inside(...argv: readonly string[]): Promise<string> {
    const { stdout, stderr } = await run(["nsenter", "-t", `${this.pid}`, "-m", "--", ...argv]);
    return `${stdout}${stderr}`;
  }

  /** The worker that logged last that it serves. */
  get worker(): number {
    return Number([...this.logs.matchAll(/worker (\d+) serves/g)].at(-1)?.[1]);
  }
}

async function goesOn(scope: Scope, hermit: Hermit, name: string, generation = 1): Promise<void> {
  process.kill(hermit.worker, "SIGKILL");
  await hermit.serving(generation + 1);
  process.kill(hermit.pid, "SIGHUP");
  await hermit.serving(generation + 2);
  const container = await Container.start(scope, { name, memory: 64 * MIB });
  container.start(scope, ["sleep", "1000000"]);
  await until("it is attached", () => filesOf(container.init).includes("/proc/meminfo"));
  expect(memTotalKb(await container.read("/proc/meminfo"))).toBe(64 * 1024);
  process.kill(hermit.pid, "SIGTERM");
  await until("it has ended", () => {
    try {
      return !readFileSync(`/proc/${hermit.pid}/stat`, "utf8").includes("vprocfs-keeper");
    } catch {
      return true;
    }
  });
}

describeLive("a /run without room", ["unshare", "busybox"], () => {
  it("from the beginning", async () => {
    const scope = testScope();
    const name = "full-run-first";
    const hermit = await Hermit.start(scope, "nr_inodes=1", `vprocfs-test-${process.pid}-*`);
    expect(hermit.logs).toContain("no control socket");
    expect(hermit.logs).toContain("not answering system calls of containers");
    expect(hermit.logs).toContain("cannot write the settings for hooks");
    await goesOn(scope, hermit, name);
  });

  it("while it serves", async () => {
    const scope = testScope();
    const name = "full-run-later";
    const hermit = await Hermit.start(scope, "size=1m", `vprocfs-test-${process.pid}-*`);
    const status = await hermit.inside(
      process.execPath,
      cli,
      "status",
      "--mountpoint",
      hermit.mountpoint,
    );
    expect(status).toMatch(/^generation +1$/m);
    expect(await hermit.inside("dd", "if=/dev/zero", "of=/run/full")).toContain("No space left");
    process.kill(hermit.worker, "SIGKILL");
    await until("it cannot write settings", () =>
      hermit.logs.includes("cannot write the settings for hooks"),
    );
    await hermit.inside("rm", "/run/full");
    await until("it has written them", () =>
      hermit.logs.includes("the settings for hooks are written now"),
    );
    expect(await hermit.inside("dd", "if=/dev/zero", "of=/run/full")).toContain("No space left");
    await goesOn(scope, hermit, name, 2);
    expect(hermit.logs).not.toContain("not answering system calls of containers");
  });
});
