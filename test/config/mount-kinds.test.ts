// Whose a mount is, native/source/mount_kind.cc and src/mountpoint.ts say alike.

import { describe, expect, it } from "vitest";
import { parseMountinfo } from "../../src/mountinfo.js";
import { type Identity, isLxcfs, isOurs } from "../../src/mountpoint.js";
import { countMounted } from "../support/testing.js";

const DEFAULT: Identity = { fsType: "fuse.lxcfs", source: "vprocfs" };
const MINE: Identity = { fsType: "fuse.mine", source: "mine" };
const AS_LXCFS: Identity = { fsType: "fuse.lxcfs", source: "lxcfs" };

const [OURS, LXCFS, NEITHER] = [
  { isOurs: true, isLxcfs: false },
  { isOurs: false, isLxcfs: true },
  { isOurs: false, isLxcfs: false },
];

/** By native code, which counts files: LXCFS's where the host has the same file system. */
function nativeKind(line: string, { fsType, source }: Identity) {
  const { ours, lxcfs } = countMounted(line, fsType, source, line);
  return { isOurs: ours === 1, isLxcfs: lxcfs === 1 };
}

function kind(line: string, identity: Identity) {
  const [mount] = parseMountinfo(line);
  return mount && { isOurs: isOurs(mount, identity), isLxcfs: isLxcfs(mount, identity) };
}

describe("a mount in a mount table", () => {
  it.each([
    ["fuse.lxcfs vprocfs", DEFAULT, OURS],
    ["fuse.lxcfs lxcfs", DEFAULT, LXCFS],
    ["fuse lxcfs", DEFAULT, LXCFS],
    ["fuse.other lxcfs", DEFAULT, LXCFS],
    ["fuseblk lxcfs", DEFAULT, NEITHER],
    ["tmpfs lxcfs", DEFAULT, NEITHER],
    ["fuse.lxcfs other", DEFAULT, NEITHER],
    ["fuse vprocfs", DEFAULT, NEITHER],
    ["fuse.mine mine", DEFAULT, NEITHER],
    ["fuse.mine mine", MINE, OURS],
    // Before the configuration was changed, or either of its two words.
    ["fuse.lxcfs vprocfs", MINE, OURS],
    ["fuse.lxcfs mine", MINE, OURS],
    ["fuse.mine vprocfs", MINE, OURS],
    ["fuse.lxcfs lxcfs", MINE, LXCFS],
    ["fuse.mine lxcfs", MINE, LXCFS],
    ["ext4 mine", MINE, NEITHER],
    ["fuse.lxcfs lxcfs", AS_LXCFS, OURS],
    ["fuse.lxcfs vprocfs", AS_LXCFS, OURS],
    ["fuse lxcfs", AS_LXCFS, LXCFS],
  ] as const)("'%s' is, configured as %o, %o", (words, identity, expected) => {
    const line = `3 2 0:3 /proc/stat /proc/stat ro - ${words} ro`;
    expect(kind(line, identity)).toEqual(expected);
    expect(nativeKind(line, identity)).toEqual(expected);
  });
});
