// The daemon against greedy containers and unfit machines: clear errors, and nobody else suffers.

import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readStatus } from "../../src/keeper-status.js";
import { MIB } from "../support/cgroups.js";
import { output, outputSync, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { cli, Daemon, temporaryDirectory, vprocfs, withStandby } from "../support/daemon.js";
import { Fifo } from "../support/fifo.js";
import { describeLive } from "../support/needs.js";
import { memTotalKb } from "../support/procfile.js";
import { program } from "../support/programs.js";
import { inLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { standingBy } from "./never-down-support.js";

withStandby();

const OPENS = inLong(10_000, 100_000);

describe("vprocfs bench", () => {
  it("hands its arguments on to the benchmark, and its status back", async () => {
    expect((await vprocfs("bench", "--help")).stdout.toString()).toContain("Usage: vprocfs bench");
    expect((await vprocfs("bench", "--list")).stdout.toString()).toMatch(/^latency: /m);
    const wrong = await vprocfs("bench", "--no-such-option");
    expect(wrong.status).not.toBe(0);
    expect(wrong.stderr).toContain("unknown option '--no-such-option'");
  });
});

describeLive("the daemon", ["setpriv", "unshare"], () => {
  it("bounds the files that one container holds open; others notice nothing", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own, "--max-open-per-container", "1000");
    const greedy = await Container.start(own, { name: "greedy", memory: 256 * MIB });
    const modest = await Container.start(own, { name: "modest", memory: 64 * MIB });
    const path = daemon.path("proc/meminfo");
    const hoard = greedy.start(own, [program("hoard"), `${OPENS}`, path]);
    let tally = "";
    hoard.stdout?.setEncoding("utf8").on("data", (text: string) => {
      tally += text;
    });
    let reads = 0;
    await until("all opens have been tried", async () => {
      expect(memTotalKb(await modest.read(path))).toBe(64 * 1024);
      reads += 1;
      return tally.endsWith("\n");
    });
    expect(reads).toBeGreaterThan(0);
    expect(tally).toBe(`1000 ${OPENS - 1000} 0 0\n`);
    const calls = greedy.syscalls(own);
    expect(await calls.call("open", 0, daemon.path("proc/stat"))).toMatchObject({
      error: "ENFILE",
    });
    expect(memTotalKb(await modest.read(path))).toBe(64 * 1024);
    expect(memTotalKb(await daemon.read("proc/meminfo"))).toBeGreaterThan(256 * 1024);
    hoard.stdin?.end();
    await once(hoard, "close");
    await until("it may open again", async () => {
      const answer = await calls.call("open", 0, path);
      return answer.error === undefined;
    });
  });

  it("outlives readers that are killed at any moment", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own);
    const container = await Container.start(own, { memory: 64 * MIB });
    const path = daemon.path("proc/meminfo");
    for (const method of ["read", "sendfile", "mmap", "read1"]) {
      const life = testScope();
      for (let readers = 0; readers < 4; readers += 1) {
        const child = container.start(life, [program("drain"), method, "1000000", path]);
        await once(child.stdout ?? child, "data");
      }
      await life.close();
    }
    expect(memTotalKb(await container.read(path))).toBe(64 * 1024);
  });

  describe("refuses", () => {
    async function refused(...args: readonly string[]): Promise<string> {
      const outcome = await vprocfs("run", ...args);
      expect(outcome.status).toBe(1);
      expect(`${outcome.stdout}`).toBe("");
      expect(outcome.stderr).toMatch(/^vprocfs: [^\n]*\n$/);
      return outcome.stderr;
    }

    it("a mount point where another one serves, which goes on", async () => {
      const own = testScope();
      const daemon = await Daemon.start(own);
      const container = await Container.start(own, { memory: 64 * MIB });
      expect(await refused(daemon.mountpoint)).toContain("already mounted");
      expect(
        await refused(`${daemon.mountpoint}/../${daemon.mountpoint.split("/").at(-1)}`),
      ).toMatch(/already mounted/);
      expect(memTotalKb(await container.read(daemon.path("proc/meminfo")))).toBe(64 * 1024);
    });

    it("a directory with something in it, a file, nothing, another file system", async () => {
      const own = testScope();
      const directory = temporaryDirectory(own, "places");
      const place = (name: string): string => join(directory, name);
      mkdirSync(join(place("full"), "below"), { recursive: true });
      writeFileSync(place("file"), "");
      mkdirSync(place("mounted"));
      outputSync(["mount", "-t", "tmpfs", "vprocfs-test", place("mounted")]);
      own.defer(() => outputSync(["umount", place("mounted")]));
      expect(await refused(place("full"))).toContain("not empty");
      expect(await refused(place("file"))).toContain("not a directory");
      expect(await refused(place("absent"))).toContain("no such directory");
      expect(await refused(place("mounted"))).toContain("something else is mounted");
    });

    it("other users than root", async () => {
      const directory = temporaryDirectory(testScope(), "nobody");
      const user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
      const outcome = await run([...user, process.execPath, cli, "run", directory]);
      expect(outcome).toMatchObject({ status: 1, stderr: "vprocfs: must be run as root\n" });
    });

    it.each([
      ["missing", "mount -t tmpfs none /dev"],
      ["something else", "mount --bind /dev/null /dev/fuse"],
      ["a file", 'touch "$0/fuse" && mount --bind "$0/fuse" /dev/fuse'],
    ])("a machine where /dev/fuse is %s", async (_, hide) => {
      const own = testScope();
      const directory = temporaryDirectory(own, "nofuse");
      const aside = temporaryDirectory(own, "aside");
      const script = `${hide} && exec "$@"`;
      const argv = ["unshare", "--mount", "--", "/bin/sh", "-c", script, aside];
      const outcome = await run([...argv, process.execPath, cli, "run", directory]);
      expect(outcome.status).toBe(1);
      expect(outcome.stderr).toMatch(/^[^\n]*(\/dev\/fuse|cannot mount)[^\n]*\n$/);
    });
  });

  it.each([
    ["on a full disk", []],
    ["on a full disk", ["--no-keeper"]],
    ["into a pipe that nobody reads", []],
    ["into a pipe that nobody reads", ["--no-keeper"]],
  ])("serves when its log cannot be written: %s %j", async (place, more) => {
    const own = testScope();
    const fifo = new Fifo(own);
    fifo.fill();
    const path = place === "on a full disk" ? "/dev/full" : fifo.path;
    const full = ["/bin/sh", "-c", 'exec "$@" 2>"$0"', path];
    const daemon = await Daemon.startUnder(own, full, ...more);
    const container = await Container.start(own, { memory: 64 * MIB });
    const memory = daemon.path("proc/meminfo");
    expect(memTotalKb(await container.read(memory))).toBe(64 * 1024);
    // Each of them is a line of the log.
    const serving =
      more.length === 0 ? (await readStatus(daemon.mountpoint)).workerPid : daemon.pid;
    for (let line = 0; line < 10; line += 1) {
      process.kill(serving, "SIGUSR2");
      expect(memTotalKb(await container.read(memory))).toBe(64 * 1024);
    }
    expect(daemon.processes).toContain(serving);
    expect(await daemon.stop()).toBe(0);
  });

  it("opens no debugger on SIGUSR1, which a service manager may send to all its processes", async () => {
    const daemon = await Daemon.start(testScope());
    // Node listens for it before our code runs.
    const { workerPid } = await standingBy(daemon);
    for (const pid of daemon.processes.filter((one) => one !== daemon.pid)) {
      process.kill(pid, "SIGUSR1");
    }
    process.kill(workerPid, "SIGUSR2");
    await until("the worker has taken its signals", () => daemon.logs.includes("counters"));
    expect(daemon.logs).not.toMatch(/Debugger|inspector/);
    expect((await readStatus(daemon.mountpoint)).workerPid).toBe(workerPid);
    expect(await daemon.stop()).toBe(0);
  });

  it("clears away a dead mount of its own", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own);
    const { mountpoint } = daemon;
    daemon.kill();
    await until("all its processes are gone", () => daemon.processes.length === 0);
    // A request that was queued while the connection ended is told of the end in other words.
    await until("the mount is dead", async () => {
      return `${(await run(["stat", mountpoint])).stderr}`.includes("not connected");
    });
    const second = await Daemon.startAt(own, mountpoint);
    // One that starts now: in older mount namespaces the dead mount is still there.
    const container = await Container.start(own, { memory: 64 * MIB });
    expect(memTotalKb(await container.read(second.path("proc/meminfo")))).toBe(64 * 1024);
    await container.kill();
    expect(await second.stop()).toBe(0);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("ends on %s without a trace", async (signal) => {
    const own = testScope();
    const daemon = await Daemon.start(own);
    const container = await Container.start(own, { memory: 64 * MIB });
    await container.read(daemon.path("proc/meminfo"));
    expect(await daemon.stop(signal)).toBe(0);
    expect(await output(["ls", "-A", daemon.mountpoint])).toBe("");
  });

  it("ends while a container reads and holds files open", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own);
    const container = await Container.start(own, { memory: 64 * MIB });
    const path = daemon.path("proc/meminfo");
    const calls = container.syscalls(own);
    const fd = await calls.open(path);
    const child = container.start(own, [program("drain"), "read", "1000000", path]);
    child.stdout?.resume();
    expect(memTotalKb(await calls.file(path))).toBe(64 * 1024);
    expect(await daemon.stop()).toBe(0);
    expect((await calls.call("pread", fd, 10, 0)).error).toMatch(/^(ENOTCONN|ECONNABORTED|EIO)$/);
  });
});
