import { describe, expect, it } from "vitest";
import { matchFile } from "../../src/commands/show.js";
import { findContainer } from "../../src/containers/find.js";
import { container, fakeBinding } from "../support/fake-binding.js";

const web = container();
const twin1 = container({ id: "11", name: "twin" });
const twin2 = container({ id: "22", name: "twin" });
const digits = container({ id: "99", name: "4711" });

const hash1 = container({ id: "33", name: `cafe1${"0".repeat(59)}` });
const hash2 = container({ id: "44", name: `cafe2${"0".repeat(59)}` });

// Made inside other containers.
const taken = container({ id: "55", tenant: "11", name: "evil/web1" });
const inner = container({ id: "66", tenant: "1a2b", name: "web1/inner" });
const innerHash = container({ id: "78", tenant: "33", name: `${hash1.name}/${hash2.name}` });
const lone = container({ id: "88", tenant: "33", name: `${hash1.name}/beef${"0".repeat(60)}` });

const finder = fakeBinding(
  [taken, web, twin1, twin2, digits, innerHash, lone, hash1, hash2, inner],
  (pid) => {
    switch (pid) {
      case 1:
        return null;
      case 500:
      case 4711:
        return web;
      case 13:
        throw new Error("broken");
      default:
        throw Object.assign(new Error("gone"), { code: "ESRCH" });
    }
  },
);

describe("findContainer", () => {
  it("finds by id, then by name, then by PID", () => {
    expect(findContainer(finder, "1a2b")).toBe(web);
    expect(findContainer(finder, "web1")).toBe(web);
    expect(findContainer(finder, "500")).toBe(web);
    expect(findContainer(finder, "4711")).toBe(digits);
    expect(findContainer(finder, "22")).toBe(twin2);
    expect(findContainer(finder, "cafe1")).toBe(hash1);
    expect(findContainer(finder, hash2.name)).toBe(hash2);
  });

  it("finds one within another by both names, and by its own where no other is meant", () => {
    expect(findContainer(finder, "evil/web1")).toBe(taken);
    expect(findContainer(finder, "inner")).toBe(inner);
    expect(findContainer(finder, "web1/inner")).toBe(inner);
    expect(findContainer(finder, innerHash.name)).toBe(innerHash);
    expect(findContainer(finder, "cafe1/cafe2")).toBe(innerHash);
    expect(findContainer(finder, "cafe2")).toBe(hash2);
    expect(findContainer(finder, "beef")).toBe(lone);
  });

  it.each([
    ["twin", "several containers are named 'twin', use an id: 11 (lxc twin), 22 (lxc twin)"],
    ["cafe", "several containers have names that begin with 'cafe', use an id: 33 ("],
    ["caf", "no container 'caf'"],
    ["twi", "no container 'twi', did you mean 'twin'?"],
    ["web2", "no container 'web2', did you mean 'web1'?"],
    ["1", "process 1 is not in a container"],
    ["77", "no container or process '77'"],
    ["../x\n", "no container '../x\\x0a'"],
    ["99999999", "no container '99999999'"],
    ["13", "broken"],
  ])("explains %j", (word, message) => {
    expect(() => findContainer(finder, word)).toThrow(message);
  });
});

describe("matchFile", () => {
  const paths = ["proc/meminfo", "proc/stat", "sys/devices/system/cpu/online"];

  it.each([
    ["meminfo", "proc/meminfo"],
    ["/proc/stat", "proc/stat"],
    ["proc/stat", "proc/stat"],
    ["/sys/devices/system/cpu/online", "sys/devices/system/cpu/online"],
  ])("takes %s for %s", (word, path) => {
    expect(matchFile(word, paths)).toBe(path);
  });

  it.each(["", "/", "..", "proc", "proc/../meminfo", "online"])("refuses %j", (word) => {
    expect(() => matchFile(word, paths)).toThrow("no file");
  });
});
