import { describe, expect, it } from "vitest";
import { Bucket, Queue } from "../../src/attach/bounds.js";
import { matchesAny, patternsOf } from "../../src/attach/glob.js";
import { mapLimited } from "../../src/attach/limit.js";
import { settingsText } from "../../src/attach/settings.js";
import { loadConfig } from "../../src/config.js";
import { loadAddon } from "../../src/native/addon.js";

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

  it("a queue runs so many at a time, and a key once", async () => {
    const queue = new Queue<number>(2, () => {});
    let running = 0;
    let most = 0;
    let done = 0;
    for (const key of [1, 2, 3, 3, 3, 4]) {
      queue.add(key, async () => {
        running += 1;
        most = Math.max(most, running);
        await Promise.resolve();
        running -= 1;
        done += 1;
      });
    }
    await queue.idle();
    expect([most, done]).toEqual([2, 4]);
  });

  it("a queue goes on after a job that rejects, and tells of it", async () => {
    const errors: unknown[] = [];
    const queue = new Queue<number>(1, (error) => errors.push(error));
    let done = 0;
    queue.add(1, () => Promise.reject(new Error("no")));
    queue.add(2, async () => {
      done += 1;
    });
    await queue.idle();
    expect([errors, done]).toEqual([[new Error("no")], 1]);
  });

  it("mapLimited keeps the order", async () => {
    expect(await mapLimited([3, 1, 2], 2, async (n) => n * 2)).toEqual([6, 2, 4]);
    expect(await mapLimited([], 2, async (n) => n)).toEqual([]);
  });
});

it("hooks are told what is configured", () => {
  const config = loadConfig({
    flags: { skipFiles: "proc/uptime,sys/*", attachExclude: "web*", replaceLxcfs: "yes" },
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
