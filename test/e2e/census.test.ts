// Which containers of this host are told of as they come and go.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { loadAddon } from "../../src/native/addon.js";
import { Cgroup, isV2, removeCgroup } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { Census, LogOwners } from "../support/testing.js";

/** More containers than others have on this host. */
const MANY = 10_000;
/** All of what is known is checked again after so many seconds. */
const FULL_S = 30;
/** What has been in its place for so many seconds is not looked at before that. */
const SETTLED_S = 5;

const us = (seconds: number): bigint => BigInt(seconds) * 1_000_000n;

function idOf(container: Container): string {
  return loadAddon().containerOf(container.init)?.id ?? "";
}

async function remove(cgroup: Cgroup): Promise<void> {
  for (const directory of cgroup.directories) {
    await removeCgroup(directory);
  }
}

/** The cgroup of a process in the hierarchy for memory. */
function memoryPathOf(pid: number): string {
  const text = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  const path = (isV2 ? /^0::(.*)$/m : /^\d+:(?:.*,)?memory(?:,.*)?:(.*)$/m).exec(text)?.[1];
  if (path === undefined) {
    throw new Error(`process ${pid} is in no cgroup for memory`);
  }
  return path;
}

async function pod(): Promise<{
  readonly own: Scope;
  readonly cgroup: Cgroup;
  readonly pause: Container;
}> {
  const own = testScope();
  const cgroup = Cgroup.create(own, testName("pod"));
  cgroup.delegate();
  const pause = await Container.start(own, { cgroup: cgroup.child(own, "pause") });
  return { own, cgroup, pause };
}

describeLive("a container in the PID namespace of another one", [], () => {
  it("is no more known when it has ended", async () => {
    const { own, cgroup, pause } = await pod();
    const side = await Container.start(own, { cgroup: cgroup.child(own, "side"), pidsOf: pause });
    const [outer, ended] = [idOf(pause), idOf(side)];
    const census = new Census(MANY);
    census.look(us(1));
    expect(census.found()).toEqual(expect.arrayContaining([outer, ended]));
    await side.kill();
    await remove(side.cgroup);
    for (let round = 1; round <= 3; round += 1) {
      census.look(us(1 + round * FULL_S));
    }
    expect(census.found()).toContain(outer);
    expect(census.found()).not.toContain(ended);
  });

  it("is not taken for one before it, in the same place, by a look at it", async () => {
    const { own, cgroup, pause } = await pod();
    const start = () =>
      Container.start(own, {
        cgroup: cgroup.child(own, "side"),
        pidsOf: pause,
        // As with one of its own that has the number of the one before.
        cgroupNamespace: false,
      });
    const side = await start();
    const ended = idOf(side);
    const census = new Census(MANY);
    census.look(us(1));
    census.look(us(1 + SETTLED_S));
    expect(census.found()).toContain(ended);
    await side.kill();
    await remove(side.cgroup);
    const next = await start();
    expect(census.lookAt(next.init, us(2 + SETTLED_S))).toBe(true);
    expect(census.found()).toContain(idOf(next));
    expect(census.found()).not.toContain(ended);
  });
});

describeLive("a container of two PID namespaces", [], () => {
  it("is known after the end of the one that it was found by", async () => {
    const own = testScope();
    const old = await Container.start(own);
    await Container.start(own, { cgroup: old.cgroup });
    const id = idOf(old);
    const census = new Census(MANY);
    census.look(us(1));
    census.look(us(1 + SETTLED_S));
    expect(census.found()).toContain(id);
    await old.kill();
    census.look(us(2 + SETTLED_S));
    expect(census.found()).toContain(id);
  });
});

describeLive("the owner of a record about a cgroup", [], () => {
  it("is the container that began there just now, not the one that has ended", async () => {
    const { own, cgroup, pause } = await pod();
    const start = () =>
      Container.start(own, {
        cgroup: cgroup.child(own, "side"),
        pidsOf: pause,
        cgroupNamespace: false,
      });
    const side = await start();
    const path = memoryPathOf(side.init);
    const owners = new LogOwners();
    expect(owners.ofPath(path, us(1))).toContain(idOf(side));
    const ended = idOf(side);
    await side.kill();
    await remove(side.cgroup);
    const next = await start();
    const found = owners.ofPath(path, us(1) + 1n);
    expect(found).toContain(idOf(next));
    expect(found).not.toContain(ended);
  });
});
