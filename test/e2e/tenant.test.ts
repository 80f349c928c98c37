// A tenant is an outermost container: what is nested in it shares its budgets.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { findContainer } from "../../src/containers/find.js";
import { nativeCandidates } from "../../src/layout.js";
import { loadAddon } from "../../src/native/addon.js";
import { MIB } from "../support/cgroups.js";
import { output } from "../support/command.js";
import { Container } from "../support/container.js";
import { counters } from "../support/counters.js";
import { Daemon } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

function start(scope: Scope, ...args: readonly string[]): Promise<Daemon> {
  return Daemon.start(scope, "--no-keeper", "--log-format", "json", ...args);
}

/** A container with others in it, each in the one before. */
async function nest(scope: Scope, name: string, depth: number): Promise<Container[]> {
  const chain = [await Container.start(scope, { name, memory: 64 * MIB })];
  for (let outer = chain[0]; outer !== undefined && chain.length <= depth; outer = chain.at(-1)) {
    outer.cgroup.delegate();
    const cgroup = outer.cgroup.child(scope, `in${chain.length}`);
    chain.push(await Container.startIn(outer, scope, { cgroup, memory: 32 * MIB }));
  }
  return chain;
}

/** Opens a file `count` times from the host and keeps what it gets; what it printed. */
async function hoard(scope: Scope, count: number, file: string): Promise<string> {
  const child = spawn(program("hoard"), [`${count}`, file], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  scope.defer(async () => {
    child.stdin.end();
    await ended;
  });
  return `${(await once(child.stdout, "data"))[0]}`;
}

/** Looks for the container of an init with room for no, one, two, ... further descriptors; prints what is found. */
const SHORT_OF_FILES = `
  const { openSync, closeSync } = require("node:fs");
  const [addon, init] = process.argv.slice(1);
  const { scanContainers } = require(addon);
  scanContainers();
  const all = [];
  for (;;) try { all.push(openSync("/dev/null")); } catch { break; }
  const found = [];
  for (let room = 0; room < 40; room += 1) {
    try { found.push(scanContainers().filter((one) => one.init === Number(init))); }
    catch { found.push([]); }
    closeSync(all.pop());
  }
  console.log(JSON.stringify(found));
`;

describeLive("a tenant", ["busybox"], () => {
  it("is the outermost container", async () => {
    const scope = testScope();
    const chain = await nest(scope, "outer", 2);
    const { containerOf, identityOf, locateContainers, locationOf } = loadAddon();
    const found = chain.map(({ init }) => containerOf(init));
    const identities = chain.map(({ init }) => identityOf(init));
    expect(found).toMatchObject(identities);
    expect(Object.keys(identities[0] ?? {})).not.toContain("memoryLimit");
    for (const [index, { init }] of chain.entries()) {
      const location = locationOf(init);
      expect(found[index]).toMatchObject(location ?? {});
      expect(Object.keys(location ?? {})).toEqual([...Object.keys(identities[0] ?? {}), "cgroups"]);
      expect(locateContainers()).toContainEqual(location);
    }
    expect(new Set(found.map((container) => container?.id)).size).toBe(3);
    expect(found.map((container) => container?.tenant)).toEqual(Array(3).fill(found[0]?.id));
    // Nobody inside takes another's name.
    const [name = "", ...inner] = found.map((container) => container?.name);
    expect(name).toBe(chain[0]?.cgroup.name);
    expect(inner).toEqual([`${name}/in1`, `${name}/in2`]);
    expect(findContainer(loadAddon(), `${name}/in2`).id).toBe(found[2]?.id);
  });

  it("has no figures rather than wrong ones where they cannot be read", async () => {
    const scope = testScope();
    const { init } = await Container.start(scope, { memory: 64 * MIB, quota: 1 });
    const addon = nativeCandidates("vprocfs.node").find((path) => existsSync(path));
    const argv = ["prlimit", "--nofile=256", process.execPath, "-e", SHORT_OF_FILES];
    const seen = JSON.parse(await output([...argv, addon ?? "", `${init}`]));
    const full = { memoryLimit: 64 * MIB, cpuQuota: 1 };
    expect(seen.at(-1)).toMatchObject([full]);
    const unread = { problem: expect.stringMatching(/: Too many open files$/) };
    for (const one of seen) {
      expect([
        [],
        [expect.objectContaining(full)],
        [expect.objectContaining(unread)],
      ]).toContainEqual(one);
    }
    expect(seen).toContainEqual([expect.objectContaining(unread)]);
  });

  it("takes no other's name for what it nests", async () => {
    const scope = testScope();
    const victim = await Container.start(scope, { name: "victim", memory: 64 * MIB });
    const hostile = await Container.start(scope, { name: "hostile", memory: 64 * MIB });
    hostile.cgroup.delegate();
    const cgroup = hostile.cgroup.child(scope, `lxc.payload.${victim.cgroup.name}`);
    const nested = await Container.startIn(hostile, scope, { cgroup, memory: 32 * MIB });
    const addon = loadAddon();
    const [own, theirs] = [victim, nested].map(({ init }) => addon.containerOf(init));
    expect(theirs?.name).toBe(`${hostile.cgroup.name}/${victim.cgroup.name}`);
    // Whoever asks for the victim gets it, and is not asked which of the two is meant.
    expect(findContainer(addon, victim.cgroup.name).id).toBe(own?.id);
  });

  it("has one budget of open files with all that it nests", async () => {
    const scope = testScope();
    const daemon = await start(scope, "--max-open-per-container", "20");
    const [outer, inner, innermost] = await nest(scope, "outer", 2);
    const modest = await Container.start(scope, { name: "modest", memory: 64 * MIB });
    const fileOf = async (one: Container | undefined): Promise<string> =>
      daemon.path("containers", (await one?.id(daemon)) ?? "", "proc/stat");
    expect(await hoard(scope, 12, await fileOf(inner))).toBe("12 0 0 0\n");
    expect(await hoard(scope, 12, await fileOf(innermost))).toBe("8 4 0 0\n");
    const refused = await outer?.run(["cat", daemon.path("proc/uptime")]);
    expect(refused?.stderr).toContain("Too many open files in system");
    expect(await modest.read(daemon.path("proc/stat"))).toMatch(/^cpu /);
    expect(await counters(daemon)).toMatchObject({ openFiles: 20 });
    await innermost?.kill();
    // What is open of one that has ended is the tenant's still.
    const still = await outer?.run(["cat", daemon.path("proc/uptime")]);
    expect(still?.stderr).toContain("Too many open files in system");
  });

  it("has one budget of triggers with all that it nests", async () => {
    const scope = testScope();
    const daemon = await start(scope, "--max-triggers-per-container", "3");
    const [outer, inner] = await nest(scope, "outer", 1);
    const file = daemon.path("proc/pressure/cpu");
    const text = "some 500000 2000000";
    const keep = (one: Container | undefined): void => {
      one?.start(scope, ["sh", "-c", `exec 3<>${file} && echo ${text} >&3 && exec sleep 1000`]);
    };
    keep(outer);
    keep(inner);
    keep(inner);
    await until("all three are set", async () => (await counters(daemon)).triggers === 3);
    for (const one of [outer, inner]) {
      const refused = await one?.run(["sh", "-c", `echo ${text} | tee ${file}`]);
      expect(refused?.stderr).toContain("No space left on device");
    }
  });
});
