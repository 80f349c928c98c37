// Files that are polled have a connection of their own, and no other file is asked for polls.

import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { mountAt, readMounts } from "../../src/mountinfo.js";
import { polledMountpointOf } from "../../src/polled.js";
import { MIB } from "../support/cgroups.js";
import { background, output, outputSync } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { counters } from "../support/counters.js";
import { Daemon, temporaryDirectory, VIEWS, vprocfs, withStandby } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { replaceWorker, servingAfter, statusOf, stopped } from "./never-down-support.js";

withStandby();

const TRIGGER = "some 1000 2000000";
const lacks = existsSync("/proc/pressure/cpu") ? [] : ["a kernel that accounts pressure"];
const PLAIN = VIEWS.filter((view) => !view.startsWith("proc/pressure/"));

/** As Go's os.Open has it: opens each file, puts it into an epoll set, and reads it. */
const EPOLL = `
import select, sys
for path in sys.argv[1:]:
    for _ in range(3):
        with open(path, "rb") as file, select.epoll() as poll:
            poll.register(file.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
            assert poll.poll(0)[0][1] & select.EPOLLIN
            assert file.read()
`;

function write(file: string): string[] {
  return [program("trigger"), "try", file, TRIGGER];
}

/** The next worker serves, and the second mount is there once. */
async function mountedAgain(daemon: Daemon, generation: number): Promise<void> {
  await servingAfter(daemon, generation);
  const second = polledMountpointOf(daemon.mountpoint);
  const layers = readMounts().filter(({ mountpoint }) => mountpoint === second);
  expect(layers.map(({ fsType }) => fsType)).toEqual(["fuse.lxcfs"]);
  expect(await readFile(daemon.path("proc/pressure/cpu"), "utf8")).toMatch(/^some /);
}

describeLive("files that are polled", ["python3", "busybox"], polled, lacks);

function polled(): void {
  it("are the only ones that the kernel asks about", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--no-keeper", "--log-format", "json");
    const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
    const readable = PLAIN.filter((view) => view.startsWith("proc/")).map((view) => `/${view}`);
    await container.output(["python3", "-c", EPOLL, ...readable]);
    // The one that told the kernel so.
    expect((await counters(daemon)).requests.POLL).toBe(1);
    await container.output(["python3", "-c", EPOLL, "/proc/pressure/cpu"]);
    expect((await counters(daemon)).requests.POLL).toBeGreaterThan(3);
  });

  it("are where the links of the tree lead, for everybody who sees that", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--no-keeper");
    const second = polledMountpointOf(daemon.mountpoint);
    const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
    const id = await container.id(daemon);
    for (const tree of ["", `containers/${id}`]) {
      const link = daemon.path(tree, "proc/pressure");
      expect(readlinkSync(link)).toBe(join(second, tree, "proc/pressure"));
      // To everybody on the host.
      const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
      expect(await output([...nobody, "cat", join(link, "io")])).toMatch(/^some /);
      expect(statSync(join(link, "io")).dev).toBe(statSync(second).dev);
    }
    // A container cannot see another one's there either, nor that there is one.
    const other = await Container.start(scope, { name: "other", memory: 64 * MIB });
    const peek = ["ls", join(second, "containers", id)];
    expect((await other.run(peek)).status).not.toBe(0);
    expect((await container.run(peek)).status).toBe(0);
    expect(await other.output(["ls", join(second, "containers")])).not.toContain(id);
    // A process with another root reads the figures beside the link, and no trigger gets lost there.
    const root = temporaryDirectory(scope, "root");
    mkdirSync(join(root, "tree"));
    outputSync(["mount", "--bind", daemon.mountpoint, join(root, "tree")]);
    scope.defer(() => outputSync(["umount", "--lazy", join(root, "tree")]));
    for (const place of ["/bin", "/lib", "/lib64", "/usr", "/proc", "/etc"].filter(existsSync)) {
      mkdirSync(join(root, place));
      outputSync(["mount", "--rbind", place, join(root, place)]);
      scope.defer(() => outputSync(["umount", "--lazy", join(root, place)]));
    }
    const inside = `/tree/containers/${id}/proc/pressure`;
    expect(await output(["chroot", root, "readlink", inside])).toBe(".pressure\n");
    expect(await output(["chroot", root, "cat", `${inside}/io`])).toMatch(/^some /);
    const beside = daemon.path("containers", id, "proc/.pressure/io");
    expect(await output(write(beside))).toBe("EOPNOTSUPP\n");
    expect(await container.output(write("/proc/pressure/io"))).toBe("ok\n");
  });

  it("take the place of others in containers", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await Container.start(scope, { memory: 64 * MIB });
    const id = await container.id(daemon);
    // As a version with one mount has left them.
    for (const name of ["cpu", "io", "memory"]) {
      const from = daemon.path("containers", id, "proc/.pressure", name);
      await container.shell(`mount --bind ${from} /proc/pressure/${name}`);
    }
    expect(await container.output(write("/proc/pressure/cpu"))).toBe("EOPNOTSUPP\n");
    await vprocfs("attach", `${container.init}`, "--mountpoint", daemon.mountpoint);
    expect(await container.output(write("/proc/pressure/cpu"))).toBe("ok\n");
    const mounts = await container.read("/proc/self/mountinfo");
    expect(mounts.match(/ \/proc\/pressure\/cpu /g)).toHaveLength(1);
    await vprocfs("detach", `${container.init}`, "--mountpoint", daemon.mountpoint);
    expect(await container.read("/proc/self/mountinfo")).not.toMatch(
      / \/(proc|sys)\/.*fuse\.lxcfs/,
    );
  });

  it("are polled on the one mount where the second one cannot be made", async () => {
    const scope = testScope();
    for (const keeper of [[], ["--no-keeper"]]) {
      const mountpoint = temporaryDirectory(scope, "mnt");
      const second = polledMountpointOf(mountpoint);
      mkdirSync(second, { recursive: true });
      outputSync(["mount", "-t", "tmpfs", "tmpfs", second]);
      const daemon = await Daemon.startAt(scope, mountpoint, ...keeper);
      const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
      expect(await container.output(write("/proc/pressure/cpu"))).toBe("ok\n");
      expect(daemon.logs.match(/"level":"warn".*pressure files/g)).toHaveLength(1);
      const { stdout } = await vprocfs("doctor", "--json", "--mountpoint", mountpoint);
      expect(`${stdout}`).toContain("pressure files have no mount of their own");
      outputSync(["umount", second]);
      await daemon.stop();
      rmSync(second, { recursive: true, force: true });
    }
  });

  it("are read beside the link when they were unmounted and containers still use them", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
    const second = polledMountpointOf(daemon.mountpoint);
    const link = daemon.path("proc/pressure");
    expect(readlinkSync(link)).toBe(join(second, "proc/pressure"));
    outputSync(["umount", second]);
    expect(readlinkSync(link)).toBe(".pressure");
    await replaceWorker(daemon, "reload");
    expect(readlinkSync(link)).toBe(".pressure");
    expect(await container.output(write("/proc/pressure/cpu"))).toBe("ok\n");
  });

  it("are read beside the link when what lies there has only the number of theirs", async () => {
    const daemon = await Daemon.start(testScope());
    const second = polledMountpointOf(daemon.mountpoint);
    const { generation, keeperPid } = await statusOf(daemon);
    await stopped(keeperPid);
    outputSync(["umount", second]);
    // Mostly the kernel gives the number that was free last.
    outputSync(["mount", "-t", "tmpfs", "tmpfs", second]);
    const leadsTo = readlinkSync(daemon.path("proc/pressure"));
    outputSync(["umount", second]);
    process.kill(keeperPid, "SIGCONT");
    expect(leadsTo).toBe(".pressure");
    await servingAfter(daemon, generation);
    expect(readlinkSync(daemon.path("proc/pressure"))).toBe(join(second, "proc/pressure"));
  });

  it("are mounted again when somebody has unmounted them", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const second = polledMountpointOf(daemon.mountpoint);
    const { generation } = await statusOf(daemon);
    outputSync(["umount", second]);
    await mountedAgain(daemon, generation);
    expect((await statusOf(daemon)).polled).toBe(true);
    await daemon.stop();
    expect(existsSync(second)).toBe(false);
  });

  it("are mounted again when a container has aborted their connection", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const second = polledMountpointOf(daemon.mountpoint);
    const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
    const { generation, keeperPid } = await statusOf(daemon);
    const doctor = async (): Promise<string> => {
      const { stdout } = await vprocfs("doctor", "--json", "--mountpoint", daemon.mountpoint);
      return `${stdout}`;
    };
    // It sees nothing until the operator has asked.
    await stopped(keeperPid);
    await container.output(["busybox", "umount", "-f", "/proc/pressure/cpu"]);
    expect(await doctor()).toContain(`${second} is dead`);
    process.kill(keeperPid, "SIGCONT");
    await mountedAgain(daemon, generation);
    expect(await doctor()).toContain("polled through a mount of their own");
    await daemon.stop();
    expect(existsSync(second)).toBe(false);
  });

  it("are mounted again over what an earlier version left there", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const second = polledMountpointOf(daemon.mountpoint);
    const { generation, keeperPid } = await statusOf(daemon);
    await stopped(keeperPid);
    outputSync(["umount", second]);
    // Of the type and source of its own, as dead ones are.
    for (let i = 0; i < 3; i += 1) {
      outputSync(["mount", "--bind", daemon.mountpoint, second]);
    }
    process.kill(keeperPid, "SIGCONT");
    await mountedAgain(daemon, generation);
  });

  it("are mounted again once they can be", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const second = polledMountpointOf(daemon.mountpoint);
    const { generation, keeperPid } = await statusOf(daemon);
    // Before it looks, something else is mounted there.
    await stopped(keeperPid);
    outputSync(["umount", second]);
    outputSync(["mount", "-t", "tmpfs", "tmpfs", second]);
    process.kill(keeperPid, "SIGCONT");
    await until("it has tried", () => daemon.logs.includes("something is mounted here"));
    outputSync(["umount", second]);
    await mountedAgain(daemon, generation);
    expect(daemon.logs.match(/something is mounted here/g)).toHaveLength(1);
  });

  it("stay while their keeper executes itself again", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await Container.start(scope, { memory: 64 * MIB, binds: bindsOf(daemon) });
    const holder = container.start(scope, [
      ...[program("trigger"), "poll", "/proc/pressure/io", `full 1900000 2000000`],
    ]);
    const second = polledMountpointOf(daemon.mountpoint);
    const before = mountAt(readMounts(), second)?.device;
    const { keeperPid, workerPid, generation } = await statusOf(daemon);
    process.kill(keeperPid, "SIGUSR2");
    await until("it is another program", () => daemon.logs.includes("continuing with worker"));
    process.kill(workerPid, "SIGKILL");
    await servingAfter(daemon, generation);
    expect(mountAt(readMounts(), second)?.device).toBe(before);
    expect(await container.read("/proc/pressure/cpu")).toMatch(/^some /);
    expect(await container.output(write("/proc/pressure/cpu"))).toBe("ok\n");
    expect(holder.exitCode).toBeNull();
  });

  it("are read on while workers are killed", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const second = polledMountpointOf(daemon.mountpoint);
    const reader = background(scope, [
      "sh",
      "-c",
      'while :; do cat "$1" >/dev/null || exit 3; done',
      "sh",
      join(second, "proc/pressure/cpu"),
    ]);
    let { generation } = await statusOf(daemon);
    for (let round = 0; round < 3; round += 1) {
      process.kill((await statusOf(daemon)).workerPid, "SIGKILL");
      ({ generation } = await servingAfter(daemon, generation));
    }
    expect(reader.exitCode).toBeNull();
    expect(readFileSync(join(second, "proc/pressure/cpu"), "utf8")).toMatch(/^some /);
  });
}
