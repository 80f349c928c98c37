// Containers that make attaching as costly as they can. A stranger is attached in time all the same,
// and nothing is left of it.

import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, expect, it } from "vitest";
import { type HelperReport, helperPath } from "../../src/attach/helper.js";
import { settingsFileOf } from "../../src/attach/settings.js";
import { parseMountinfo } from "../../src/mountinfo.js";
import { stopped } from "../e2e/never-down-support.js";
import { filesOf, PLACES, statesOf } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { background, outputOf, outputSync, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon } from "../support/daemon.js";
import { follow } from "../support/follow.js";
import { fuseAborter } from "../support/fuse-connections.js";
import { describeLive } from "../support/needs.js";
import { killUnlessEnded, textOf } from "../support/proc.js";
import { memTotalKb } from "../support/procfile.js";
import { program } from "../support/programs.js";
import { type Attack, attackFrom, expectWithin } from "../support/pulse.js";
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
/** CPU time of a helper from which on the container pays, and a little more. */
const LONG_RUN_MS = 60;

/** Whoever waits for a file system of the adversary's must not wait after the test. */
async function abortConnections(scope: Scope, adversary: Container): Promise<void> {
  const tables = processesOf(adversary).map((pid) => textOf(`/proc/${pid}/mountinfo`));
  const mounts = parseMountinfo(tables.join("")).filter(({ fsType }) => fsType === "fuse.mounter");
  expect(mounts).not.toEqual([]);
  const names = new Set(mounts.map(({ device }) => device.replace(/^0:/, "")));
  const abort = await fuseAborter(scope);
  scope.defer(() => names.forEach(abort));
}

function helperFor({ mountpoint }: Daemon): string[] {
  const settings = settingsFileOf(mountpoint);
  return [helperPath(), "--json", "--mountpoint", mountpoint, "--settings", settings];
}

/** How many helpers of a daemon there are, and how many of them cannot be killed. */
function helpers({ mountpoint }: Daemon): { readonly all: number; readonly stuck: number } {
  const states = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => textOf(`/proc/${pid}/cmdline`).split("\0").includes(mountpoint))
    .flatMap((pid) => /^\d+ \(vprocfs-attach.*\) (.)/.exec(textOf(`/proc/${pid}/stat`))?.[1] ?? []);
  return { all: states.length, stuck: states.filter((state) => state === "D").length };
}

function processesOf({ cgroup }: Container): string[] {
  return cgroup.read("memory", "cgroup.procs").split("\n").filter(Boolean);
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
  /** Beside nothing; it is measured again when more is taken. */
  let usualMs: number;

  beforeAll(async () => {
    daemon = await Daemon.start(scope, ...WATCH);
    usualMs = await allowedMs();
  });

  /** What a machine that does other work too may take, beside nothing or beside what only burns CPU. */
  async function allowedMs(burn: Attack = async () => {}): Promise<number> {
    const own = new Scope();
    try {
      await burn(own);
      return Math.max(WITHIN_MS, 2 * (await slowest(own, daemon, 3)));
    } finally {
      await own.close();
    }
  }

  /** Victims are attached in time under an attack, after which `check` has to hold beside it. */
  async function victims<T>(
    attack: (own: Scope) => Promise<T>,
    { burn, check }: { burn?: Attack; check?: (adversary: T) => Promise<void> } = {},
  ): Promise<void> {
    const take = async (own: Scope): Promise<number> => {
      const adversary = await attack(own);
      const took = await slowest(own, daemon, VICTIMS);
      await check?.(adversary);
      return took;
    };
    const allowed = burn === undefined ? usualMs : await allowedMs(burn);
    await expectWithin(allowed, take, () => allowedMs(burn));
  }

  it("has 60 roots over a file system of its own that hangs", async () => {
    const attack = async (own: Scope): Promise<Container> => {
      const container = await hostile(own, "hanging", "60");
      await abortConnections(own, container);
      return container;
    };
    const check = async (container: Container): Promise<void> => {
      // One that mounts, or waits for the disk, does so for a moment.
      await until("no helper is stuck", () => helpers(daemon).stuck === 0);
      await container.kill();
      await until("no helper is left", () => helpers(daemon).all === 0);
    };
    await victims(attack, { check });
  });

  it.each(["/proc/1", "/proc/1/ns"])("has such a file system over its %s", async (path) => {
    const own = testScope();
    const container = await hostile(own, "over", path);
    await abortConnections(own, container);
    const inside = await until("it is in place", () => sleeperOf(container));
    const argv = [...helperFor(daemon), "--timeout-ms", "5000", `${inside}`];
    const told: HelperReport = JSON.parse(outputOf(argv, await run(argv)));
    expect(told.problems).toEqual(["its /proc belongs to another PID namespace"]);
    await until("no helper is stuck", () => helpers(daemon).stuck === 0);
  });

  it("ends while a helper works for it, and its PID is another one's: that one does not pay", async () => {
    const own = testScope();
    const container = await hostile(own, "long", `${16 * MIB}`);
    const inside = await until("it is in place", () => sleeperOf(container));
    const stranger = await Container.start(own, { name: "stranger", memory: 64 * MIB });
    const taking = follow(own, stranger, [program("taken"), `${inside}`, "stranger", "lives"]);
    await until("somebody wants its PID", () => taking.text.startsWith("ready\n"));
    const argv = [...helperFor(daemon), "--timeout-ms", "60000", `${inside}`];
    const { waiting, worker, before } = await until("it works, and nobody pays yet", async () => {
      const waiting = background(own, argv);
      const pid = waiting.pid ?? 0;
      const children = `/proc/${pid}/task/${pid}/children`;
      const worker = await until("it works", () => Number(textOf(children)) || undefined);
      const before = payerOf(`${pid}`);
      await stopped(pid);
      if (payerOf(`${worker}`) === before) {
        return { waiting, worker, before };
      }
      // It ran for long before it was stopped.
      waiting.kill("SIGKILL");
      killUnlessEnded(worker);
      return undefined;
    });
    const ranMs = (): number => Number(textOf(`/proc/${worker}/schedstat`).split(" ")[0]) / 1e6;
    await until("it has worked for long", () => ranMs() > LONG_RUN_MS);
    process.kill(worker, "SIGSTOP");
    process.kill(inside, "SIGKILL");
    await until("its PID is taken", () => taking.text.endsWith("taken\n"));
    waiting.kill("SIGCONT");
    await until("it is paid for", () => payerOf(`${worker}`) !== before);
    expect(payerOf(`${worker}`)).toBe(payerOf(`${container.init}`));
    process.kill(worker, "SIGKILL");
  });

  it("has thousands of mounts in each of its namespaces", async () => {
    await victims((own) => hostile(own, "many", inLong("3000", "50000"), inLong("10", "40")));
  });

  it("makes namespaces without end", async () => {
    await victims((own) => hostile(own, "churn"));
  });

  it("executes programs without end", async () => {
    const threads = inLong("20", "100");
    const burn = async (own: Scope): Promise<void> => {
      const burner = await Container.start(own, { name: "burner", memory: 64 * MIB });
      await attackFrom(own, burner, [program("pages"), "0", threads, "/dev/null"]);
    };
    const attack = async (own: Scope): Promise<void> => {
      const container = await Container.start(own, { name: "hostile", memory: 256 * MIB });
      await attackFrom(own, container, [program("flood"), "exec", threads, program("flood")]);
    };
    await victims(attack, { burn });
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
    const argv = [...limit, ...helperFor(daemon)];
    const running = run([...argv, `${inside}`]);
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
  return /^(\d+:(.*,)?memory(,.*)?:|0::).*$/m.exec(textOf(`/proc/${pid}/cgroup`))?.[0] ?? "";
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
  const isIt = (pid: string) => textOf(`/proc/${pid}/cmdline`).startsWith("mounter\0sleep");
  const pid = processesOf(container).find(isIt);
  return pid === undefined ? undefined : Number(pid);
}

function rssKb(daemon: Daemon): number {
  const text = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]);
}
