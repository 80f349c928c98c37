// All hostile programs at once, in two tenants, beside three victims, for ten minutes.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { filesOf, PLACES } from "../support/attach.js";
import { type Caller, startCaller, watched } from "../support/calls.js";
import { MIB } from "../support/cgroups.js";
import { background, output } from "../support/command.js";
import { Container } from "../support/container.js";
import { type Counters, counters } from "../support/counters.js";
import { Daemon, temporaryDirectory } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { memTotalKb } from "../support/procfile.js";
import { type Program, program } from "../support/programs.js";
import { attackFrom, NOISE_US, type Pulse, pulseOf } from "../support/pulse.js";
import { Scope } from "../support/scope.js";
import { inLong, sized } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { SLOWNESS, until } from "../support/wait.js";

const FOR_MS = 1000 * sized("VPROCFS_TEST_TOGETHER_S", 8, 600);
const PULSE_MS = inLong(1_500, 10_000);
const ATTACHED_WITHIN_MS = 1_000 * SLOWNESS;
/** What two tenants may have at most, by docs/design/threats.md. */
const MAX_MIB = 2 * 16 + 64;
const MAX_DESCRIPTORS = 2 * (1024 + 64 * 16 + 2 * 1024 + 64);

/** What all three get at the same time: the worst of each figure. */
async function pulses(victims: readonly Container[]): Promise<Omit<Pulse, "max">> {
  const all = await Promise.all(victims.map((one) => pulseOf(one, PULSE_MS, "/proc/stat")));
  const most = (of: (one: Pulse) => number) => Math.max(...all.map(of));
  return {
    count: Math.min(...all.map(({ count }) => count)),
    failed: most(({ failed }) => failed),
    p50: most(({ p50 }) => p50),
    p99: most(({ p99 }) => p99),
  };
}

function footprint(pid: number): { readonly mib: number; readonly descriptors: number } {
  const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return { mib: Number(kb) / 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

/** States of all processes of a name, as in /proc/PID/stat. */
function statesOf(name: string): string[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) => {
      try {
        const text = readFileSync(`/proc/${pid}/stat`, "utf8");
        const end = text.lastIndexOf(")");
        return text.slice(text.indexOf("(") + 1, end).startsWith(name) ? [text[end + 2] ?? ""] : [];
      } catch {
        return [];
      }
    });
}

function attack(scope: Scope, from: Container, name: Program, ...args: string[]): Promise<string> {
  return attackFrom(scope, from, [program(name), ...args]);
}

describeLive("all hostile programs together", ["busybox", "runc", "prlimit"], () => {
  it(`for ${FOR_MS / 1000} s`, { timeout: FOR_MS + 240_000 }, async () => {
    const scope = testScope();
    const sockets = temporaryDirectory(scope, "calls");
    const mine = `vprocfs-test-${process.pid}-*`;
    const daemon = await Daemon.start(
      scope,
      ...["--no-keeper", "--log-format", "json", "--watch", "on", "--attach-only", mine],
      ...["--calls-directory", sockets],
    );
    const start = async (name: string, memory: number): Promise<Container> => {
      const container = await Container.start(scope, { name, memory: memory * MIB });
      container.start(scope, ["sleep", "1000000"]);
      await until(`${name} has its files`, () => filesOf(container.init).length >= PLACES.length);
      return container;
    };
    const victims = [await start("v1", 64), await start("v2", 64), await start("v3", 64)];
    const caller: Caller = await startCaller(scope, "runc", { daemon, sockets });
    const quiet = await pulses(victims);
    const before = footprint(daemon.pid);

    const blocked = temporaryDirectory(scope, "blocked");
    const control = temporaryDirectory(scope, "connections");
    await output(["mount", "-t", "fusectl", "none", control]);
    scope.defer(() => output(["umount", control]));
    const mayhem = new Scope();
    scope.defer(() => mayhem.close());
    const [first, second] = [await start("h1", 2048), await start("h2", 1024)];
    const tree = async (one: Container): Promise<string> =>
      daemon.path("containers", await one.id(daemon));
    const file = join(await tree(first), "proc/stat");
    const pressure = join(await tree(first), "proc/pressure/cpu");

    // As many threads, in as many containers, that burn CPU and ask for nothing.
    const threads = inLong(20, 60);
    const burning = new Scope();
    for (const one of [first, second]) {
      await attack(burning, one, "pages", "0", `${2 * threads}`, file);
    }
    const burnt = await pulses(victims);
    await burning.close();
    const allowed = 2 * quiet.p99 + burnt.p99 + NOISE_US;

    for (const what of ["poll", "readdir", "stat", "access", "pread", "open"]) {
      const target = what === "poll" ? pressure : file;
      await attack(mayhem, first, "flood", what, `${Math.ceil(threads / 6)}`, target);
    }
    await attack(mayhem, first, "pages", `${threads}`, "4", file);
    await attack(mayhem, first, "mounter", "hanging", inLong("10", "60"));
    await attack(mayhem, second, "mounter", "many", inLong("5000", "50000"), inLong("5", "40"));
    await attack(mayhem, second, "mounter", "churn");
    const socket = join(sockets, "oci.sock");
    const connection = await attack(mayhem, second, "blocked", socket, blocked);
    // Before anything else ends: it cannot be killed.
    const abort = join(control, connection.trim(), "abort");
    mayhem.defer(() => existsSync(abort) && writeFileSync(abort, "1"));
    second.cgroup.delegate();
    const nests = [program("nests"), inLong("6", "200"), "1000", daemon.path("proc/stat")];
    background(mayhem, second.command([...nests, ...second.cgroup.directories]));

    const seen: Omit<Pulse, "max">[] = [];
    const attached: number[] = [];
    const most = { mib: 0, descriptors: 0 };
    let resources: Counters["resources"] = {};
    for (const begun = Date.now(); Date.now() - begun < FOR_MS; ) {
      const [pulse, called] = await Promise.all([pulses(victims), watched(caller, "", 200)]);
      seen.push(pulse);
      expect(called.wrong).toBe(0);
      const stranger = await Container.start(scope, { name: "stranger", memory: 32 * MIB });
      stranger.start(scope, ["sleep", "1000000"]);
      const came = performance.now();
      await until("a stranger has its files", () => {
        return filesOf(stranger.init).length >= PLACES.length;
      });
      attached.push(performance.now() - came);
      expect(memTotalKb(await stranger.read("/proc/meminfo"))).toBe(32 * 1024);
      await stranger.kill();
      const now = footprint(daemon.pid);
      most.mib = Math.max(most.mib, now.mib);
      most.descriptors = Math.max(most.descriptors, now.descriptors);
      ({ resources } = await counters(daemon));
    }
    const middle = (values: readonly number[]): number =>
      values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
    const p99 = middle(seen.map((one) => one.p99));
    const figures = { rounds: seen.length, quiet, burnt, allowed, p99, before, most };
    console.log(JSON.stringify({ ...figures, attached: middle(attached), resources }));
    expect(seen.map(({ failed }) => failed)).toEqual(seen.map(() => 0));
    expect(p99).toBeLessThan(allowed);
    expect(middle(attached)).toBeLessThan(ATTACHED_WITHIN_MS);
    expect(most.mib - before.mib).toBeLessThan(MAX_MIB);
    expect(most.descriptors).toBeLessThan(before.descriptors + MAX_DESCRIPTORS);
    for (const [name, { used, limit, tenantLimit }] of Object.entries(resources)) {
      expect([name, used <= limit && used <= 2 * tenantLimit + limit / 8]).toEqual([name, true]);
    }

    await mayhem.close();
    await first.kill();
    await second.kill();
    await until("no helper and no stuck writer is left", () => {
      return statesOf("vprocfs-attach").length === 0 && !statesOf("vprocfs-writer").includes("D");
    });
    const after = await pulses(victims);
    expect(after.failed).toBe(0);
    expect(daemon.hasEnded).toBe(false);
  });
});
