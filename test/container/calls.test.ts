// What runtimes say on the sockets, well-formed and not, and what callers of sysinfo(2) get.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { endianness } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { native, renderFixture, sysinfoFixture } from "../support/testing.ts";

const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));
const cases = readdirSync(fixtures)
  .filter((name) => existsSync(join(fixtures, name, "proc/meminfo")))
  .sort();

/** struct seccomp_notif and struct seccomp_notif_resp of linux/seccomp.h. */
const NOTIFICATION = 80;
const RESPONSE = 24;
const HEADER = 32;

interface Packet {
  readonly reserved?: bigint;
  readonly notification?: number;
  readonly response?: number;
  readonly cookie?: string;
  readonly cookieSize?: number;
}

/** A packet of LXC's monitor. */
function packet(options: Packet = {}): Buffer {
  const { reserved = 0n, notification = NOTIFICATION, response = RESPONSE, cookie = "" } = options;
  const header = Buffer.alloc(HEADER);
  header.writeBigUInt64LE(reserved, 0);
  header.writeInt32LE(100, 8);
  header.writeInt32LE(200, 12);
  header.writeUInt16LE(notification, 16);
  header.writeUInt16LE(response, 18);
  header.writeUInt16LE(64, 20);
  header.writeBigUInt64LE(BigInt(options.cookieSize ?? cookie.length), 24);
  const body = Buffer.alloc(notification);
  if (notification >= 12) {
    body.writeBigUInt64LE(77n, 0);
    body.writeUInt32LE(4711, 8);
  }
  return Buffer.concat([header, body, Buffer.alloc(response), Buffer.from(cookie)]);
}

describe("an answer to LXC's monitor that a worker gave when it died", () => {
  it("is known to the workers after it until one has heard the monitor", () => {
    for (const workers of [1, 2, 3, 50]) {
      expect(native.pendingCallAfter(7n, 4711n, workers, false)).toBe(4711n);
    }
    expect(native.pendingCallAfter(7n, 4711n, 2, true)).toBe(0n);
  });
});

describe.runIf(endianness() === "LE")("a packet of LXC's monitor", () => {
  it("says who calls, and where the response stands", () => {
    const found = { id: 77n, pid: 4711, responseAt: HEADER + NOTIFICATION };
    const answerBytes = HEADER + NOTIFICATION + RESPONSE;
    expect(native.readLxcRequest(packet())).toEqual({ ...found, answerBytes });
    expect(native.readLxcRequest(packet({ cookie: "web1" }))).toEqual({ ...found, answerBytes });
  });

  it("may be of a newer kernel, whose structures are longer", () => {
    expect(native.readLxcRequest(packet({ notification: 96, response: 32 }))).toMatchObject({
      responseAt: HEADER + 96,
      answerBytes: HEADER + 96 + 32,
    });
  });

  it("is refused when it is cut anywhere", () => {
    const whole = packet({ cookie: "web1" });
    for (let length = 0; length < whole.length; length += 1) {
      expect(native.readLxcRequest(whole.subarray(0, length)), `${length}`).toBeNull();
    }
  });

  it.each<[string, Buffer]>([
    ["a reserved field in use", packet({ reserved: 1n })],
    ["a notification that is too short", packet({ notification: 40 })],
    ["a response that is too short", packet({ response: 8 })],
    ["a cookie longer than the packet", packet({ cookieSize: 5 })],
    ["a cookie beyond all bounds", packet({ cookieSize: Number.MAX_SAFE_INTEGER })],
    ["something after it", Buffer.concat([packet(), Buffer.alloc(1)])],
    ["a packet beyond all bounds", packet({ cookie: "x".repeat(9000) })],
    ["other bytes", Buffer.alloc(200, 0xff)],
  ])("is refused with %s", (_, bytes) => {
    expect(native.readLxcRequest(bytes)).toBeNull();
  });
});

/** An ABI as the kernel names it (linux/audit.h), and its numbers of the calls. */
interface Abi {
  readonly arch: number;
  readonly bits: 32 | 64;
  readonly sysinfo: number;
  readonly affinity: number;
  readonly syslog: number;
}

const X86_64: Abi = { arch: 0xc000003e, bits: 64, sysinfo: 99, affinity: 204, syslog: 103 };
const X32_BIT = 0x40000000;
const X32: Abi = {
  ...X86_64,
  sysinfo: X32_BIT + X86_64.sysinfo,
  affinity: X32_BIT + X86_64.affinity,
  syslog: X32_BIT + X86_64.syslog,
};
const GENERIC = { sysinfo: 179, affinity: 123, syslog: 116 };

/** Those of every architecture, by its name in Node. */
const ABIS: Readonly<Record<string, readonly Abi[]>> = {
  x64: [X86_64, X32, { arch: 0x40000003, bits: 32, sysinfo: 116, affinity: 242, syslog: 103 }],
  arm64: [
    { arch: 0xc00000b7, bits: 64, ...GENERIC },
    { arch: 0x40000028, bits: 32, sysinfo: 116, affinity: 242, syslog: 103 },
  ],
  riscv64: [
    { arch: 0xc00000f3, bits: 64, ...GENERIC },
    { arch: 0x400000f3, bits: 32, ...GENERIC },
  ],
  ppc64: [{ arch: 0xc0000015, bits: 64, sysinfo: 116, affinity: 223, syslog: 103 }],
  s390x: [
    { arch: 0x80000016, bits: 64, sysinfo: 116, affinity: 240, syslog: 103 },
    { arch: 0x00000016, bits: 32, sysinfo: 116, affinity: 240, syslog: 103 },
  ],
};

describe("numbers of system calls", () => {
  const own = ABIS[process.arch] ?? [];

  it.each(own)("of $arch", ({ arch, bits, sysinfo, affinity, syslog }) => {
    expect(native.nameCall(arch, sysinfo)).toBe(`sysinfo${bits}`);
    expect(native.nameCall(arch, affinity)).toBe(`affinity${bits}`);
    expect(native.nameCall(arch, syslog)).toBe(`syslog${bits}`);
    expect(native.nameCall(arch, 100_000)).toBe("other");
  });

  it("of other architectures, and of another ABI, mean other calls", () => {
    const owned = new Set(own.map(({ arch }) => arch));
    for (const { arch, sysinfo } of Object.values(ABIS).flat()) {
      if (!owned.has(arch)) expect(native.nameCall(arch, sysinfo), `${arch}`).toBe("other");
    }
    if (process.arch === "x64") {
      expect(native.nameCall(X86_64.arch, 116)).toBe("other");
      expect(native.nameCall(0x40000003, 99)).toBe("other");
    }
  });
});

const GIB = 2n ** 30n;
const figures = {
  uptimeS: 12_345n,
  loads: [65_536n, 32_768n, 1n],
  total: 2n * GIB,
  free: GIB,
  shared: 1_048_576n,
  buffers: 4096n,
  swapTotal: GIB / 2n,
  swapFree: GIB / 4n,
  tasks: 42n,
};

describe.runIf(endianness() === "LE")("struct sysinfo", () => {
  it("of 64 bits is in bytes", () => {
    const bytes = native.encodeSysinfo({ ...figures, total: 64n * GIB }, 64);
    expect(bytes).toHaveLength(112);
    const words = [0, 8, 16, 24, 32, 40, 48, 56, 64, 72].map((at) => bytes.readBigUInt64LE(at));
    const { uptimeS, loads, free, shared, buffers, swapTotal, swapFree } = figures;
    const amounts = [64n * GIB, free, shared, buffers, swapTotal, swapFree];
    expect(words).toEqual([uptimeS, ...loads, ...amounts]);
    expect(bytes.readUInt16LE(80)).toBe(42);
    expect(bytes.readUInt32LE(104)).toBe(1);
  });

  it("of 32 bits is in bytes while they fit", () => {
    const bytes = native.encodeSysinfo(figures, 32);
    expect(bytes).toHaveLength(64);
    expect(bytes.readUInt32LE(16)).toBe(2 ** 31);
    expect(bytes.readUInt32LE(52)).toBe(1);
  });

  it("of 32 bits is in pages when they do not", () => {
    const bytes = native.encodeSysinfo({ ...figures, swapTotal: 4n * GIB }, 32);
    expect(bytes.readUInt32LE(52)).toBe(4096);
    expect(bytes.readUInt32LE(16)).toBe(2 ** 31 / 4096);
    expect(bytes.readUInt32LE(32)).toBe(2 ** 32 / 4096);
  });

  it("never wraps", () => {
    const most = 2n ** 64n - 1n;
    const much = { ...figures, uptimeS: most, loads: [most, most, most], total: most, tasks: most };
    const bytes = native.encodeSysinfo(much, 32);
    expect(bytes.readInt32LE(0)).toBe(2 ** 31 - 1);
    expect(bytes.readUInt32LE(4)).toBe(2 ** 32 - 1);
    expect(bytes.readUInt32LE(16)).toBe(2 ** 32 - 1);
    expect(bytes.readUInt16LE(40)).toBe(65_535);
    expect(native.encodeSysinfo(much, 64).readBigInt64LE(0)).toBe(2n ** 63n - 1n);
  });
});

describe.runIf(endianness() === "LE")("figures", () => {
  it.each(cases)("of %s are those of its files", (name) => {
    const caseDir = join(fixtures, name);
    const meminfo = new Map(
      [...renderFixture(caseDir, "proc/meminfo").matchAll(/^(\S+): +(\d+)/gm)].map((match) => [
        match[1],
        BigInt(match[2] ?? ""),
      ]),
    );
    const kb = (label: string): bigint => (meminfo.get(label) ?? -1n) * 1024n;
    const bytes = sysinfoFixture(caseDir);
    const labels = ["MemTotal", "MemFree", "Shmem", "Buffers", "SwapTotal", "SwapFree"];
    const amounts = [32, 40, 48, 56, 64, 72].map((at) => bytes.readBigUInt64LE(at));
    expect(amounts).toEqual(labels.map(kb));
    const [up = ""] = renderFixture(caseDir, "proc/uptime").split(" ");
    const uptime = Number(bytes.readBigInt64LE(0));
    expect(uptime - Number(up)).toBeGreaterThanOrEqual(0);
    expect(uptime - Number(up)).toBeLessThanOrEqual(1);
    const [one = "", five = "", fifteen = "", tasks = ""] = renderFixture(
      caseDir,
      "proc/loadavg",
    ).split(" ");
    const loads = [8, 16, 24].map((at) => Number(bytes.readBigUInt64LE(at)) / 65_536);
    for (const [at, text] of [one, five, fifteen].entries()) {
      expect(Math.abs((loads[at] ?? -1) - Number(text))).toBeLessThanOrEqual(0.01);
    }
    expect(bytes.readUInt16LE(80)).toBe(Number(tasks.split("/")[1]));
    expect(readFileSync(join(caseDir, "proc/meminfo"), "utf8")).toContain("MemTotal");
  });
});
