import { describe, expect, it } from "vitest";
import { Bucket, FairQueue, type FairQueueOptions } from "../../src/attach/bounds.js";
import { matchesAny, patternsOf } from "../../src/attach/glob.js";
import { Remounts } from "../../src/attach/remounts.js";
import { settingsText } from "../../src/attach/settings.js";
import { TrackedContainers } from "../../src/attach/tracked.js";
import { loadConfig } from "../../src/config-load.js";
import { loadAddon } from "../../src/native/addon.js";
import { container } from "../support/fake-binding.js";
import { until } from "../support/wait.js";

describe("patterns", () => {
  it.each([
    ["web*", "web1", true],
    ["web*", "my-web1", false],
    ["lxc:db?", "lxc:db2", true],
    ["/machine/*", "/machine/a/b", true],
    ["[a-c]x", "bx", true],
    ["[!a-c]x", "bx", false],
    ["a.c", "abc", false],
    ["a\\d", "a1", false],
    ["a\\*", "a*", true],
    ["db[[:digit:]]*", "db1-x", true],
    ["db[9-0]", "db5", false],
    ["[]]", "]", true],
    ["[", "[", true],
    ["", "", true],
  ])("%s against %s: %s", (pattern, name, matches) => {
    expect(matchesAny(loadAddon(), [pattern], [name])).toBe(matches);
  });

  it("come as a list", () => {
    expect(patternsOf(" a, b*,, c ")).toEqual(["a", "b*", "c"]);
    expect(patternsOf("")).toEqual([]);
  });
});

describe("bounds", () => {
  it("a bucket gives what it holds, then what drops in", () => {
    let now = 0;
    const bucket = new Bucket(2, 1, () => now);
    expect([bucket.take(), bucket.take(), bucket.take()]).toEqual([true, true, false]);
    now = 1000;
    expect([bucket.take(), bucket.take()]).toEqual([true, false]);
  });

  const queueOf = (options: Partial<FairQueueOptions>) =>
    new FairQueue<string, number>({
      concurrency: 2,
      slowMs: 60_000,
      maxSlow: 1,
      atOnce: 100,
      perSecond: 1,
      freeMs: 1000,
      share: 0.1,
      onError: () => {},
      ...options,
    });

  /** Jobs that end when the test says so. */
  function jobs() {
    const begun: string[] = [];
    const ends = new Map<string, () => void>();
    const job = (name: string) => () =>
      new Promise<number>((resolve) => {
        begun.push(name);
        ends.set(name, () => resolve(0));
      });
    return { begun, job, end: (name: string) => ends.get(name)?.() };
  }

  it("a queue runs so many at a time, one of each tenant, and a key once", async () => {
    const queue = queueOf({});
    const { begun, job, end } = jobs();
    for (const [tenant, key] of [
      ["a", 1],
      ["a", 2],
      ["a", 2],
      ["b", 3],
      ["c", 4],
    ] as const) {
      queue.add(tenant, key, job(`${tenant}${key}`));
    }
    expect(begun).toEqual(["a1", "b3"]);
    end("a1");
    await new Promise(setImmediate);
    expect(begun).toEqual(["a1", "b3", "c4"]);
    end("b3");
    end("c4");
    await new Promise(setImmediate);
    end("a2");
    await queue.idle();
    expect(begun).toEqual(["a1", "b3", "c4", "a2"]);
  });

  it("a job that waits can be removed, and no other one", async () => {
    const queue = queueOf({});
    const { begun, job, end } = jobs();
    for (const key of [1, 2, 3]) {
      queue.add("a", key, job(`a${key}`));
    }
    expect(queue.waitingOf("a")).toBe(2);
    expect([1, 2, 2].map((key) => queue.remove("a", key))).toEqual([false, true, false]);
    expect([queue.remove("b", 3), queue.waitingOf("a"), queue.waitingOf("b")]).toEqual([
      false,
      1,
      0,
    ]);
    end("a1");
    await new Promise(setImmediate);
    expect(begun).toEqual(["a1", "a3"]);
    end("a3");
    await queue.idle();
  });

  it("a tenant whose jobs hang keeps nobody else waiting", async () => {
    const queue = queueOf({ concurrency: 1, slowMs: 1 });
    const { begun, job, end } = jobs();
    queue.add("hangs", 1, job("hangs 1"));
    queue.add("hangs", 2, job("hangs 2"));
    queue.add("works", 3, job("works"));
    await until("the other one's begins", () => begun.length > 1);
    expect(begun).toEqual(["hangs 1", "works"]);
    expect(queue.state()).toMatchObject({ waiting: 1, running: 2 });
    end("works");
    end("hangs 1");
    await until("the second begins", () => begun.includes("hangs 2"));
    expect(await queue.idleWithin(1)).toBe(false);
    end("hangs 2");
    await queue.idle();
  });

  it("a tenant gets no more than its rate and its share", async () => {
    let now = 0;
    const counts = { often: 0, costly: 0 };
    const queue = queueOf({ atOnce: 3, now: () => now });
    const run = (name: keyof typeof counts, costMs: number) => async () => {
      counts[name] += 1;
      return costMs;
    };
    for (let key = 0; key < 10; key += 1) {
      queue.add("often", key, run("often", 0));
      queue.add("costly", key, run("costly", 600));
    }
    const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
    await settled();
    expect(counts).toEqual({ often: 3, costly: 2 });
    // A token a second; 1.2 s of work less the second that is free is paid after two.
    now = 2000;
    queue.add("other", 1, run("often", 0));
    await settled();
    expect(counts).toEqual({ often: 6, costly: 3 });
    queue.drop();
    expect(await queue.idleWithin(60_000)).toBe(true);
  });

  it("nobody pays for what is not known to have cost anything", async () => {
    let now = 0;
    const queue = queueOf({ atOnce: 3, now: () => now });
    const begun: number[] = [];
    for (const key of [1, 2]) {
      queue.add("a", key, async () => {
        begun.push(key);
        now += 60_000;
        return undefined;
      });
    }
    await queue.idle();
    expect(begun).toEqual([1, 2]);
  });

  it("a queue goes on after a job that rejects, and tells of it", async () => {
    const errors: unknown[] = [];
    const queue = queueOf({ concurrency: 1, onError: (error) => errors.push(error) });
    let done = 0;
    queue.add("a", 1, () => Promise.reject(new Error("no")));
    queue.add("b", 2, async () => {
      done += 1;
      return 0;
    });
    await queue.idle();
    expect([errors, done]).toEqual([[new Error("no")], 1]);
  });

  it("a file that keeps being taken away is left alone for an hour, and only that", () => {
    let now = 0;
    const remounts = new Remounts(() => now);
    const counted = Array.from({ length: 5 }, () => remounts.count(1, ["/proc/stat"]));
    expect(counted.flat()).toEqual(["/proc/stat"]);
    expect(remounts.count(1, ["/proc/meminfo"])).toEqual([]);
    expect([remounts.left(1), remounts.left(2)]).toEqual([["/proc/stat"], []]);
    now = Remounts.forgivenAfterMs;
    expect(remounts.left(1)).toEqual([]);
    expect(remounts.count(1, ["/proc/stat"])).toEqual([]);
  });

  it("a file that keeps being taken away is left alone also after more masks of CPUs than are remembered", () => {
    const remounts = new Remounts(() => 0);
    const masks = Array.from(
      { length: 2048 },
      (_, n) => `/sys/devices/system/cpu/cpu${n}/topology`,
    );
    remounts.count(1, masks);
    const counted = Array.from({ length: 5 }, () => remounts.count(1, ["/proc/stat"]));
    expect(counted.flat()).toEqual(["/proc/stat"]);
    for (let times = 0; times < 60; times += 1) {
      remounts.count(1, masks);
    }
    expect(remounts.left(1)).toHaveLength(1025);
  });

  it("what the kernel takes away with a CPU is left alone only where that happens more than once a minute", () => {
    let now = 0;
    const remounts = new Remounts(() => now);
    const masks = [
      "/sys/devices/system/cpu/cpu1/topology",
      "/sys/devices/system/cpu/cpufreq/policy1/stats",
      "/sys/devices/system/node/node0/distance",
    ];
    const file = "/sys/devices/system/cpu/online";
    const counted = Array.from({ length: 60 }, () => remounts.count(1, [...masks, file]));
    // Files beside the directories of CPUs stay when one goes.
    expect(counted.flatMap((left, at) => left.map((path) => [at + 1, path]))).toEqual([
      [5, file],
      ...masks.map((path) => [60, path]),
    ]);
    expect(remounts.left(1)).toEqual([...masks, file]);
    now = Remounts.forgivenAfterMs;
    expect(remounts.left(1)).toEqual([]);
    for (let times = 0; times < 200; times += 1) {
      now += 62_000;
      expect(remounts.count(1, masks)).toEqual([]);
    }
  });

  it("are remembered of each PID namespace of a cgroup", () => {
    const tracked = new TrackedContainers(() => 0);
    const of = (init: number) => tracked.add(container({ init }), init);
    for (let i = 0; i < 5; i += 1) {
      of(1).remounts.count(1, ["/proc/stat"]);
      of(2).remounts.count(2, ["/proc/stat"]);
    }
    expect([of(1).remounts.left(1), of(2).remounts.left(2)]).toEqual([
      ["/proc/stat"],
      ["/proc/stat"],
    ]);
    expect(tracked.forget(1)).toBe(true);
    expect(of(1).remounts.left(1)).toEqual([]);
    expect(of(2).remounts.left(2)).toEqual(["/proc/stat"]);
  });

  it("are remembered while any namespace of a container lives that has had a file", () => {
    const tracked = new TrackedContainers(() => 0);
    for (const namespace of [1, 2]) {
      tracked.add(container(), namespace).reached.set(namespace, new Set());
    }
    expect([tracked.forget(1), tracked.forget(2)]).toEqual([false, true]);
  });
});

it("hooks are told what is configured", () => {
  const config = loadConfig({
    flags: { skipFiles: "proc/uptime,sys/*", attachExclude: "web*", replaceLxcfs: "on" },
    env: {},
    defaultFile: "/nonexistent",
  });
  expect(settingsText(config, "/mnt").split("\n")).toEqual([
    "mountpoint /mnt",
    "type fuse.lxcfs",
    "source vprocfs",
    "skip proc/uptime",
    "skip sys/*",
    "exclude web*",
    "only *",
    "replace-lxcfs yes",
    "end",
    "",
  ]);
});

it.each([{ watch: "off" }, { nested: "off" }])(
  "%o: hooks mount no copies for user namespaces",
  (flags) => {
    const config = loadConfig({ flags, env: {}, defaultFile: "/nonexistent" });
    expect(settingsText(config, "/mnt").split("\n")).toContain("copies off");
  },
);

it("hooks are told that no container is wanted", () => {
  const flags = { attachOnly: "" };
  const config = loadConfig({ flags, env: {}, defaultFile: "/nonexistent" });
  expect(settingsText(config, "/mnt").split("\n")).toContain("exclude *");
});
