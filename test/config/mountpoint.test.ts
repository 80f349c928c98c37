import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Mount } from "../../src/mountinfo.js";
import {
  canonicalPath,
  isOnTop,
  type MountpointSystem,
  mountState,
  prepareMountpoint,
  servingPlace,
} from "../../src/mountpoint.js";
import { testName } from "../support/names.js";

const IDENTITY = { fsType: "fuse.lxcfs", source: "vprocfs" };

let directory: string;

beforeAll(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), testName("mountpoint-"))));
  mkdirSync(join(directory, "empty"));
  mkdirSync(join(directory, "full/inside"), { recursive: true });
  writeFileSync(join(directory, "file"), "");
  symlinkSync("empty", join(directory, "link"));
});

afterAll(() => rmSync(directory, { recursive: true }));

function mount(mountpoint: string, change: Partial<Mount> = {}): Mount {
  const base = { id: 1, parentId: 0, device: "0:1", root: "/", superOptions: [] };
  return { ...base, mountpoint, ...IDENTITY, ...change };
}

function errno(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** Root on a machine with FUSE, no mounts, and the real directories. */
function system(change: Partial<MountpointSystem> = {}): MountpointSystem {
  return {
    uid: () => 0,
    mounts: () => [],
    probeFuse: () => {},
    entries: (path) => readdir(path),
    makeDirectory: () => {},
    unmount: () => false,
    ...change,
  };
}

function prepare(name: string, change: Partial<MountpointSystem> = {}) {
  return prepareMountpoint(system(change), join(directory, name), IDENTITY);
}

describe("prepareMountpoint", () => {
  it("accepts an empty directory, also through a symlink", async () => {
    const path = join(directory, "empty");
    expect(await prepare("empty")).toEqual({ path, removed: 0 });
    expect(await prepare("link")).toEqual({ path, removed: 0 });
  });

  it.each([
    ["full", "the directory is not empty"],
    ["file", "not a directory"],
    ["missing", "no such directory"],
  ])("refuses %s", async (name, reason) => {
    await expect(prepare(name)).rejects.toThrow(`${join(directory, name)}: ${reason}`);
  });

  it("creates the default mount point only", async () => {
    const made: string[] = [];
    const missing = system({
      entries: async (path) => {
        if (made.includes(path)) {
          return [];
        }
        throw errno("ENOENT");
      },
      makeDirectory: (path) => made.push(path),
    });
    await prepareMountpoint(missing, "/var/lib/vprocfs", IDENTITY);
    expect(made).toEqual(["/var/lib/vprocfs"]);
    await expect(prepareMountpoint(missing, "/var/lib/other", IDENTITY)).rejects.toThrow(
      "no such directory",
    );
  });

  it("needs root and the device", async () => {
    await expect(prepare("empty", { uid: () => 1000 })).rejects.toThrow("must be run as root");
    const failing = (code: string) => ({
      probeFuse: () => {
        throw errno(code);
      },
    });
    await expect(prepare("empty", failing("ENOENT"))).rejects.toThrow("modprobe fuse");
    await expect(prepare("empty", failing("EPERM"))).rejects.toThrow("cannot be opened (EPERM)");
  });

  it("refuses a live mount of our own", async () => {
    const path = join(directory, "full");
    const mounts = () => [mount(path)];
    await expect(prepare("full", { mounts })).rejects.toThrow("a vprocfs is already mounted here");
  });

  it("refuses the mounts of others without touching them", async () => {
    const path = join(directory, "empty");
    const change = {
      mounts: () => [mount(path, { fsType: "fuse.lxcfs", source: "lxcfs" })],
      entries: () => Promise.reject(new Error("touched")),
      unmount: () => {
        throw new Error("unmounted");
      },
    };
    await expect(prepare("empty", change)).rejects.toThrow(
      `${path}: something else is mounted here (fuse.lxcfs from lxcfs)`,
    );
  });

  it("takes away dead mounts of its own, one after the other", async () => {
    const path = join(directory, "empty");
    const mounts = [mount(path), mount(path)];
    const change = {
      mounts: () => [...mounts],
      entries: (asked: string) =>
        mounts.length > 0 ? Promise.reject(errno("ENOTCONN")) : readdir(asked),
      unmount: () => mounts.pop() !== undefined,
    };
    expect(await prepare("empty", change)).toEqual({ path, removed: 2 });
  });

  it("names a mount that answers with errors only", async () => {
    const path = join(directory, "empty");
    const hung = {
      mounts: () => [mount(path)],
      entries: () => Promise.reject(errno("EIO")),
    };
    await expect(prepare("empty", hung)).rejects.toThrow(
      `${path}: a vprocfs is already mounted here and does not answer`,
    );
  });

  it("gives up on a dead mount that stays", async () => {
    const path = join(directory, "empty");
    const dead = {
      mounts: () => [mount(path)],
      entries: () => Promise.reject(errno("ENOTCONN")),
    };
    await expect(prepare("empty", { ...dead, unmount: () => false })).rejects.toThrow(
      "cannot be unmounted",
    );
    await expect(prepare("empty", { ...dead, unmount: () => true })).rejects.toThrow("too many");
  });
});

describe("mountState", () => {
  it("tells a mount that answers with errors from one that is alive", async () => {
    const change = { mounts: () => [mount("/m")], entries: () => Promise.reject(errno("EIO")) };
    expect(await mountState(system(change), "/m", IDENTITY)).toBe("hung");
  });

  it("waits for an answer, but not for ever", async () => {
    const never = { mounts: () => [mount("/m")], entries: () => new Promise<string[]>(() => {}) };
    vi.useFakeTimers();
    try {
      const state = mountState(system(never), "/m", IDENTITY);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(await state).toBe("hung");
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("isOnTop", () => {
  it("is false for a mount of ours below something else", () => {
    const mounts = [mount("/m"), mount("/m", { fsType: "ext4" })];
    expect(isOnTop(system({ mounts: () => mounts }), "/m", IDENTITY)).toBe(false);
    expect(isOnTop(system({ mounts: () => mounts.slice(0, 1) }), "/m", IDENTITY)).toBe(true);
  });
});

describe("canonicalPath", () => {
  it("resolves what exists and keeps the rest", () => {
    expect(canonicalPath(join(directory, "link/"))).toBe(join(directory, "empty"));
    expect(canonicalPath(join(directory, "link/../new"))).toBe(join(directory, "new"));
    expect(canonicalPath("/no/such/place")).toBe("/no/such/place");
  });
});

describe("servingPlace", () => {
  const ours = mount("/var/lib/vprocfs");
  const inPlace = mount("/var/lib/lxcfs");
  const lxcfs = mount("/var/lib/lxcfs", { source: "lxcfs" });

  it.each([
    ["the default, whatever is there", [], "/var/lib/vprocfs"],
    ["the default, where one serves", [ours, inPlace], "/var/lib/vprocfs"],
    ["LXCFS's place, where one serves instead", [inPlace], "/var/lib/lxcfs"],
    ["not where LXCFS itself serves", [lxcfs], "/var/lib/vprocfs"],
  ])("%s", (_, mounts, place) => {
    expect(servingPlace(mounts, IDENTITY)).toBe(place);
  });

  it("LXCFS's place, also where a symlink leads to it", () => {
    mkdirSync(join(directory, "var/lxcfs"), { recursive: true });
    symlinkSync("var", join(directory, "to-var"));
    const place = join(directory, "to-var/lxcfs");
    const mounts = [mount(join(directory, "var/lxcfs"))];
    expect(servingPlace(mounts, IDENTITY, place)).toBe(place);
  });
});
