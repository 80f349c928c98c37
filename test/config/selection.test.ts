// Which containers are to have the files.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { forgetEnded, LeftAlone } from "../../src/attach/left-alone.js";
import { exclusionReason } from "../../src/attach/selection.js";
import { loadAddon } from "../../src/native/addon.js";
import { knownStatField, statField } from "../../src/processes.js";
import { runSync } from "../support/command.js";
import { container } from "../support/fake-binding.js";
import { until } from "../support/wait.js";

/** No process has a PID as high as this. */
const NOBODY = 2 ** 30;
const CONTAINER = {
  id: "1a2b",
  name: "web1",
  runtime: "lxc",
  cgroup: "/lxc/web1",
  init: NOBODY,
};
const addon = loadAddon();
const ON = { watch: "on", attachOnly: "*", attachExclude: "" } as const;

describe("containers", () => {
  it.each([
    [{}, undefined],
    [{ attachExclude: "db*, lxc:web?" }, "attach-exclude matches it"],
    [{ attachOnly: "db*" }, "attach-only does not match it"],
    [{ watch: "off", attachOnly: "db*" }, "watch is off"],
  ] as const)("with %j: %s", (change, reason) => {
    expect(exclusionReason(addon, { ...ON, ...change }, () => false)(CONTAINER)).toBe(reason);
  });

  it("without a mount namespace of their own have no place for the files", () => {
    expect(exclusionReason(addon, ON, () => false)({ ...CONTAINER, init: process.pid })).toBe(
      "it has no mount namespace of its own",
    );
  });

  it("that were detached are left alone", () => {
    expect(exclusionReason(addon, ON, ({ init }) => init === NOBODY)(CONTAINER)).toMatch(
      /^it was detached/,
    );
  });

  it("that have ended are forgotten, and nobody else", () => {
    const directory = mkdtempSync(join(tmpdir(), "vprocfs-left-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const text = readFileSync("/proc/self/stat", "utf8");
    const lives = `${process.pid}-${text.slice(text.lastIndexOf(")") + 2).split(" ")[19]}`;
    // No process has the first number; the second one's has passed on to another process.
    for (const name of ["4194304-1", `${process.pid}-1`, lives]) {
      writeFileSync(join(directory, name), "");
    }
    forgetEnded(directory);
    expect(readdirSync(directory)).toEqual([lives]);
    forgetEnded(join(directory, "none"));
  });

  it("have not ended because a file cannot be read", () => {
    const procfs = mkdtempSync(join(tmpdir(), "vprocfs-left-"));
    onTestFinished(() => rmSync(procfs, { recursive: true }));
    mkdirSync(join(procfs, "7/stat"), { recursive: true });
    expect(() => knownStatField(7, 22, procfs)).toThrow("EISDIR");
    expect([statField(7, 22, procfs), knownStatField(8, 22, procfs)]).toEqual([
      undefined,
      undefined,
    ]);
  });

  it("are left alone by the start of their init, whose number another process may have", () => {
    const directory = mkdtempSync(join(tmpdir(), "vprocfs-left-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const isLeftAlone = (from = directory): boolean =>
      new LeftAlone(addon.identityOf, from).now()({ id: "1a2b", init: process.pid });
    expect([isLeftAlone(), isLeftAlone(join(directory, "none"))]).toEqual([false, false]);
    writeFileSync(join(directory, `${process.pid}-1`), "");
    expect(isLeftAlone()).toBe(false);
    // A directory that cannot be read says nothing about anybody.
    const unread = join(directory, `${process.pid}-1`);
    const leftAlone = new LeftAlone(addon.identityOf, unread);
    expect(() => leftAlone.has({ id: "1a2b", init: process.pid })).toThrow("ENOTDIR");
    expect(() => isLeftAlone(unread)).toThrow("ENOTDIR");
    expect(() => forgetEnded(unread)).toThrow("ENOTDIR");
    const text = readFileSync("/proc/self/stat", "utf8");
    const start = text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
    writeFileSync(join(directory, `${process.pid}-${start}`), "");
    expect(isLeftAlone()).toBe(true);
  });

  it.runIf(process.getuid?.() === 0)(
    "that have ended do not have another one left alone whose init is theirs",
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "vprocfs-left-"));
      onTestFinished(() => rmSync(directory, { recursive: true }));
      const child = spawn("unshare", ["--pid", "--fork", "--kill-child", "sleep", "1000"]);
      onTestFinished(() => {
        child.kill("SIGKILL");
      });
      const list = `/proc/${child.pid}/task/${child.pid}/children`;
      const init = await until("it has a child", () => {
        return Number(readFileSync(list, "utf8")) || undefined;
      });
      onTestFinished(() => void runSync(["kill", "-9", `${init}`]));
      const leftAlone = new LeftAlone(() => container({ id: "5a", init }), directory);
      leftAlone.set({ id: "6b", init }, true, []);
      expect(readdirSync(directory)).toEqual([]);
      leftAlone.set({ id: "5a", init }, true, []);
      expect(readdirSync(directory)).toHaveLength(1);
    },
  );
});
