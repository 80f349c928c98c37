import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ContainerTables,
  mountAt,
  parseMountinfo,
  readMounts,
  type TableBounds,
} from "../../src/mountinfo.js";
import { temporaryDirectory } from "../support/daemon.js";
import { testScope } from "../support/test-scope.js";

const LINES = `31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 master:1 - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
71 23 0:61 / /mnt/a\\040b\\011c\\134d rw,nosuid - fuse.lxcfs vpro\\040cfs rw,user_id=0
72 23 0:62 /meminfo//deleted /proc/meminfo rw - fuse.lxcfs vprocfs rw
`;

describe("parseMountinfo", () => {
  it("reads fields on both sides of the optional ones", () => {
    const [tmpfs, memory] = parseMountinfo(LINES);
    expect(tmpfs).toEqual({
      id: 31,
      parentId: 23,
      device: "0:28",
      root: "/",
      mountpoint: "/sys/fs/cgroup",
      fsType: "tmpfs",
      source: "tmpfs",
      superOptions: ["rw", "mode=755"],
    });
    expect(memory?.superOptions).toContain("memory");
  });

  it("undoes the kernel's escapes", () => {
    const [, , fuse, file] = parseMountinfo(LINES);
    expect(fuse?.mountpoint).toBe("/mnt/a b\tc\\d");
    expect(fuse?.source).toBe("vpro cfs");
    expect(file?.root).toBe("/meminfo//deleted");
  });

  it("takes an empty source and leaves out what it does not know", () => {
    const text = "\ngarbage\n1 2 0:3 / /x rw -\n80 23 0:9 / /y rw - fuse  rw\n";
    expect(parseMountinfo(text)).toMatchObject([{ mountpoint: "/y", source: "" }]);
  });

  it("gives any path back that the kernel wrote", () => {
    const octal = (path: string) =>
      path.replaceAll(
        /[ \t\n\\#]/g,
        (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`,
      );
    const paths = fc.string({ unit: "grapheme" }).map((text) => `/${text.replaceAll("\0", "")}`);
    fc.assert(
      fc.property(paths, (path) => {
        const [mount] = parseMountinfo(`1 2 0:3 / ${octal(path)} rw - fuse src rw`);
        expect(mount?.mountpoint).toBe(path);
      }),
    );
  });

  it("reads this machine's own", () => {
    expect(mountAt(readMounts(), "/proc")?.fsType).toBe("proc");
  });
});

describe("mountAt", () => {
  it("finds the topmost of several", () => {
    const text = "1 0 0:1 / /m rw - ext4 a rw\n2 1 0:2 / /m rw - fuse b rw\n";
    expect(mountAt(parseMountinfo(text), "/m")?.source).toBe("b");
    expect(mountAt(parseMountinfo(text), "/m/x")).toBeUndefined();
  });
});

describe("ContainerTables", () => {
  const table = (text: string): string => {
    const path = join(temporaryDirectory(testScope(), "mounts"), "mountinfo");
    writeFileSync(path, text);
    return path;
  };

  it("keep what is at or below /proc and /sys, across the pieces that they read", () => {
    const other = `80 23 0:70 / /srv/proc/${"x".repeat(3000)} rw - tmpfs none rw\n`;
    const text = LINES + other.repeat(200) + LINES.repeat(100) + other.repeat(50);
    const inKernelTrees = parseMountinfo(text).filter(({ mountpoint }) =>
      /^\/(?:proc|sys)(?:\/|$)/.test(mountpoint),
    );
    expect(inKernelTrees).toHaveLength(303);
    const tables = new ContainerTables({ tableMs: 60_000, tenantMs: 60_000 });
    expect(tables.kernelTreeMounts("1", table(text))).toEqual(inKernelTrees);
  });

  it("end where a table is too long, or takes too long", () => {
    let now = 0;
    // It has 16 pieces, for each of which a ms passes.
    const tables = (bounds: Partial<TableBounds>): ContainerTables =>
      new ContainerTables({ tableMs: 100, tenantMs: 100, ...bounds }, () => (now += 1));
    const path = table(LINES.repeat(200));
    const take = (bounded: ContainerTables, tenant = "1") =>
      bounded.kernelTreeMounts(tenant, path).length;
    expect(take(tables({}))).toBe(600);
    expect(take(tables({ maxBytes: 1 << 20 }))).toBe(600);
    expect(() => take(tables({ maxBytes: 1 << 15 }))).toThrow(RangeError);
    expect(() => take(tables({ tableMs: 10 }))).toThrow(RangeError);
    const ofTenant = tables({ tenantMs: 30 });
    expect(take(ofTenant)).toBe(600);
    expect(() => take(ofTenant)).toThrow(RangeError);
    expect(take(ofTenant, "2")).toBe(600);
    const ofAll = tables({ allMs: 30 });
    expect(take(ofAll)).toBe(600);
    expect(() => take(ofAll, "2")).toThrow(RangeError);
  });
});
