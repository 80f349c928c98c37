// Which containers of this host are told of as they come and go.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadAddon } from "../../src/native/addon.js";
import { Cgroup, isV2, removeCgroup } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { commandOf } from "../support/proc.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { Census, LogOwners } from "../support/testing.js";
import { until } from "../support/wait.js";

/** More containers than others have on this host. */
const MANY = 10_000;
/** All of what is known is checked again after so many seconds. */
const FULL_S = 30;
/** What has been in its place for so many seconds is not looked at before that. */
const SETTLED_S = 5;
/** In so many cgroups of a container that may have ended somebody is looked for who lives there. */
const MOST_CGROUPS = 256;

const us = (seconds: number): bigint => BigInt(seconds) * 1_000_000n;

function idOf(container: Container): string {
  return loadAddon().containerOf(container.init)?.id ?? "";
}

async function remove(cgroup: Cgroup): Promise<void> {
  for (const directory of cgroup.directories) {
    await removeCgroup(directory);
  }
}

function move(pid: number, cgroup: Cgroup): void {
  for (const directory of cgroup.directories) {
    writeFileSync(join(directory, "cgroup.procs"), `${pid}`);
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
  /** Starts a container in the PID namespace of the first one, in the same place each time. */
  readonly startSide: () => Promise<Container>;
}> {
  const own = testScope();
  const cgroup = Cgroup.create(own, testName("pod"));
  cgroup.delegate();
  const pause = await Container.start(own, { cgroup: cgroup.child(own, "pause") });
  const startSide = () =>
    Container.start(own, {
      cgroup: cgroup.child(own, "side"),
      pidsOf: pause,
      // As with one of its own that has the number of the one before.
      cgroupNamespace: false,
    });
  return { own, cgroup, pause, startSide };
}

describeLive("a container in the PID namespace of another one", [], () => {
  it.each(["goes", "stays"])(
    "is no more known when it has ended, and its cgroup %s",
    async (does) => {
      const { own, cgroup, pause } = await pod();
      const side = await Container.start(own, { cgroup: cgroup.child(own, "side"), pidsOf: pause });
      const [outer, ended] = [idOf(pause), idOf(side)];
      const census = new Census(MANY);
      census.look(us(1));
      expect(census.found()).toEqual(expect.arrayContaining([outer, ended]));
      await side.kill();
      if (does === "goes") {
        await remove(side.cgroup);
      }
      for (let round = 1; round <= 3; round += 1) {
        census.look(us(1 + round * FULL_S));
      }
      expect(census.found()).toContain(outer);
      expect(census.found()).not.toContain(ended);
    },
  );

  it.each(["a look at it", "the next look"])(
    "is not taken for one before it, in the same place, by %s",
    async (by) => {
      const { startSide } = await pod();
      const side = await startSide();
      const ended = idOf(side);
      const census = new Census(MANY);
      census.look(us(1));
      census.look(us(1 + SETTLED_S));
      expect(census.found()).toContain(ended);
      await side.kill();
      await remove(side.cgroup);
      const next = await startSide();
      if (by === "a look at it") {
        expect(census.lookAt(next.init, us(2 + SETTLED_S))).toBe(true);
      } else {
        census.look(us(2 + SETTLED_S));
      }
      expect(census.found()).toContain(idOf(next));
      expect(census.found()).not.toContain(ended);
    },
  );

  it("is known where its runtime has put it at last, and only there", async () => {
    const { own, cgroup, pause } = await pod();
    const before = cgroup.child(own, "before");
    const after = cgroup.child(own, "after");
    const side = await Container.start(own, {
      cgroup: before,
      pidsOf: pause,
      cgroupNamespace: false,
    });
    const wrong = idOf(side);
    const census = new Census(MANY);
    census.look(us(1));
    expect(census.found()).toContain(wrong);
    move(side.init, after);
    census.look(us(2));
    expect(census.found()).toContain(idOf(side));
    expect(census.found()).not.toContain(wrong);
  });
});

describeLive("a container that has ended", [], () => {
  /** Enough for looking at them to take longer than a look has for this. */
  const OTHERS = 400;
  const ROUNDS = 6;

  it.each(["goes", "stays"])(
    "is no more known, however long it takes to find who lives in another one, and its cgroup %s",
    async (does) => {
      const { own, cgroup, pause } = await pod();
      const first = await Container.start(own, { cgroup: cgroup.child(own, "one"), pidsOf: pause });
      // Its place is that of the first, which a look comes to before: it is always in doubt.
      const living = await Container.start(own, {
        cgroup: cgroup.child(own, "living"),
        pidsOf: pause,
        cgroupNamespace: first,
      });
      // Whoever looks for it finds these first, which are of a container in it.
      const inner = await Container.start(own, { cgroup: living.cgroup.child(own, "inner") });
      move(living.init, living.cgroup.child(own, "own"));
      inner.start(own, ["sh", "-c", `for i in $(seq ${OTHERS}); do sleep 1000 & done; wait`]);
      const others = await until("all are there", () => {
        const pids = inner.cgroup.read("memory", "cgroup.procs").split("\n");
        const all = pids.filter((pid) => commandOf(pid) === "sleep");
        return all.length === OTHERS && all;
      });
      for (const pid of others) {
        move(Number(pid), living.cgroup);
      }
      const side = await Container.start(own, { cgroup: cgroup.child(own, "side"), pidsOf: pause });
      const [lives, ended] = [idOf(living), idOf(side)];
      const census = new Census(MANY);
      census.look(us(1));
      census.lookAt(living.init, us(2));
      expect(census.found()).toEqual(expect.arrayContaining([lives, ended]));
      await side.kill();
      if (does === "goes") {
        await remove(side.cgroup);
      }
      for (let round = 1; round <= ROUNDS; round += 1) {
        census.look(us(2 + round * FULL_S));
      }
      expect(census.found()).toContain(lives);
      expect(census.found()).not.toContain(ended);
    },
  );
});

describeLive("containers that share a PID and a cgroup namespace", [], () => {
  async function pair(): Promise<{
    readonly own: Scope;
    readonly one: Container;
    readonly startOther: () => Promise<Container>;
  }> {
    const { own, cgroup, pause } = await pod();
    const one = await Container.start(own, { cgroup: cgroup.child(own, "one"), pidsOf: pause });
    const options = { pidsOf: pause, cgroupNamespace: one };
    const startOther = () =>
      Container.start(own, { ...options, cgroup: cgroup.child(own, "other") });
    return { own, one, startOther };
  }

  it("are both known, whichever of them is looked at", async () => {
    const { one, startOther } = await pair();
    const other = await startOther();
    const both = expect.arrayContaining([idOf(one), idOf(other)]);
    const census = new Census(MANY);
    census.lookAt(one.init, us(1));
    for (let second = 2; second <= 5; second += 1) {
      census.lookAt((second % 2 === 0 ? other : one).init, us(second));
      expect(census.found()).toEqual(both);
    }
    for (let round = 1; round <= 3; round += 1) {
      census.look(us(5 + round * FULL_S));
      expect(census.found()).toEqual(both);
    }
  });

  it("are both known when one of them lives further down than a search for it goes", async () => {
    const { own, one, startOther } = await pair();
    // A look comes to it second: then the place that they share is the first one's.
    const other = await startOther();
    let cgroup = other.cgroup;
    for (let depth = 0; depth <= MOST_CGROUPS; depth += 1) {
      cgroup = cgroup.child(own, "d");
    }
    move(other.init, cgroup);
    const both = expect.arrayContaining([idOf(one), idOf(other)]);
    const census = new Census(MANY);
    census.look(us(1));
    census.lookAt(other.init, us(2));
    for (let round = 1; round <= 3; round += 1) {
      expect(census.found()).toEqual(both);
      census.look(us(2 + round * FULL_S));
    }
    expect(census.found()).toEqual(both);
  });

  it("are both known when the place of one has become the other's", async () => {
    const { own, one, startOther } = await pair();
    // A process of it in another place, which a look comes to before the place that they share.
    one.start(own, ["unshare", "--cgroup", "sleep", "1000"]);
    await until("it is there", () =>
      one.cgroup
        .read("memory", "cgroup.procs")
        .split("\n")
        .some((pid) => commandOf(pid) === "sleep"),
    );
    const other = await startOther();
    const known = idOf(one);
    const census = new Census(MANY);
    census.look(us(1));
    expect(census.found()).toContain(known);
    await one.kill();
    census.look(us(2));
    expect(census.found()).toEqual(expect.arrayContaining([known, idOf(other)]));
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
    const { startSide } = await pod();
    const side = await startSide();
    const path = memoryPathOf(side.init);
    const owners = new LogOwners();
    expect(owners.ofPath(path, us(1))).toContain(idOf(side));
    const ended = idOf(side);
    await side.kill();
    await remove(side.cgroup);
    const next = await startSide();
    const found = owners.ofPath(path, us(1) + 1n);
    expect(found).toContain(idOf(next));
    expect(found).not.toContain(ended);
  });
});
