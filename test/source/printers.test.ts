// Who printed a record of the host's kernel log, by what the tracepoint printk:console says.

import { describe, expect, it } from "vitest";
import { native } from "../support/testing.js";

const S = 1_000_000n;
const AT = 100n * S;
const SOFT = 0x10;
const HARD = 0x08;
const NMI = 0x40;
/** TRACE_FLAG_IRQS_OFF and TRACE_FLAG_BH_OFF, which say nothing of who runs. */
const OFF = 0x81;

interface Hit {
  readonly text: string;
  readonly task: number;
  readonly at?: bigint;
  readonly flags?: number;
}

/** A sample as the kernel writes it: header, time, the tracepoint's fields, a cgroup. */
function sample({ text, task, at = AT - 5n, flags = OFF }: Hit): Buffer {
  const entry = Buffer.alloc(12 + text.length + 1);
  entry.writeUInt16LE(411, 0);
  entry.writeUInt8(flags, 2);
  entry.writeInt32LE(task, 4);
  entry.writeUInt32LE(((text.length + 1) << 16) | 12, 8);
  entry.write(text, 12, "latin1");
  // Padded so that all of it is a multiple of eight bytes.
  const raw = Buffer.concat([entry, Buffer.alloc((8 - ((entry.length + 4) % 8)) % 8)]);
  const out = Buffer.alloc(8 + 8 + 4 + raw.length + 8);
  out.writeUInt32LE(9, 0);
  out.writeUInt16LE(out.length, 6);
  out.writeBigUInt64LE(at * 1000n, 8);
  out.writeUInt32LE(raw.length, 16);
  raw.copy(out, 20);
  out.writeBigUInt64LE(77n, 20 + raw.length);
  return out;
}

const record = (text: string, logged = AT, prefix = "4") => ({
  record: `${prefix},1,2,-;${text}\n`,
  logged,
});
const printers = (hits: readonly Hit[], ...texts: string[]) =>
  native.whoPrinted(
    hits.map(sample),
    texts.map((text) => record(text)),
    0n,
  );

const TEXT = "netlink: 3 bytes leftover after parsing attributes in process `x'.";

describe("the printer of a record", () => {
  it("is the task that printed the same text just before", () => {
    expect(printers([{ text: TEXT, task: 42 }], TEXT)).toEqual([42]);
    expect(printers([{ text: "a\nb", task: 42 }], "a\\x0ab")).toEqual([42]);
    expect(printers([{ text: `${TEXT}.`, task: 42 }], TEXT)).toEqual([null]);
    expect(printers([], TEXT)).toEqual([null]);
  });

  it.each([SOFT, HARD, NMI, SOFT | OFF])("is nobody where an interrupt printed it: %i", (flags) => {
    expect(printers([{ text: TEXT, task: 42, flags }], TEXT)).toEqual([null]);
    const both = [
      { text: TEXT, task: 42 },
      { text: TEXT, task: 42, flags },
    ];
    expect(printers(both, TEXT)).toEqual([null]);
  });

  it("is nobody where two may have been meant", () => {
    const two = [
      { text: TEXT, task: 42 },
      { text: TEXT, task: 43, at: AT - 9n },
    ];
    expect(printers(two, TEXT, TEXT)).toEqual([null, null]);
  });

  it("prints one record at a time", () => {
    const twice = [
      { text: TEXT, task: 42, at: AT - 9n },
      { text: TEXT, task: 42 },
    ];
    expect(printers(twice, TEXT, TEXT, TEXT)).toEqual([42, 42, null]);
    expect(
      printers(
        [
          { text: TEXT, task: 42 },
          { text: "y", task: 43 },
        ],
        "y",
        TEXT,
      ),
    ).toEqual([43, 42]);
  });

  it("is told by the first part of what is printed in parts", () => {
    const parts = [
      "x[42]: segfault at 8 ip 401 sp 7ff error 6",
      " in x[401,400+1]",
      " likely on CPU 0 (core 0, socket 0)",
    ];
    const hits = parts.map((text) => ({ text, task: 42 }));
    expect(printers(hits, parts.join(""))).toEqual([42]);
    expect(printers(hits.slice(0, 1), `${parts[0]}${parts[2]}`)).toEqual([42]);
  });

  it("is of code each of those that printed the same, and nobody who did not", () => {
    const code = "Code: 00 00 <c7> 00";
    const fault = (pid: number) => `x[${pid}]: segfault at 8 ip 401 sp 7ff error 6`;
    const hits = [41, 42, 43].flatMap((task) => [
      { text: fault(task), task },
      { text: code, task },
    ]);
    const asked = (faulted: readonly number[]) => ({ ...record(code), faulted });
    const found = native.whoPrinted(
      hits.map(sample),
      [asked([42, 41]), asked([41]), asked([41, 44]), asked([]), asked([44, 43])],
      0n,
    );
    expect(found).toEqual([42, 41, null, null, 43]);
    expect(native.whoPrinted(hits.map(sample), [record(code)], 0n)).toEqual([null]);
    const other = { ...record("Code: 00 00 <c7> 01"), faulted: [41, 42, 43] };
    expect(native.whoPrinted(hits.map(sample), [other], 0n)).toEqual([null]);
    const interrupted = [sample({ text: code, task: 42, flags: HARD })];
    expect(native.whoPrinted(interrupted, [asked([42, 0])], 0n)).toEqual([null]);
  });

  it("is nobody who printed it at another time, or while others were lost", () => {
    const asked = (at: bigint, lost: bigint) =>
      native.whoPrinted([sample({ text: TEXT, task: 42, at })], [record(TEXT)], lost);
    expect(asked(AT - S / 2n, 0n)).toEqual([42]);
    expect(asked(AT + 1n, 0n)).toEqual([null]);
    expect(asked(AT - 2n * S, 0n)).toEqual([null]);
    expect(asked(AT - 5n, AT)).toEqual([null]);
    expect(asked(AT - 5n, AT - 2n * S)).toEqual([42]);
  });

  it("is nobody for what was written to the log", () => {
    const hits = [sample({ text: TEXT, task: 42 })];
    expect(native.whoPrinted(hits, [record(TEXT, AT, "12")], 0n)).toEqual([null]);
  });

  it("is nobody by a sample that is cut off anywhere", () => {
    const whole = sample({ text: TEXT, task: 42 });
    for (let size = 0; size < whole.length - 16; size += 1) {
      expect(native.whoPrinted([whole.subarray(0, size)], [record(TEXT)], 0n)).toEqual([null]);
    }
  });
});
