import { describe, expect, it } from "vitest";
import { matchFile } from "../../src/commands/show.js";
import { findContainer } from "../../src/containers/find.js";
import { madeByRoot } from "../../src/containers/made-by-root.js";
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
    for (const isRoots of [true, false]) {
      expect(findContainer(finder, "4711", () => isRoots)).toBe(digits);
    }
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

  it("prefers root's container to one that a user of the host has named alike", () => {
    const isMadeByRoot = ({ name, cgroup }: { readonly name: string; readonly cgroup: string }) =>
      name.startsWith("twin") && cgroup === "/root";
    const roots = container({ id: "12", name: "twin", cgroup: "/root" });
    const within = container({ id: "13", tenant: "12", name: "twin/a", cgroup: "/root" });
    const other = container({ id: "14", tenant: "11", name: "twin/a" });
    const both = fakeBinding([twin1, roots, other, within, hash1, hash2]);
    expect(findContainer(both, "twin", isMadeByRoot)).toBe(roots);
    expect(findContainer(both, "twin/a", isMadeByRoot)).toBe(within);
    expect(findContainer(both, "11", isMadeByRoot)).toBe(twin1);
    expect(() => findContainer(both, "cafe", isMadeByRoot)).toThrow("several containers");
  });

  it("prefers root's container also to one that a user has named as root's begins", () => {
    const isMadeByRoot = ({ cgroup }: { readonly cgroup: string }) => cgroup === "/root";
    const hash = `1a2b3c4d5e6f${"0".repeat(52)}`;
    const roots = container({ id: "12", name: hash, cgroup: "/root" });
    const within = container({ id: "13", tenant: "12", name: `${hash}/app`, cgroup: "/root" });
    const users = container({ id: "14", name: hash.slice(0, 12) });
    const usersWithin = container({ id: "15", tenant: "14", name: `${users.name}/app` });
    const usersPid = container({ id: "16", name: "500" });
    const usersApp = container({ id: "17", name: "app" });
    const both = fakeBinding([users, usersWithin, usersPid, usersApp, roots, within], (pid) => {
      if (pid === 500) {
        return roots;
      }
      throw Object.assign(new Error("not yours"), { code: "EACCES" });
    });
    const find = (word: string) => findContainer(both, word, isMadeByRoot);
    expect(find(users.name)).toBe(roots);
    expect(find(`${users.name}/app`)).toBe(within);
    expect(find("500")).toBe(roots);
    // Whoever is in root's container has named this one.
    expect(find("app")).toBe(usersApp);
    expect(find("14")).toBe(users);
    const alone = container({ id: "18", name: "600" });
    expect(
      findContainer(
        fakeBinding([alone], () => {
          throw Object.assign(new Error("not yours"), { code: "EACCES" });
        }),
        "600",
      ),
    ).toBe(alone);
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

describe("madeByRoot", () => {
  const users = "/user.slice/user-1000.slice/user@1000.service";
  const owners = new Map([
    ["/cg", 0],
    ["/cg/docker", 0],
    ["/cg/lxc", 0],
    ["/cg/machine.slice", 0],
    ["/cg/machine.slice/libpod-77.scope", 100_000],
    ["/cg/machine.slice/machine-pay.scope", 100_000],
    ["/cg/user.slice/user-1000.slice", 0],
    [`/cg${users}`, 1000],
    [`/cg${users}/docker`, 1000],
    ["/v1/both", 0],
    ["/cg/both", 1000],
  ]);
  const isMadeByRoot = madeByRoot(["/cg", "/v1"], (directory) => owners.get(directory));

  it.each([
    ["77", "/docker/77", true],
    ["77/app", "/docker/77/app", true],
    ["web1", "/lxc.payload.web1", true],
    ["100", "/lxc/100/ns", true],
    // Its runtime has given the directory between to the root of its user namespace.
    ["77", "/machine.slice/libpod-77.scope/container", true],
    ["web-1", "/machine.slice/machine-web\\x2d1.scope/payload", true],
    // A part of the name of a directory within is not the container's name.
    ["pay", "/machine.slice/machine-pay.scope/payload", true],
    ["a-\\x01\\x20\\x2f", "/machine.slice/machine-a\\x2d\\x01\\x20\\x2f.scope", true],
    ["web", "/machine.slice/systemd-nspawn@web.service/payload", true],
    ["session-3.scope", "/user.slice/user-1000.slice/session-3.scope", true],
    ["77", `${users}/docker-77.scope`, false],
    ["77", `${users}/docker/77`, false],
    ["77/app", `${users}/docker/77/app`, false],
    // What is in it may be anywhere.
    ["77/session-3.scope", "/user.slice/user-1000.slice/session-3.scope", false],
    ["er", `${users}/er`, false],
    ["77", "/both/77", false],
    ["77", "/unknown/77", false],
    ["/", "/", false],
  ])("%s in %s: %s", (name, cgroup, expected) => {
    expect(isMadeByRoot({ name, cgroup })).toBe(expected);
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
