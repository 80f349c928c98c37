// The host's files, and those of its processes.

import { existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import {
  type Cpuinfo,
  findMoves,
  parseCpuinfo,
  parseCpuList,
  parseMeminfo,
  parseStat,
  parseU64,
  readProcess,
  readStat,
  readStatus,
  takeCensus,
} from "../support/testing.js";
import { codeOr, Tree, v2Container } from "./tree.js";

const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));

/** Recorded and hand-written files of one name. */
function recorded(path: string): [string, string][] {
  return readdirSync(fixtures)
    .map((name): [string, string] => [name, join(fixtures, name, path)])
    .filter(([, file]) => existsSync(file))
    .map(([name, file]) => [name, readFileSync(file, "utf8")]);
}

describe("numbers", () => {
  it.each([
    ["0", 0n],
    [" \t42\n", 42n],
    ["007", 7n],
    ["18446744073709551615", 2n ** 64n - 1n],
    ["18446744073709551616", 2n ** 64n - 1n],
    ["184467440737095516150", 2n ** 64n - 1n],
    ["99999999999999999999x", null],
    ["", null],
    ["\n", null],
    ["max", null],
    ["-1", null],
    ["+1", null],
    ["1 2", null],
    ["1e3", null],
    ["0x10", null],
    ["1\0", null],
  ])("%j", (text, expected) => {
    expect(parseU64(text)).toBe(expected);
  });
});

describe("lists of CPUs", () => {
  it.each([
    ["0\n", [0]],
    ["0-3,7\n", [0, 1, 2, 3, 7]],
    ["3,1,2-3", [1, 2, 3]],
    ["65535", [65535]],
    ["65536", null],
    ["0-65536", null],
    ["0-18446744073709551616", null],
    ["4-2", null],
    ["1,", null],
    [",1", null],
    ["1-", null],
    ["-1", null],
    ["0-1-2", null],
    ["1 2", null],
    ["a", null],
    ["", null],
    ["\n", null],
  ])("%j", (text, expected) => {
    expect(parseCpuList(text)).toEqual(expected);
  });

  it("stays small whatever is repeated", () => {
    const text = Array.from({ length: 5000 }, () => "0-65535").join(",");
    expect(parseCpuList(text)).toBeNull();
  });
});

const X86 = [0, 1, 10]
  .map((cpu) => `processor\t: ${cpu}\nvendor_id\t: GenuineIntel\npower management:\n\n`)
  .join("");
const ARM64 = "processor\t: 0\nBogoMIPS\t: 50.00\nCPU part\t: 0xd0c\n\n";
const RISCV = "processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdc\n\n";
const PPC64 =
  "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nrevision\t: 2.2\n\n" +
  "processor\t: 4\ncpu\t\t: POWER9, altivec supported\nrevision\t: 2.2\n\n" +
  "timebase\t: 512000000\nplatform\t: PowerNV\n\nmodel\t\t: 8335-GTH\n";
const S390X =
  "vendor_id       : IBM/S390\n# processors    : 2\nfeatures\t: esan3 zarch \n" +
  "cache0          : level=1 type=Data scope=Private\n" +
  "processor 0: version = FF,  identification = 0123B8,  machine = 3906\n" +
  "processor 1: version = FF,  identification = 0123B8,  machine = 3906\n" +
  "\ncpu number      : 0\nphysical id     : 1\ncpu MHz static  : 5208\n" +
  "\ncpu number      : 1\nphysical id     : 1\ncpu MHz static  : 5208\n";
const MIPS = "system type\t\t: generic-loongson-machine\n\nprocessor\t\t: 0\npackage\t\t\t: 0\n\n";

function joined({ header, blocks, trailer }: Cpuinfo): string {
  return header + blocks.map((block) => block.text).join("") + trailer;
}

describe("cpuinfo", () => {
  it.each([
    ["x86", X86, [0, 1, 10]],
    ["arm64", ARM64, [0]],
    ["riscv", RISCV, [0]],
    ["ppc64", PPC64, [0, 4]],
    ["s390x", S390X, [0, 1, 0, 1]],
    ["a header before the first block", MIPS, [0]],
    ["no final newline", X86.trimEnd(), [0, 1, 10]],
    ["no blocks", "cpu model : ancient\n\nfpu : no\n", []],
    ["an id that no kernel has", "processor\t: 65536\n", []],
    ["a text between blocks", "processor : 0\n\nodd : 1\n\nprocessor : 1\n\nodd : 2\n", [0, 1]],
    ["empty", "", []],
  ])("%s", (_name, text, cpus) => {
    const info = parseCpuinfo(text);
    expect(info.blocks.map((block) => block.cpu)).toEqual(cpus);
    expect(joined(info)).toBe(text);
  });

  it("cuts s390x before the blank line of a CPU's details", () => {
    const info = parseCpuinfo(S390X);
    expect(info.header).toMatch(/^vendor_id[\s\S]*Private\n$/);
    expect(info.blocks[1]?.text).toMatch(/^processor 1: .*\n$/);
    expect(info.blocks[2]?.text).toMatch(/^\ncpu number {6}: 0\n/);
    expect(info.trailer).toBe("");
  });

  it("cuts ppc64 before what belongs to no CPU", () => {
    const info = parseCpuinfo(PPC64);
    expect(info.trailer).toMatch(/^timebase[\s\S]*GTH\n$/);
    expect(info.blocks[1]?.text).toMatch(/^processor[\s\S]*\n\n$/);
  });

  it.each([
    ["of x86", ["physical id: 0", "physical id: 1", "physical id: 0"], [2n, 1n]],
    [
      "within s390x's books",
      ["physical id: 1\nbook id: 0", "physical id: 1\nbook id: 1"],
      [1n, 1n],
    ],
    ["of CPUs that name none", ["core id: 0", "physical id:", "physical id: 3"], [1n]],
  ])("counts the CPUs in packages %s", (_name, blocks, packageCpus) => {
    const text = blocks.map((block, cpu) => `processor: ${cpu}\n${block}\n\n`).join("");
    expect(parseCpuinfo(text).packageCpus).toEqual(packageCpus);
  });

  it.each(recorded("proc/cpuinfo"))("fixture %s", (_name, text) => {
    const info = parseCpuinfo(text);
    expect(info.blocks.length).toBeGreaterThan(0);
    expect(joined(info)).toBe(text);
  });

  it("of this machine", () => {
    const text = readFileSync("/proc/cpuinfo", "utf8");
    expect(joined(parseCpuinfo(text))).toBe(text);
  });
});

describe("meminfo", () => {
  it("takes lines as they are", () => {
    const text =
      "MemTotal:       16 kB\nActive(anon):  3 kB\nHugePages_Total:   7\n: 4 kB\nOdd\nNew: x\n";
    expect(parseMeminfo(text)).toEqual([
      { label: "MemTotal", value: 16n, inKb: true },
      { label: "Active(anon)", value: 3n, inKb: true },
      { label: "HugePages_Total", value: 7n, inKb: false },
    ]);
  });

  it.each([
    ["tabs", "a:\t1 kB\nb: \t 2\tkB\nc:3\t\n"],
    ["empty lines", "\na: 1 kB\n\n \nb: 2 kB\n\nc: 3\n"],
    ["no newline at the end", "a: 1 kB\nb: 2 kB\nc: 3"],
    ["carriage returns", "a: 1 kB\r\nb: 2 kB\r\nc: 3 \r\n"],
  ])("is read with %s", (_name, text) => {
    expect(parseMeminfo(text)).toEqual([
      { label: "a", value: 1n, inKb: true },
      { label: "b", value: 2n, inKb: true },
      { label: "c", value: 3n, inKb: false },
    ]);
  });

  it.each(recorded("proc/meminfo"))("fixture %s", (_name, text) => {
    const labels = text.split("\n").flatMap((line) => /^(.*?):/.exec(line)?.[1] ?? []);
    expect(parseMeminfo(text).map((line) => line.label)).toEqual(labels);
  });
});

describe("stat", () => {
  it("keeps the shape", () => {
    const text =
      "cpu  1 2 3 4\ncpu0 1 2 3 4\ncpu11 0 0 0 0\nintr 9 0 0 \nctxt 5\nbtime 1700000000\n\ncpux 1\n";
    expect(parseStat(text)).toEqual({
      cpuColumns: 4,
      btimeS: 1_700_000_000n,
      lines: [
        { key: "intr", columns: 3 },
        { key: "ctxt", columns: 1 },
        { key: "btime", columns: 1 },
        { key: "cpux", columns: 1 },
      ],
    });
  });
});

describe("processes", () => {
  const fields = Array.from({ length: 30 }, (_, index) => `${index + 4}`).join(" ");

  function processIn(stat: string, status = "Name:\tx\nNSpid:\t7\t3\t1\n"): string {
    return new Tree({ "7/stat": stat, "7/status": status, "7/cgroup": "0::/c\n" }).root;
  }

  it.each(["init", "a) b (c", "((", "))", ") 1 2", "a b c", ""])("called %j", (name) => {
    expect(readProcess(processIn(`7 (${name}) S ${fields}\n`), 7)).toMatchObject({
      startTicks: 22n,
      innerPid: 1,
      v2: "/c",
    });
  });

  it.each(["", "7 init S 1 2\n", "7 (init) S 1 2\n", `7 (init) S ${fields.replace("22", "x")}\n`])(
    "malformed stat %j",
    (stat) => {
      expect(codeOr(() => readProcess(processIn(stat), 7))).toBe("EINVAL");
    },
  );

  it("fields of its stat are found behind any command, the last one with its newline", () => {
    const rest = Array.from({ length: 49 }, (_, at) => `${at + 4}`).join(" ");
    const found = { state: "S", threads: 20n, exitCode: 52n };
    expect(readStat(`7 () R 1 ) S ${rest}\n`)).toEqual(found);
    expect(readStat("7 (x) S\n")).toEqual({ state: "S", threads: null, exitCode: null });
    expect(readStat("7 x S 4 5")).toEqual({ state: "", threads: null, exitCode: null });
  });

  it.each(["", "NSpid:\n", "NSpid:\tx\n", "NSpid:\t99999999999\n"])(
    "malformed status %j",
    (text) => {
      expect(codeOr(() => readProcess(processIn(`7 (x) S ${fields}\n`, text), 7))).toBe("EINVAL");
    },
  );

  it("that is gone: ESRCH", () => {
    expect(codeOr(() => readProcess("/proc", 2 ** 22 + 1))).toBe("ESRCH");
    expect(codeOr(() => readProcess(new Tree({}).root, 1))).toBe("ESRCH");
  });

  it("of this machine", () => {
    const self = readProcess("/proc", process.pid);
    expect(self.startTicks).toBeGreaterThan(0n);
    expect(self.innerPid).toBe(process.pid);
  });

  it("in several hierarchies", () => {
    const root = new Tree({
      "7/stat": `7 (x) S ${fields}\n`,
      "7/status": "NSpid:\t7\n",
      "7/cgroup":
        "5:cpu,cpuacct:/a:b\n4:memory:/m (deleted)\n3:name=systemd:/s\n2:blkio:/i\n0::/u\n",
    }).root;
    expect(readProcess(root, 7)).toMatchObject({
      v2: "/u",
      v1: ["/a:b", "/a:b", "", "/m (deleted)", "/i", "", ""],
    });
  });
});

describe("moves of a container whose init is looked at again and again", () => {
  const stat = (flags: number) =>
    `7 (x) S ${Array.from({ length: 30 }, (_, i) => (i === 5 ? flags : i + 4)).join(" ")}\n`;
  const cgroups = (cpu: string, memory = "/c") =>
    `3:memory:${memory}\n2:cpu,cpuacct:${cpu}\n1:name=systemd:/\n0::/\n`;
  const moves = (texts: readonly string[], { flags = 0, startTicks = 22n } = {}) =>
    findMoves(new Tree({ "7/stat": stat(flags), "7/cgroup": "" }).root, 7, startTicks, "/c", texts);

  it("are found when the text changes, and once each", () => {
    const texts = ["/c", "/c", "/c/below", "/d", "/d", "/c", "/c"].map((cpu) => cgroups(cpu));
    expect(moves(texts)).toEqual([null, null, null, "/d", null, "/c", null]);
  });

  it("are none where it is another's init, or ends", () => {
    const texts = [cgroups("/d", "/e"), cgroups("/d"), cgroups("/d")];
    expect(moves(texts)).toEqual([null, "/d", null]);
    expect(moves(texts, { startTicks: 23n })).toEqual([null, null, null]);
    expect(moves(texts, { flags: 4 })).toEqual([null, null, null]);
  });

  it("are none where the text makes no sense", () => {
    expect(moves(["", "odd\n", cgroups("/d"), ""])).toEqual([null, null, "/d", null]);
  });
});

describe("a process's status", () => {
  const text =
    "Name:\tNSpid:\\n\nPPid:\t4\nGroups:\t4 24 1000 \nNSpid:\t7\t3\t1\n" +
    "SigPnd:\t0000000000000100\nShdPnd:\t000001ffffffffff\nCapEff:\tffffffffffffffff";

  it.each([
    ["Name", { field: "NSpid:\\n", mask: null, numbers: [] }],
    ["PPid", { field: "4", mask: 4n, numbers: [4n] }],
    ["Groups", { field: "4 24 1000", mask: null, numbers: [4n, 24n, 1000n] }],
    ["NSpid", { field: "7\t3\t1", mask: null, numbers: [7n, 3n, 1n] }],
    ["SigPnd", { mask: 256n }],
    ["ShdPnd", { mask: 2n ** 41n - 1n, numbers: [] }],
    ["CapEff", { mask: 2n ** 64n - 1n }],
    ["Cap", { field: null, mask: null, numbers: [] }],
    ["spid", { field: null }],
  ])("says %s", (name, expected) => {
    expect(readStatus(text, name)).toMatchObject(expected);
  });

  it.each([
    ["", null],
    ["x", null],
    ["x:", ""],
    ["x:\n", ""],
    ["x:\t\nx:\t1\n", ""],
    ["y:\t1\n x:\t2\nx:\t3\nx:\t4", "3"],
  ])("%j: the first such line counts", (text, field) => {
    expect(readStatus(text, "x").field).toBe(field);
  });

  it.each(["-1", "1 -1", "0x10", "g", "1ffffffffffffffff"])("%j is no figure", (value) => {
    expect(readStatus(`x:\t${value}\n`, "x")).toMatchObject({ mask: null, numbers: [] });
  });
});

/** The host's own processes are this one's; the others are inits of containers in cgroups of their own. */
function hostWith(inits: Readonly<Record<string, number>>) {
  const stat = `(x) S ${Array.from({ length: 40 }, () => 1).join(" ")}\n`;
  const others = Object.entries(inits).map(([cgroup, pid], i) => [pid, i + 2, cgroup] as const);
  const processes = [[process.pid, 1, "/"] as const, ...others];
  const proc = new Tree(
    Object.fromEntries(
      processes.flatMap(([pid, namespace, cgroup]) => [
        [`${pid}/stat`, `${pid} ${stat}`],
        [`${pid}/status`, `Name:\tx\nNSpid:\t${pid}${namespace === 1 ? "" : "\t1"}\n`],
        [`${pid}/cgroup`, `0::${cgroup}\n`],
        [`${pid}/ns/pid:[${namespace}]`, ""],
        [`${pid}/ns/cgroup:[4]`, ""],
      ]),
    ),
  );
  for (const [pid, namespace] of processes) {
    symlinkSync(`pid:[${namespace}]`, join(proc.root, `${pid}/ns/pid`));
    symlinkSync("cgroup:[4]", join(proc.root, `${pid}/ns/cgroup`));
  }
  const cgroups = new Tree(Object.assign({}, ...Object.keys(inits).map(v2Container)));
  return [proc.root, cgroups.root] as const;
}

it("a container that ends while it is found is not one too many", () => {
  const [proc, cgroups] = hostWith({ "/lives": process.ppid, "/ended": 2 ** 22 });
  expect(takeCensus(proc, cgroups)).toEqual({ found: 1n, leftOut: 0n });
});

it("a container that lives is found or left out, whatever number of descriptors can be had", () => {
  const [proc, cgroups] = hostWith({ "/lives": process.ppid });
  // One is what it takes to list the processes, and to ask for the cgroups of one.
  const counts = Array.from({ length: 8 }, (_, i) => takeCensus(proc, cgroups, i + 1));
  expect(counts.map(({ found, leftOut }) => found + leftOut)).toEqual(counts.map(() => 1n));
  expect(counts.at(0)).toEqual({ found: 0n, leftOut: 1n });
  expect(counts.at(-1)).toEqual({ found: 1n, leftOut: 0n });
});
