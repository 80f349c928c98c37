// Daemons that write the kernel's log down, and dmesg with all that it can, on a container's own.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { report } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { haveProgram, output, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, temporaryDirectory, withStandby } from "../support/daemon.js";
import { unpacked } from "../support/debian.js";
import { follow, hasBanner } from "../support/follow.js";
import { LOGGERS, startLine } from "../support/loggers.js";
import { describeLive } from "../support/needs.js";
import type { Scope } from "../support/scope.js";
import { isLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { ticksOfProcess } from "../support/ticks.js";
import { until } from "../support/wait.js";
import { servingAfter, statusOf } from "./never-down-support.js";

withStandby();

const LIMITS = { memory: 64 * MIB, swap: 0 };
const STARVE = ["sh", "-c", "echo $$; exec tail /dev/zero"];

async function attached(scope: Scope, daemon: Daemon): Promise<Container> {
  const container = await Container.start(scope, LIMITS);
  await report(daemon, container.init);
  return container;
}

async function killWorker(daemon: Daemon): Promise<void> {
  const { workerPid, generation } = await statusOf(daemon);
  process.kill(workerPid, "SIGKILL");
  await servingAfter(daemon, generation);
}

const GO_SOURCE = `package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	file, err := os.Open("/dev/kmsg")
	if err == nil {
		_, err = file.Seek(0, io.SeekEnd)
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	record := make([]byte, 8192)
	for {
		n, err := file.Read(record)
		if err != nil {
			panic(err)
		}
		text := string(record[:n])
		fmt.Print(text)
		if strings.Contains(text, ";the end") {
			return
		}
	}
}
`;

/** A program in Go, by the compiler that is there or Debian's; undefined: neither is. */
async function goProgram(scope: Scope): Promise<string | undefined> {
  const version = /golang-([\d.]+)-go/.exec(
    `${(await run(["apt-cache", "depends", "golang-go"])).stdout}`,
  )?.[1];
  let root: string | undefined;
  // Half a gigabyte.
  if (isLong && !haveProgram("go") && version !== undefined) {
    const files = await unpacked("go", [`golang-${version}-go`, `golang-${version}-src`]);
    const found = files === undefined ? undefined : readdirSync(join(files, "usr/lib"))[0];
    root = found === undefined ? undefined : join(files ?? "", "usr/lib", found);
  }
  if (root === undefined && !haveProgram("go")) {
    return undefined;
  }
  const directory = temporaryDirectory(scope, "go");
  const source = join(directory, "watch.go");
  const program = join(directory, "watch");
  writeFileSync(source, GO_SOURCE);
  await output([
    ...["env", `GOCACHE=${directory}/cache`, "CGO_ENABLED=0", "GO111MODULE=off"],
    ...(root === undefined ? ["go"] : [`GOROOT=${root}`, join(root, "bin/go")]),
    ...["build", "-o", program, source],
  ]);
  return program;
}

describeLive("daemons that write a kernel log down", [], () => {
  it.for(LOGGERS)("$name has each record once, over workers", async (logger, { skip }) => {
    const files = await unpacked(logger.name, logger.packages);
    if (files === undefined) {
      return skip(`Debian's ${logger.name} is not to be had`);
    }
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await attached(scope, daemon);
    const work = temporaryDirectory(scope, "logger");
    const out = join(work, "out");
    writeFileSync(join(work, "conf"), logger.configuration({ files, work }));
    const argv = startLine(logger, { files, work });
    const running = follow(scope, container, argv);
    const text = () => (existsSync(out) ? readFileSync(out, "utf8") : "");
    await until("it has what is there", () => {
      if (running.child.exitCode !== null) {
        throw new Error(`it has ended: ${running.text}${running.errors}`);
      }
      return text().includes("Linux version");
    });
    const pids: string[] = [];
    for (const how of ["as it is", "after kill"]) {
      if (how === "after kill") {
        await killWorker(daemon);
      }
      await container.shell(`echo '<12>written ${how}' >/dev/kmsg`);
      const pid = `${(await container.run(STARVE)).stdout}`.trim();
      pids.push(pid);
      await until("it has the kill", () => text().includes(`Killed process ${pid} (tail)`));
      await until("it has what was written", () => text().includes(`written ${how}`));
    }
    const count = (what: string) => text().split(what).length - 1;
    for (const what of [...pids.map((pid) => `Killed process ${pid} (tail)`), "Linux version"]) {
      expect([what, count(what)]).toEqual([what, 1]);
    }
  });

  it("a program in Go that has it open by os.Open sees each kill, over workers", async ({
    skip,
  }) => {
    const scope = testScope();
    const program = await goProgram(scope);
    if (program === undefined) {
      return skip("there is no Go, and only the full form gets Debian's");
    }
    const daemon = await Daemon.start(scope);
    const container = await attached(scope, daemon);
    const watcher = follow(scope, container, [program]);
    await until("it watches", () => watcher.text.startsWith("ready\n"));
    const pids: string[] = [];
    for (const kill of [true, false]) {
      const pid = `${(await container.run(STARVE)).stdout}`.trim();
      pids.push(pid);
      await until("it has the kill", () => watcher.text.includes(`Killed process ${pid} (tail)`));
      if (kill) {
        await killWorker(daemon);
      }
    }
    await container.shell("echo the end >/dev/kmsg");
    expect(await watcher.ended).toEqual([0, null]);
    for (const pid of pids) {
      expect(watcher.text.split(`Killed process ${pid} (tail)`)).toHaveLength(2);
    }
  });
});

describeLive("dmesg of util-linux", ["dmesg", "sysctl"], () => {
  it("shows a container's log in all its forms", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await attached(scope, daemon);
    await container.shell("echo '<28>written inside' >/dev/kmsg");
    const pid = `${(await container.run(STARVE)).stdout}`.trim();
    const kill = `Killed process ${pid} (tail)`;
    await until("the kill is told", async () => (await container.output(["dmesg"])).includes(kill));
    const { dmesg } = JSON.parse(await container.output(["dmesg", "-J"]));
    expect(dmesg[0].msg).toContain("Linux version");
    expect(dmesg.filter(({ msg }: { msg: string }) => msg.includes(kill))).toHaveLength(1);
    expect(dmesg.map(({ msg }: { msg: string }) => msg)).toContain("written inside");
    expect(await container.output(["dmesg", "-T"])).toMatch(/^\[\w{3} \w{3} +\d+ [\d:]+ \d{4}\] /);
    expect(await container.output(["dmesg", "-x"])).toMatch(/^daemon:warn +:.*written inside$/m);
    expect(await container.output(["dmesg", "-r"])).toMatch(/^<\d+>.*written inside$/m);
    expect(await container.output(["dmesg", "-l", "err"])).toContain(kill);
    expect(await container.output(["dmesg", "-l", "err"])).not.toContain("written inside");
    // The host's setting, which decides who may read.
    const restricted = readFileSync("/proc/sys/kernel/dmesg_restrict", "utf8").trim();
    expect(await container.output(["sysctl", "-n", "kernel.dmesg_restrict"])).toBe(
      `${restricted}\n`,
    );
  });

  it("cat has whole records, and takes no time while there are none", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const container = await attached(scope, daemon);
    const reader = follow(scope, container, ["cat", "/dev/kmsg"]);
    await until("it has what is there", () => hasBanner(reader.text));
    const pid = await until("it runs", () =>
      container.cgroup
        .read("memory", "cgroup.procs")
        .split("\n")
        .find((one) => one !== "" && readFileSync(`/proc/${one}/comm`, "utf8") === "cat\n"),
    );
    const before = ticksOfProcess(pid);
    for (let i = 0; i < 50; i += 1) {
      await container.shell(`echo '<12>number ${i}' >/dev/kmsg`);
    }
    await until("it has all", () => reader.text.includes("number 49\n"));
    const numbers = [...reader.text.matchAll(/^12,\d+,\d+,-;number (\d+)$/gm)];
    expect(numbers.map(([, number]) => Number(number))).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
    // Of 100 a second: a reader who waits is not woken for nothing.
    expect(ticksOfProcess(pid) - before).toBeLessThan(50);
  });
});
