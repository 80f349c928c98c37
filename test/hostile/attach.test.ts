// Containers that make attaching as costly as they can. A stranger is attached in time all the same,
// and nothing is left of it.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { type HelperReport, helperPath } from "../../src/attach/helper.js";
import { settingsFileOf } from "../../src/attach/settings.js";
import { filesOf, PLACES, statesOf } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { outputOf, outputSync, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { memTotalKb } from "../support/procfile.js";
import { program } from "../support/programs.js";
import { attackFrom } from "../support/pulse.js";
import { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { isSanitized, SLOWNESS, until } from "../support/wait.js";

const VICTIM_MEMORY = 64 * MIB;
const WATCH = [
  "--no-keeper",
  "--watch",
  "on",
  "--attach-only",
  `*vprocfs-test-${process.pid}-*`,
] as const;
const WITHIN_MS = 1000 * SLOWNESS;
/** Victims of each test, one after the other. */
const VICTIMS = inLong(5, 40);

/** From some time less than this on the container pays for a helper. */
const OWN_CPU_US = 150_000 * SLOWNESS;

const CONNECTIONS = "/sys/fs/fuse/connections";

/** Whoever waits for a file system that a test has made must not wait after it. */
function abortNewConnections(scope: Scope): void {
  const list = (): string[] => readdirSync(CONNECTIONS);
  const before = new Set(list());
  scope.defer(() => {
    for (const name of list().filter((one) => !before.has(one))) {
      try {
        writeFileSync(join(CONNECTIONS, name, "abort"), "1");
      } catch {
        // It has ended by itself.
      }
    }
  });
}

/** How many helpers there are, and how many of them cannot be killed. */
function helpers(): { readonly all: number; readonly stuck: number } {
  const states = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        const text = readFileSync(`/proc/${pid}/stat`, "utf8");
        const end = text.lastIndexOf(")");
        return text.slice(text.indexOf("("), end).startsWith("(vprocfs-attach")
          ? text[end + 2]
          : "";
      } catch {
        return "";
      }
    })
    .filter((state) => state !== "");
  return { all: states.length, stuck: states.filter((state) => state === "D").length };
}

/** Runs the adversary in a container until it is in place. */
async function hostile(scope: Scope, ...argv: readonly string[]): Promise<Container> {
  const container = await Container.start(scope, { name: "hostile", memory: 4096 * MIB });
  await attackFrom(scope, container, [program("mounter"), ...argv]);
  return container;
}

/** How long it takes until a container that has just begun to run programs has its files, ms. */
async function attachedWithin(scope: Scope, daemon: Daemon): Promise<number> {
  const victim = await Container.start(scope, { name: "victim", memory: VICTIM_MEMORY });
  victim.start(scope, ["sleep", "1000000"]);
  const begun = performance.now();
  const isWhole = (): boolean => {
    const files = new Set(filesOf(victim.init));
    return PLACES.every((place) => files.has(place));
  };
  await until("the victim has its files", isWhole).catch((error: unknown) => {
    throw new Error(daemon.logs.slice(-4000), { cause: error });
  });
  const took = performance.now() - begun;
  expect(memTotalKb(await victim.read("/proc/meminfo"))).toBe(VICTIM_MEMORY / 1024);
  await victim.kill();
  return took;
}

/** The longest of some, ms. */
async function slowest(scope: Scope, daemon: Daemon, victims: number): Promise<number> {
  let most = 0;
  for (let count = 0; count < victims; count += 1) {
    most = Math.max(most, await attachedWithin(scope, daemon));
  }
  return most;
}

describeLive("attaching beside a container that", ["busybox", "prlimit"], () => {
  const scope = fileScope();
  let daemon: Daemon;

  /** What a machine that does other work too may take. */
  let withinMs = WITHIN_MS;

  beforeAll(async () => {
    daemon = await Daemon.start(scope, ...WATCH);
    withinMs = Math.max(WITHIN_MS, 2 * (await slowest(scope, daemon, 3)));
  });

  async function victims(own: Scope, beside = 0): Promise<void> {
    const took = await slowest(own, daemon, VICTIMS);
    expect(took).toBeLessThan(Math.max(withinMs, 2 * beside));
  }

  /** How long it takes beside so many threads that only burn CPU. */
  async function besideBurners(threads: string): Promise<number> {
    const own = new Scope();
    try {
      const burner = await Container.start(own, { name: "burner", memory: 64 * MIB });
      await attackFrom(own, burner, [program("pages"), "0", threads, "/dev/null"]);
      return await slowest(own, daemon, 3);
    } finally {
      await own.close();
    }
  }

  it("has 60 roots over a file system of its own that hangs", async () => {
    const own = testScope();
    abortNewConnections(own);
    const container = await hostile(own, "hanging", "60");
    await victims(own);
    expect(helpers().stuck).toBe(0);
    await container.kill();
    await until("no helper is left", () => helpers().all === 0);
  });

  it("has tens of thousands of mounts in each of its namespaces", async () => {
    const own = testScope();
    await hostile(own, "many", inLong("10000", "50000"), inLong("10", "40"));
    await victims(own);
  });

  it("makes namespaces without end", async () => {
    const own = testScope();
    await hostile(own, "churn");
    await victims(own);
  });

  it("executes programs without end", async () => {
    const own = testScope();
    const threads = inLong("20", "100");
    const beside = await besideBurners(threads);
    const container = await Container.start(own, { name: "hostile", memory: 256 * MIB });
    await attackFrom(own, container, [program("flood"), "exec", threads, program("flood")]);
    await victims(own, beside);
  });

  it("has used up the descriptors, which come back", async () => {
    const own = testScope();
    const victim = await Container.start(own, { name: "victim", memory: VICTIM_MEMORY });
    const limit = (soft: string): void => {
      outputSync(["prlimit", `--pid=${daemon.pid}`, `--nofile=${soft}:`]);
    };
    const before = /^Max open files\s+(\d+)/m.exec(
      readFileSync(`/proc/${daemon.pid}/limits`, "utf8"),
    )?.[1];
    const told = (): number => daemon.logs.split("out of a resource, retrying").length;
    const times = told();
    limit("3");
    victim.start(own, ["sleep", "1000000"]);
    await until("the log tells of it", () => told() > times);
    expect(filesOf(victim.init)).toEqual([]);
    limit(before ?? "1024");
    await until("the victim has its files", () => filesOf(victim.init).length === PLACES.length);
  });

  it("has a mount table of any size is attached itself, with little memory", async () => {
    const own = testScope();
    const before = rssKb(daemon);
    const container = await hostile(own, "long", inLong(`${16 * MIB}`, `${80 * MIB}`));
    const inside = await until("it is in place", () => sleeperOf(container));
    // AddressSanitizer reserves far more than any program may have.
    const limit = isSanitized ? [] : ["prlimit", `--as=${32 * MIB}`];
    const argv = [...limit, helperPath(), "--json"];
    const place = [
      "--mountpoint",
      daemon.mountpoint,
      "--settings",
      settingsFileOf(daemon.mountpoint),
    ];
    const running = run([...argv, ...place, `${inside}`]);
    const paid = await isPaidFor(container, inside, running);
    const outcome = await running;
    expect(`${outcome.stderr}`).toBe("");
    const told: HelperReport = JSON.parse(outputOf(argv, outcome));
    // What takes little of the CPU is nobody's.
    expect(paid || (told.cpuUs ?? 0) < OWN_CPU_US).toBe(true);
    const states = statesOf(told);
    expect(states.every((state) => state === "attached" || state === "present")).toBe(true);
    await until("the watcher has seen it", () => filesOf(inside).length >= PLACES.length);
    expect(rssKb(daemon) - before).toBeLessThan(32 * 1024);
  });
});

/** The line of /proc/PID/cgroup that tells whose memory and CPU time it is; "" where it has ended. */
function payerOf(pid: string): string {
  try {
    return (
      /^(\d+:(.*,)?memory(,.*)?:|0::).*$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[0] ??
      ""
    );
  } catch {
    return "";
  }
}

/** Whether a helper for the process has come into the container's cgroup by the time it has ended. */
async function isPaidFor(
  container: Container,
  pid: number,
  run: Promise<unknown>,
): Promise<boolean> {
  const payer = payerOf(`${container.init}`);
  let ended = false;
  run.finally(() => {
    ended = true;
  });
  const isHelper = (other: string): boolean => {
    try {
      const words = readFileSync(`/proc/${other}/cmdline`, "utf8").split("\0");
      return words.includes(`${pid}`) && words.includes(helperPath());
    } catch {
      return false;
    }
  };
  while (!ended) {
    await new Promise(setImmediate);
    const helpers = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isHelper(name));
    if (helpers.some((helper) => payerOf(helper) === payer)) {
      return true;
    }
  }
  return false;
}

/** The process that the adversary has become, in a mount namespace of its own. */
function sleeperOf(container: Container): number | undefined {
  const pids = container.cgroup.read("memory", "cgroup.procs").trim().split("\n").map(Number);
  return pids.find((pid) => {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("mounter\0sleep");
  });
}

function rssKb(daemon: Daemon): number {
  const text = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]);
}
