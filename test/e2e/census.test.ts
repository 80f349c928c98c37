// Which containers of this host are told of as they come and go.

import { expect, it } from "vitest";
import { loadAddon } from "../../src/native/addon.js";
import { Cgroup, removeCgroup } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { Census } from "../support/testing.js";

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

describeLive("a container in the PID namespace of another one", [], () => {
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
