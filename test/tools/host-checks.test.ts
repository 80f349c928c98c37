import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { parseMountinfo } from "../../src/mountinfo.js";
import { Findings } from "../../src/tools/findings.js";
import { checkAge, checkHost, checkLxcfs, checkSwap } from "../../src/tools/host-checks.js";

const LXCFS = "1 0 0:31 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw";
const OURS = "2 0 0:30 / /var/lib/vprocfs rw - fuse.lxcfs vprocfs rw";

it.each([
  [false, /leaves alone the containers that have its files$/, /replace-lxcfs/],
  [true, /replaces its files in containers$/, /^stop LXCFS/],
] as const)(
  "says what becomes of LXCFS's files with replace-lxcfs: %s",
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

it.each([
  ["6.18.44-x", 0],
  ["6.8.0-31-generic", 1],
  ["5.10.0", 2],
  ["5.4.0-200-generic", 3],
])("says what Linux %s lacks", (version, count) => {
  const findings = new Findings("host");
  checkAge(findings, version);
  const levels = findings.list.map(({ level }) => level).filter((level) => level !== "ok");
  expect(levels).toEqual(Array(count).fill("info"));
});

it.each([
  ["5.6.0", []],
  ["5.5.19", [/^system calls of containers are left to the kernel/]],
  ["5.4.0-200-generic", [/would never return.*: do not use install-hooks --sysinfo$/]],
])("says what becomes of system calls with Linux %s", (version, texts) => {
  const findings = new Findings("host");
  checkAge(findings, version);
  const found = findings.list.map(({ what }) => what).filter((what) => /system calls/.test(what));
  expect(found).toEqual(texts.map((text) => expect.stringMatching(text)));
});

it("what needs no survey is checked without one", () => {
  const config = { fsType: "fuse.lxcfs", source: "vprocfs", replaceLxcfs: false };
  const texts = checkHost(undefined, null, [], config, "").map(({ what }) => what);
  expect(texts).toContainEqual(expect.stringMatching(/^Linux /));
  expect(texts).not.toContainEqual(expect.stringMatching(/^the kernel's log/));
});

it.each([
  ["accounted", ["memory.swap.current"], 1024, ["ok", undefined]],
  ["not accounted", [], 1024, ["warning", expect.stringContaining("swapaccount=1")]],
  ["not accounted, nor there,", [], 0, ["info", undefined]],
])("swap is %s in a container that lives, whatever has ended", (_, files, kb, expected) => {
  const mount = mkdtempSync(join(tmpdir(), "vprocfs-swap-"));
  onTestFinished(() => rmSync(mount, { recursive: true }));
  mkdirSync(join(mount, "lives"));
  for (const file of files) {
    writeFileSync(join(mount, "lives", file), "0\n");
  }
  const findings = new Findings("host");
  const at = (path: string) => ({ cgroups: { memory: { mount, path, v2: true } } });
  const meminfo = `MemTotal:        2048 kB\nSwapTotal:       ${kb} kB\n`;
  checkSwap(findings, [at("/ended"), at("/lives")], meminfo);
  expect(findings.list.map(({ level, todo }) => [level, todo])).toEqual([expected]);
  checkSwap(findings, [at("/ended")], meminfo);
  expect(findings.list).toHaveLength(1);
});
