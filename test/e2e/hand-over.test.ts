// One vprocfs gives its place to another one, as packages have them do by their units' ExecStop=.

import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type Mount, mountAt, readMounts } from "../../src/mountinfo.js";
import { polledMountpointOf } from "../../src/polled.js";
import { filesOf, mountsOf, PLACES } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { output } from "../support/command.js";
import { Container } from "../support/container.js";
import { cli, Daemon, temporaryDirectory, vprocfs, withStandby } from "../support/daemon.js";
import { Managed } from "../support/managed.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { Storm, statusOf } from "./never-down-support.js";

withStandby();

const MEMORY = 64 * MIB;
/** Other containers of this machine are not ours. */
const MINE = `vprocfs-test-${process.pid}-*`;
const WATCH = ["--watch", "on", "--attach-only", MINE];

const unit = join(project, "packaging/systemd/vprocfs-unit");

interface Node {
  /** PID of the keeper of lxcfs.service. */
  readonly other?: number;
  /** What systemd is about to do with vprocfs.service; "fails": it does not say. */
  readonly job?: "stop" | "restart" | "fails";
  readonly env?: NodeJS.ProcessEnv;
}

/** What vprocfs.service runs, on a node where systemd holds descriptors of it. */
async function runUnit(
  action: "stop" | "stopped",
  { other = 0, job, env = {} }: Node,
): Promise<void> {
  const own = testScope();
  const directory = temporaryDirectory(own, "bin");
  const jobs = job === "fails" ? "exit 1" : job && `echo "7 vprocfs.service ${job} running"`;
  const systemctl = `#!/bin/sh
case "$*" in
"show --property=MainPID --value lxcfs.service") echo ${other} ;;
"show --property=NFileDescriptorStore --value vprocfs.service") echo 8 ;;
list-jobs*) ${jobs ?? ":"} ;;
is-system-running) echo running ;;
esac
`;
  writeFileSync(join(directory, "systemctl"), systemctl, { mode: 0o755 });
  const program = join(directory, "vprocfs");
  writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} ${cli} "$@"\n`, { mode: 0o755 });
  const path = `${directory}:${process.env.PATH}`;
  await output([unit, action, "vprocfs.service"], {
    env: { PATH: path, VPROCFS: program, INVOCATION_ID: "1", ...env },
  });
}

/** How many places of a container have files of the vprocfs that is mounted at `mountpoint`. */
function placesOf(container: Container, mountpoint: string): number {
  const device = mountAt(readMounts(), mountpoint)?.device;
  // The container may have a copy of the host's mount, too.
  const isPlace = (mount: Mount): boolean => mount.device === device && mount.root !== "/";
  return mountsOf(container.init).filter(isPlace).length;
}

describeLive("another vprocfs", ["g++"], () => {
  const scope = fileScope();

  it("takes the place of one that stops, and no reader sees the node's figures", async () => {
    const own = testScope();
    const first = await Daemon.start(scope, ...WATCH);
    const container = await Container.start(own, { memory: MEMORY, name: "c" });
    const alone = await Container.start(own, { memory: MEMORY, name: "alone" });
    for (const { init } of [container, alone]) {
      await vprocfs("attach", "--mountpoint", first.mountpoint, `${init}`);
    }
    await vprocfs("detach", "--mountpoint", first.mountpoint, `${alone.init}`);
    const readers = await Storm.start(own, container, "", 4);
    const second = await Daemon.start(own, ...WATCH);
    // Beside each other each leaves the other's files as they are.
    const beside = placesOf(container, first.mountpoint);
    expect(beside).toBeGreaterThan(0);
    expect(placesOf(container, second.mountpoint)).toBe(0);

    const MAINPID = `${(await statusOf(first)).keeperPid}`;
    await runUnit("stop", { other: (await statusOf(second)).keeperPid, env: { MAINPID } });
    expect(placesOf(container, first.mountpoint)).toBe(0);
    expect(placesOf(container, second.mountpoint)).toBe(beside);
    expect(await first.stop()).toBe(0);
    expect(filesOf(container.init)).toEqual(PLACES);
    const found = await readers.end();
    expect(found).toMatchObject({ failures: {}, inFlight: {}, hung: 0 });
    expect(found.reads).toBeGreaterThan(100);
    // What an operator has detached is no business of either.
    expect(filesOf(alone.init)).toEqual([]);
  });

  it("is not needed to take dead files out of containers when no worker could", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own, ...WATCH, "--standby", "off");
    const container = await Container.start(own, { memory: MEMORY, name: "left" });
    await vprocfs("attach", "--mountpoint", daemon.mountpoint, `${container.init}`);
    const { workerPid } = await statusOf(daemon);
    // The keeper is told to stop while it waits for the next one to start.
    process.kill(workerPid, "SIGKILL");
    expect(await daemon.stop()).toBe(0);
    expect(filesOf(container.init)).toEqual(expect.arrayContaining(PLACES));
    const VPROCFS_MOUNTPOINT = daemon.mountpoint;
    await runUnit("stopped", { env: { VPROCFS_MOUNTPOINT } });
    expect(filesOf(container.init)).toEqual(expect.arrayContaining(PLACES));
    // Settings of another one that stops at the same time, and has just taken them away.
    const gone = join("/run/vprocfs", `${testName("gone")}.attach`);
    own.defer(() => rmSync(gone));
    symlinkSync(`${gone}-now`, gone);
    await runUnit("stopped", { env: { VPROCFS_MOUNTPOINT, SERVICE_RESULT: "success" } });
    expect(filesOf(container.init)).toEqual([]);
  });

  it("is not needed to unmount what systemd still holds after a stop, and nobody serves", async () => {
    const own = testScope();
    const managed = await Managed.start(own, []);
    const container = await Container.start(own, { memory: MEMORY, name: "held" });
    await vprocfs("attach", "--mountpoint", managed.mountpoint, `${container.init}`);
    const { keeperPid, workerPid } = await managed.serving();
    process.kill(managed.pid, "SIGSTOP");
    own.defer(() => void process.kill(managed.pid, "SIGCONT"));
    for (const pid of [keeperPid, workerPid]) {
      process.kill(pid, "SIGKILL");
    }
    const env = { VPROCFS_MOUNTPOINT: managed.mountpoint, SERVICE_RESULT: "signal" };
    for (const job of ["restart", "fails", undefined] as const) {
      await runUnit("stopped", { env, ...(job && { job }) });
      expect(managed.isMounted).toBe(true);
      expect(filesOf(container.init)).toEqual(expect.arrayContaining(PLACES));
    }
    await runUnit("stopped", { env, job: "stop" });
    expect(managed.isMounted).toBe(false);
    expect(mountAt(readMounts(), polledMountpointOf(managed.mountpoint))).toBeUndefined();
    expect(filesOf(container.init)).toEqual([]);
  });

  it("gets nothing where systemd does not say that it is not a restart", async () => {
    const managed = await Managed.start(testScope(), []);
    const { keeperPid } = await managed.serving();
    await runUnit("stop", { other: 0, job: "fails", env: { MAINPID: `${keeperPid}` } });
    await until("it leaves", () => managed.logs.includes("leaving the mount to the next keeper"));
    await managed.ended();
    expect(managed.isMounted).toBe(true);
  });

  it("says when it is asked to take its own place", async () => {
    const daemon = await Daemon.start(testScope());
    const on = ["--mountpoint", daemon.mountpoint];
    expect(
      await vprocfs("attach", "--all", ...on, "--in-place-of", daemon.mountpoint),
    ).toMatchObject({
      status: 2,
      stderr: `vprocfs: --in-place-of: ${daemon.mountpoint} is its own mount point\n`,
    });
  });
});
