// Pressure of containers: the kernel's own figures for their cgroups, and triggers that work.

import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { background, output } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { counters } from "../support/counters.js";
import { crowd } from "../support/crowd.js";
import { Daemon } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { SLOWNESS, until } from "../support/wait.js";
import { replaceWorker } from "./never-down-support.js";

const RESOURCES = ["cpu", "memory", "io"] as const;
const LINE = /^avg10=\d+\.\d\d avg60=\d+\.\d\d avg300=\d+\.\d\d total=\d+$/;
const POLLPRI = 0x2;
const POLLERR = 0x8;

/** Two seconds: what the kernel allows everybody (6.5), CAP_SYS_RESOURCE or not. */
const WINDOW = "2000000";
const ANY_WAITING = `some 1000 ${WINDOW}`;

const TAKEOVERS = inLong<readonly ("kill" | "reload")[]>(
  ["reload", "kill"],
  ["kill", "reload", "kill"],
);

const CHURN = SLOWNESS === 1 ? inLong(500, 10_000) : 500;

const lacks = existsSync("/proc/pressure/cpu") ? [] : ["a kernel that accounts pressure"];

function start(scope: Scope, ...args: readonly string[]): Promise<Daemon> {
  return Daemon.start(scope, "--no-keeper", "--log-format", "json", ...args);
}

function contain(scope: Scope, daemon: Daemon, name = "c"): Promise<Container> {
  return Container.start(scope, { name, memory: 64 * MIB, binds: bindsOf(daemon) });
}

/** More tasks than CPUs, so that some of them wait. */
function stress(scope: Scope, container: Container): Promise<() => Promise<void>> {
  return crowd(scope, container.cgroup, { running: cpus().length + 1 });
}

function own(container: Container, resource: string): string {
  return join(container.cgroup.directory("unified"), `${resource}.pressure`);
}

/** Lines that a program has printed so far. */
function linesOf(child: ChildProcess): string[] {
  const lines: string[] = [];
  let rest = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  });
  return lines;
}

function held(scope: Scope, container: Container, text: string, resource = "cpu") {
  const file = `/proc/pressure/${resource}`;
  const child = container.start(scope, [program("trigger"), "poll", file, text]);
  return { child, lines: linesOf(child) };
}

describeLive("pressure files", ["setpriv"], pressureFiles, lacks);
describeLive("triggers", ["setpriv"], triggers, lacks);

function pressureFiles(): void {
  it("are the container's own, in the kernel's form", async () => {
    const scope = testScope();
    const daemon = await start(scope);
    const [busy, idle] = [await contain(scope, daemon, "busy"), await contain(scope, daemon)];
    await stress(scope, busy);
    for (const resource of RESOURCES) {
      const form = (text: string): string => text.replaceAll(/\d+/g, "0");
      const text = await busy.read(`/proc/pressure/${resource}`);
      expect(form(text)).toBe(form(await readFile(`/proc/pressure/${resource}`, "utf8")));
      for (const line of text.trimEnd().split("\n")) {
        expect(line.slice("some ".length)).toMatch(LINE);
      }
      const same = await until("a moment without change", async () => {
        const before = await readFile(own(idle, resource), "utf8");
        const ours = await idle.read(`/proc/pressure/${resource}`);
        return before === (await readFile(own(idle, resource), "utf8")) && [ours, before];
      });
      expect(same[0]).toBe(same[1]);
    }
    const waited = async (container: Container): Promise<number> =>
      Number(/^some .*total=(\d+)$/m.exec(await container.read("/proc/pressure/cpu"))?.[1]);
    const before = await waited(busy);
    await until("tasks wait for CPUs", async () => (await waited(busy)) > before + 100_000);
    const [some = ""] = (await busy.read("/proc/pressure/cpu")).split("\n");
    await until("averages rise", async () =>
      /avg10=(?!0\.00)/.test((await busy.read("/proc/pressure/cpu")).split("\n")[0] ?? ""),
    );
    expect(some).toMatch(/^some /);
    // Files and modes as the kernel's.
    expect((await busy.shell("ls /proc/pressure")).split("\n").filter(Boolean)).toEqual(
      readdirSync("/proc/pressure").sort(),
    );
    expect(await busy.shell("stat -c %a /proc/pressure/io")).toBe("666\n");
  });

  it("say what the kernel says where it accounts none", async () => {
    const scope = testScope();
    for (const consistency of ["exact", "tick"]) {
      const daemon = await start(scope, "--consistency", consistency);
      const container = await contain(scope, daemon);
      const switchFile = join(container.cgroup.directory("unified"), "cgroup.pressure");
      if (!existsSync(switchFile)) {
        return; // before 6.1
      }
      await writeFile(switchFile, "0");
      const refusal = async (): Promise<string> =>
        (await container.run(["cat", "/proc/pressure/memory"])).stderr;
      if (consistency === "tick") {
        // What somebody has looked at stays good for a tick.
        await until("it is refused", async () => (await refusal()) !== "");
      }
      expect(await refusal()).toMatch(/not supported/);
      // What only looks at it is not disturbed.
      await container.shell("stat /proc/pressure/memory && ls -l /proc/pressure");
      expect((await container.run(["cat", "/proc/meminfo"])).status).toBe(0);
      await writeFile(switchFile, "1");
      await until("it is back", async () => {
        return /^some avg10/.test(
          `${(await container.run(["cat", "/proc/pressure/memory"])).stdout}`,
        );
      });
    }
  });
}

function triggers(): void {
  it("are refused as the kernel refuses them", async () => {
    const scope = testScope();
    const daemon = await start(scope);
    const container = await contain(scope, daemon);
    const texts = [
      ...["", "x", "some", "some 1", "some 1 2 3", "SOME 150000 2000000", "full150000 2000000"],
      ...["some 150000 0", "some 0 2000000", "some 2000001 2000000", "some 1 4294967296"],
      ...["some 150000 499999", "some 150000 10000001", "some 150000 1000001", "some -1 2000000"],
      ...["some 150000 18446744073709551616", "some 150000 4294967295", "some 1 12000000"],
      ...["some 150000 2000000 and much more than fits", "full 150000 2000000", "some 1 2000000"],
      ...["some 150000 10000000", "some 2000000 2000000", "some  150000\t4000000"],
    ];
    for (const resource of RESOURCES) {
      const argv = [program("trigger"), "try", `/proc/pressure/${resource}`, ...texts];
      expect(await container.output(argv)).toBe(await output(argv));
    }
    // Windows that are no multiple of two seconds are for those who have CAP_SYS_RESOURCE.
    const odd = [program("trigger"), "try", "/proc/pressure/cpu", "some 150000 1000000"];
    const bare = ["setpriv", "--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource"];
    expect(await container.output([...bare, ...odd])).toBe("EINVAL\n");
    // Everybody may read and write them; other files have no write method.
    const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const even = [program("trigger"), "try", "/proc/pressure/cpu", ANY_WAITING];
    expect(await container.output([...nobody, ...even])).toBe("ok\n");
    expect(await container.output([program("trigger"), "try", "/proc/meminfo", "x"])).toBe("EIO\n");
    expect(await container.output([program("trigger"), "poll", "/proc/pressure/cpu"])).toBe(
      `${await output([program("trigger"), "poll", "/proc/pressure/cpu"])}`,
    );
  });

  it("tell of what happens, and of nothing else", async () => {
    const scope = testScope();
    const daemon = await start(scope);
    const [busy, idle] = [await contain(scope, daemon, "busy"), await contain(scope, daemon)];
    const hers = held(scope, busy, ANY_WAITING);
    const memory = held(scope, busy, ANY_WAITING, "memory");
    // A machine that is busy may have it wait for a moment.
    const his = held(scope, idle, `full 1900000 ${WINDOW}`, "io");
    const all = [hers, memory, his];
    await until("all are set", () => all.every(({ lines }) => lines[0] === "armed"));
    await stress(scope, busy);
    await until("it happens, again and again", () => hers.lines.length >= 3);
    for (const line of hers.lines.slice(1)) {
      expect(Number.parseInt(line, 16)).toBe(POLLPRI);
    }
    expect(memory.lines).toEqual(["armed"]);
    expect(his.lines).toEqual(["armed"]);
    // Nobody waits in the daemon: it has no thread for them, and answers.
    expect(await daemon.isServing()).toBe(true);
    // The container's end is theirs.
    const outside = background(scope, [
      ...[program("trigger"), "poll"],
      ...[daemon.path("containers", await busy.id(daemon), "proc/pressure/io"), ANY_WAITING],
    ]);
    const lines = linesOf(outside);
    await until("it is set", () => lines[0] === "armed");
    await busy.kill();
    await until("it fails", () =>
      lines.some((line) => (Number.parseInt(line, 16) & POLLERR) !== 0),
    );
  });

  it("are bounded per container, and given back", async () => {
    const scope = testScope();
    const daemon = await start(scope, "--max-triggers-per-container", "4");
    const [greedy, modest] = [await contain(scope, daemon, "greedy"), await contain(scope, daemon)];
    const file = "/proc/pressure/memory";
    const hoard = greedy.start(scope, [program("trigger"), "hoard", "10", file, ANY_WAITING]);
    const lines = linesOf(hoard);
    await until("it has tried", () => lines.length > 0);
    expect(lines).toEqual(["4 6 0"]);
    expect(await modest.output([program("trigger"), "try", file, ANY_WAITING])).toBe("ok\n");
    expect((await counters(daemon)).triggers).toBeGreaterThanOrEqual(4);
    hoard.stdin?.end();
    await until("they are given back", async () => (await counters(daemon)).triggers === 0);
  });

  // Each waits for a grace period of the kernel's when it goes: 0.01 s, and more on a busy machine.
  it(`come and go, ${CHURN} of them that nobody polls for`, { timeout: 900_000 }, async () => {
    const scope = testScope();
    const daemon = await start(scope);
    // The kernel takes them away one after the other, per file, waiting for a grace period each time.
    const names = ["a", "b", "c", "d"];
    const greedy = await Promise.all(names.map((name) => contain(scope, daemon, name)));
    const modest = await contain(scope, daemon, "modest");
    const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;
    const churn = async (all: number): Promise<void> => {
      const each = Math.ceil(all / greedy.length / RESOURCES.length);
      const runs = greedy.flatMap((container) =>
        RESOURCES.map((resource) => {
          const file = `/proc/pressure/${resource}`;
          return container.output([program("trigger"), "churn", `${each}`, file, ANY_WAITING]);
        }),
      );
      for (const failed of await Promise.all(runs)) {
        expect(failed).toBe("0\n");
      }
    };
    await churn(100);
    // What is held for a container that asked once is no part of it.
    expect(await modest.read("/proc/pressure/io")).toMatch(/^some /);
    await until("they are given back", async () => (await counters(daemon)).triggers === 0);
    const before = descriptors();
    await churn(CHURN);
    expect(await modest.read("/proc/pressure/io")).toMatch(/^some /);
    await until("they are given back", async () => (await counters(daemon)).triggers === 0);
    await until("nothing of them is left", () => descriptors() <= before);
  });

  it("can be turned off", async () => {
    const scope = testScope();
    const daemon = await start(scope, "--max-triggers-per-container", "0");
    const container = await contain(scope, daemon);
    const argv = [program("trigger"), "try", "/proc/pressure/cpu", ANY_WAITING];
    expect(await container.output(argv)).toBe("ENOSPC\n");
  });

  it("cannot be had in tick, which says so", async () => {
    const scope = testScope();
    const daemon = await start(scope, "--consistency", "tick");
    const container = await contain(scope, daemon);
    const file = "/proc/pressure/cpu";
    expect(await container.output([program("trigger"), "try", file, ANY_WAITING])).toBe(
      "EOPNOTSUPP\n",
    );
    const poll = await container.output([program("trigger"), "poll", file]);
    expect(Number.parseInt(poll, 16)).toBe(POLLPRI | POLLERR);
    expect(await container.read(file)).toMatch(/^some /);
    const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const argv = [program("trigger"), "try", file, ANY_WAITING];
    expect(await container.output([...nobody, ...argv])).toBe("EACCES\n");
  });

  it("go on over takeovers", async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope, "--standby", "on");
    const container = await contain(scope, daemon);
    const holder = held(scope, container, ANY_WAITING);
    await until("it is set", () => holder.lines[0] === "armed");
    const asleep = async (): Promise<boolean> => {
      const processes = await container.output(["sh", "-c", "cat /proc/[0-9]*/wchan; echo"]);
      return /poll/.test(processes) || processes.trim() === "";
    };
    await until("it waits", asleep);
    for (const how of TAKEOVERS) {
      await replaceWorker(daemon, how);
      const before = holder.lines.length;
      const end = await stress(scope, container);
      await until("it happens", () => holder.lines.length > before);
      await end();
    }
    for (const line of holder.lines.slice(1)) {
      expect(Number.parseInt(line, 16)).toBe(POLLPRI);
    }
    expect(holder.child.exitCode).toBeNull();
  });
}
