// What syslog(2) does with a container's log, action by action.

import { constants } from "node:os";
import { describe, expect, it } from "vitest";
import { native } from "../support/testing.js";

const { EFAULT, EINVAL } = constants.errno;
const KIB = 1024;
const ID = 1n;
const BUFFER = 4096n;
const BANNER = 4;

const READ = 2;
const READ_ALL = 3;
const READ_CLEAR = 4;
const CLEAR = 5;
const CONSOLE_OFF = 6;
const CONSOLE_ON = 7;
const CONSOLE_LEVEL = 8;
const UNREAD = 9;
const SIZE = 10;

function old(text: string): string {
  return `<6>[    0.000000] ${text}\n`;
}

/** A log with these lines after its banner. */
function logWith(...texts: string[]) {
  const logs = new native.KernelLogs(64 * KIB, 256 * KIB, KIB * KIB);
  logs.begin(ID, ID);
  let last = 0n;
  const add = (...lines: string[]) => {
    for (const text of lines) {
      last += 1n;
      logs.add(ID, ID, last, [{ host: last, text }]);
    }
  };
  add(...texts);
  const call = (action: number, bytes = 64 * KIB, buffer = BUFFER) =>
    logs.syslog(ID, action, bytes, buffer);
  const text = (action: number, bytes?: number): string => {
    const answer = call(action, bytes);
    return typeof answer === "object" ? answer.text : `${answer}`;
  };
  return { logs, add, call, text };
}

/** Without its banner. */
function readLogWith(...texts: string[]) {
  const log = logWith();
  log.text(READ_CLEAR);
  log.text(READ);
  log.add(...texts);
  return log;
}

describe("syslog(2)", () => {
  it.each([0, 1])("does nothing for action %i", (action) => {
    const { call } = logWith("a");
    for (const bytes of [-1, 0, 100]) {
      expect(call(action, bytes, 0n)).toBe(0);
    }
  });

  it.each([-1, 11, 12, 100, 2 ** 31 - 1, -(2 ** 31)])("knows no action %i", (action) => {
    expect(logWith().call(action)).toBe(-EINVAL);
  });

  it.each([READ, READ_ALL, READ_CLEAR])("refuses bad buffers of action %i", (action) => {
    const { call } = logWith("a");
    expect(call(action, 100, 0n)).toBe(-EINVAL);
    expect(call(action, 0, 0n)).toBe(-EINVAL);
    expect(call(action, -1)).toBe(-EINVAL);
    expect(call(action, 0)).toBe(0);
    expect(call(action, 100, 2n ** 63n)).toBe(-EFAULT);
    expect(call(action, 100, 2n ** 64n - 1n)).toBe(-EFAULT);
  });

  it("reads everything again and again", () => {
    const { text } = logWith("one", "two");
    const all = text(READ_ALL);
    expect(all.split("\n")).toHaveLength(BANNER + 3);
    expect(all.endsWith(old("one") + old("two"))).toBe(true);
    expect(text(READ_ALL)).toBe(all);
  });

  it("reads the newest whole records that have room", () => {
    const { text } = readLogWith("first", "second", "third");
    const two = old("second") + old("third");
    expect(text(READ_ALL, two.length)).toBe(two);
    expect(text(READ_ALL, two.length + old("first").length - 1)).toBe(two);
    expect(text(READ_ALL, two.length + old("first").length)).toBe(old("first") + two);
    expect(text(READ_ALL, old("third").length - 1)).toBe("");
  });

  it("gives no more than a log has room for", () => {
    const { text, add } = readLogWith();
    // Every line of a record has its own time.
    for (let i = 0; i < 50; ++i) {
      add("\n".repeat(1000));
    }
    const all = text(READ_ALL, 2 ** 31 - 1);
    expect(all.length).toBeLessThanOrEqual(64 * KIB);
    expect(all.length).toBeGreaterThan(32 * KIB);
  });

  it("clears what was read, and what was not", () => {
    const { text, call, add, logs } = readLogWith("a", "b");
    expect(text(READ_CLEAR)).toBe(old("a") + old("b"));
    expect(text(READ_ALL)).toBe("");
    add("c");
    expect(text(READ_ALL)).toBe(old("c"));
    expect(call(CLEAR, 0, 0n)).toBe(0);
    expect(text(READ_ALL)).toBe("");
    expect(text(READ_CLEAR)).toBe("");
    add("d");
    expect(text(READ_CLEAR, old("d").length - 1)).toBe("");
    expect(text(READ_ALL)).toBe("");
    // Clearing takes nothing from anybody else.
    expect(text(READ)).toBe(["a", "b", "c", "d"].map(old).join(""));
    expect(logs.read(ID, 0n, 100)?.sequences).toHaveLength(BANNER + 4);
  });

  it("reads destructively, and waits", () => {
    const { text, call, add } = readLogWith();
    expect(call(READ)).toBe("wait");
    add("a");
    expect(call(UNREAD, 0, 0n)).toBe(old("a").length);
    expect(text(READ, 10)).toBe(old("a").slice(0, 10));
    expect(call(UNREAD, 0, 0n)).toBe(old("a").length - 10);
    expect(text(READ)).toBe(old("a").slice(10));
    expect(call(READ)).toBe("wait");
    expect(call(UNREAD, 0, 0n)).toBe(0);
    // Others still have it.
    expect(text(READ_ALL)).toBe(old("a"));
  });

  it("has the banner as what was printed at the start", () => {
    const { text, call } = logWith();
    const bytes = call(UNREAD, 0, 0n);
    expect(text(READ)).toHaveLength(Number(bytes));
  });

  it("keeps a level of the console", () => {
    const { call, logs } = logWith();
    const levels = () => {
      const { consoleLevel, savedLevel } = logs.marks(ID) ?? {};
      return [consoleLevel, savedLevel];
    };
    for (const level of [0, 9, -1, 100]) {
      expect(call(CONSOLE_LEVEL, level, 0n)).toBe(-EINVAL);
    }
    expect(levels()).toEqual([7, 0]);
    expect(call(CONSOLE_ON, 0, 0n)).toBe(0);
    expect(levels()).toEqual([7, 0]);
    expect(call(CONSOLE_LEVEL, 4, 0n)).toBe(0);
    expect(call(CONSOLE_OFF, 0, 0n)).toBe(0);
    expect(call(CONSOLE_OFF, 0, 0n)).toBe(0);
    expect(levels()).toEqual([1, 4]);
    expect(logs.takeOver()).toBe(true);
    expect(call(CONSOLE_ON, 0, 0n)).toBe(0);
    expect(levels()).toEqual([4, 0]);
    call(CONSOLE_OFF, 0, 0n);
    expect(call(CONSOLE_LEVEL, 8, 0n)).toBe(0);
    expect(call(CONSOLE_ON, 0, 0n)).toBe(0);
    expect(levels()).toEqual([8, 0]);
  });

  it("says how large a log may be", () => {
    expect(logWith().call(SIZE, 0, 0n)).toBe(64 * KIB);
  });

  it.each([READ, READ_CLEAR])("gives what a worker took that died again (action %i)", (action) => {
    const { logs, text, add } = readLogWith("a", "b");
    const both = old("a") + old("b");
    expect(text(action)).toBe(both);
    add("c");
    expect(logs.takeOver()).toBe(true);
    expect(logs.syslog(ID, action, 64 * KIB, BUFFER, true)).toEqual({ text: both });
    expect(text(action)).toBe(old("c"));
  });

  it("gives the next one what nobody got", () => {
    const { logs, text, call } = readLogWith("a", "b");
    expect(text(READ, old("a").length)).toBe(old("a"));
    logs.giveBack(ID);
    expect(text(READ)).toBe(old("a") + old("b"));
    expect(call(READ)).toBe("wait");
  });

  it("gives nothing back that somebody else has gone on from", () => {
    const { logs, text, add } = readLogWith("a");
    text(READ);
    const before = logs.marks(ID);
    add("b");
    logs.take(ID, 1000);
    logs.giveBack(ID);
    expect(logs.marks(ID)?.taken).toBe((before?.taken ?? 0) + 1);
  });

  it("says nothing where there is no log", () => {
    const logs = new native.KernelLogs(64 * KIB, 256 * KIB, KIB * KIB);
    expect(logs.syslog(9n, READ, 100, BUFFER)).toBe("wait");
    for (const action of [READ_ALL, READ_CLEAR]) {
      expect(logs.syslog(9n, action, 100, BUFFER)).toEqual({ text: "" });
    }
    for (const action of [CLEAR, CONSOLE_OFF, CONSOLE_ON, UNREAD]) {
      expect(logs.syslog(9n, action, 100, BUFFER)).toBe(0);
    }
  });

  it("asks for CAP_SYSLOG as the kernel does", () => {
    const free = Array.from({ length: 13 }, (_, action) => action).filter(
      (action) => !native.needsSyslogCapability(action, false),
    );
    expect(free).toEqual([READ_ALL, SIZE]);
    for (let action = -1; action < 13; ++action) {
      expect(native.needsSyslogCapability(action, true)).toBe(true);
    }
  });
});
