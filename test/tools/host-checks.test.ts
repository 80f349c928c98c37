import { expect, it } from "vitest";
import { parseMountinfo } from "../../src/mountinfo.js";
import { Findings } from "../../src/tools/findings.js";
import { checkLxcfs } from "../../src/tools/host-checks.js";

const LXCFS = "1 0 0:31 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw";
const OURS = "2 0 0:30 / /var/lib/vprocfs rw - fuse.lxcfs vprocfs rw";

it.each([
  ["off", /leaves containers alone that have its files$/, /replace-lxcfs/],
  ["on", /replaces its files in containers$/, /^stop LXCFS/],
] as const)(
  "says what becomes of LXCFS's files with replace-lxcfs %s",
  (replaceLxcfs, what, todo) => {
    const found = (...lines: string[]) => {
      const findings = new Findings("host");
      const config = { fsType: "fuse.lxcfs", source: "vprocfs", replaceLxcfs };
      checkLxcfs(findings, parseMountinfo(lines.join("\n")), config, "");
      return findings.list.filter(({ level }) => level === "warning");
    };
    expect(found(OURS)).toEqual([]);
    expect(found(LXCFS, OURS)).toMatchObject([
      { what: expect.stringMatching(what), todo: expect.stringMatching(todo) },
    ]);
  },
);
