// What holds in every reading of a file of a container, whatever happens to it meanwhile, and between
// two readings one after the other.

import assert from "node:assert/strict";
import {
  checkMeminfo,
  checkStat,
  cpuinfoIds,
  cpuList,
  type Meminfo,
  meminfo,
  statIds,
  swaps,
  uptime,
  value,
} from "./procfile.js";

export interface Reading {
  /** Never become less, by name. */
  readonly counters: ReadonlyMap<string, number>;
  /** The same for those of one CPU, as long as the CPUs are the same. */
  readonly ofCpus: ReadonlyMap<string, number>;
  /** Never change. */
  readonly constants: ReadonlyMap<string, number | string>;
  /** The CPUs shown. */
  readonly cpus: readonly number[] | undefined;
  /** All memory. */
  readonly totalKb: number | undefined;
}

function reading(parts: Partial<Reading>): Reading {
  const none = new Map<string, number>();
  return {
    counters: none,
    ofCpus: none,
    constants: none,
    cpus: undefined,
    totalKb: undefined,
    ...parts,
  };
}

/** Past this a number is less than nothing, wrapped around. */
const MAX_NUMBER = Number.MAX_SAFE_INTEGER;

function count(text: string | undefined, what: string): number {
  const number = Number(text);
  assert.ok(/^\d+$/.test(text ?? "") && number < MAX_NUMBER, `${what}: '${text}'`);
  return number;
}

function linesOf(text: string): string[] {
  assert.ok(text === "" || text.endsWith("\n"), `no end of line: '${text.slice(-40)}'`);
  // Contracts may pad the last line.
  return text.split("\n").slice(0, -1);
}

function matched(line: string, pattern: RegExp): string[] {
  const found = pattern.exec(line);
  assert.ok(found !== null, `a line: '${line}'`);
  return [...found].slice(1).map((group) => group ?? "");
}

function numbers(words: string, what: string): number[] {
  return words
    .trim()
    .split(/ +/)
    .filter((word) => word !== "")
    .map((word) => count(word, what));
}

function labelsOf(file: Meminfo): string {
  return [...file.keys()].join(" ");
}

function ofMeminfo(text: string): Reading {
  const file = checkMeminfo(text);
  for (const [label, amount] of file) {
    assert.ok(amount < MAX_NUMBER, `${label}: ${amount}`);
  }
  const lists = ["Active", "Inactive", "Unevictable"].map((label) => value(file, label));
  const used = lists.reduce((sum, kb) => sum + kb, value(file, "MemFree"));
  assert.ok(used <= value(file, "MemTotal"), `free and lists: ${used} kB\n${text}`);
  assert.ok(value(file, "SwapCached") <= value(file, "SwapTotal"), "SwapCached");
  return reading({
    totalKb: value(file, "MemTotal"),
    constants: new Map([["labels", labelsOf(file)]]),
  });
}

function ofStat(text: string): Reading {
  const file = checkStat(text);
  const counters = new Map<string, number>();
  const ofCpus = new Map<string, number>();
  for (const [column, ticks] of file.total.all.entries()) {
    counters.set(`cpu, column ${column}`, ticks);
  }
  for (const cpu of file.cpus) {
    for (const [column, ticks] of cpu.all.entries()) {
      ofCpus.set(`${cpu.name}, column ${column}`, ticks);
    }
  }
  for (const key of ["intr", "ctxt", "processes", "softirq"]) {
    counters.set(key, file.others.get(key) ?? Number.NaN);
  }
  return reading({
    counters,
    ofCpus,
    constants: new Map([["btime", file.others.get("btime") ?? 0]]),
    cpus: statIds(file),
  });
}

function ofUptime(text: string): Reading {
  const { up, idle } = uptime(text.replace(/ +\n$/, "\n"));
  return reading({
    counters: new Map([
      ["up", up],
      ["idle", idle],
    ]),
  });
}

function ofLoadavg(text: string): Reading {
  const pattern = /^(\d+\.\d\d) (\d+\.\d\d) (\d+\.\d\d) (\d+)\/(\d+) (\d+) *\n$/;
  const [, , , running = "", total = "", last = ""] = matched(text, pattern);
  assert.ok(count(running, "running") >= 1 && Number(running) <= Number(total), text);
  assert.ok(count(last, "last PID") >= 1, text);
  return reading({});
}

function ofVmstat(text: string): Reading {
  const counters = new Map<string, number>();
  for (const line of linesOf(text)) {
    const [key = "", amount] = matched(line, /^([a-z0-9_]+) (\d+) *$/);
    const number = count(amount, key);
    if (!key.startsWith("nr_") && key !== "workingset_nodes") {
      counters.set(key, number);
    }
  }
  assert.ok(counters.has("pgfault"), "pgfault");
  return reading({ counters });
}

function ofDiskstats(text: string): Reading {
  const IN_FLIGHT = 8;
  const counters = new Map<string, number>();
  for (const line of linesOf(text)) {
    const [name = "", columns = ""] = matched(line, /^ *\d+ +\d+ (\S+)((?: \d+)+) *$/);
    for (const [column, amount] of numbers(columns, name).entries()) {
      if (column !== IN_FLIGHT) {
        counters.set(`${name}, column ${column}`, amount);
      }
    }
  }
  return reading({ counters });
}

function ofPartitions(text: string): Reading {
  const [head, , ...lines] = linesOf(text);
  assert.ok(head === undefined || /^major minor +#blocks +name *$/.test(head), `${head}`);
  for (const line of lines) {
    matched(line, /^ *\d+ +\d+ +\d+ (\S+) *$/);
  }
  return reading({});
}

/** softirqs and interrupts: a heading with the CPUs, and a column for each. */
function ofCpuTable(text: string): Reading {
  const ofCpus = new Map<string, number>();
  const [head = "", ...lines] = linesOf(text);
  const cpus = [...head.matchAll(/CPU(\d+)/g)].map(([, id]) => Number(id));
  for (const line of lines) {
    const [name = "", rest = ""] = matched(line, /^ *(\w+):(.*)$/);
    const columns = /^((?: +\d+)*)/.exec(rest)?.[1] ?? "";
    // ERR and MIS have one sum.
    for (const [index, amount] of numbers(columns, name).slice(0, cpus.length).entries()) {
      ofCpus.set(`${name}, CPU ${cpus[index]}`, amount);
    }
  }
  return reading({ ofCpus, cpus });
}

function ofSchedstat(text: string): Reading {
  const ofCpus = new Map<string, number>();
  const [version = "", timestamp = "", ...lines] = linesOf(text);
  matched(version, /^(version \d+) *$/);
  const [time] = matched(timestamp, /^timestamp (\d+) *$/);
  const cpus: number[] = [];
  for (const line of lines) {
    if (line.startsWith("cpu")) {
      const [id, columns = ""] = matched(line, /^cpu(\d+)((?: \d+)+) *$/);
      cpus.push(count(id, "cpu"));
      ofCpus.set(`cpu${id}, run time`, numbers(columns, line)[6] ?? Number.NaN);
    } else {
      matched(line, /^(domain\d+)(?: [A-Z]+)? [0-9a-f,]+(?: \d+)+ *$/);
    }
  }
  return reading({ counters: new Map([["timestamp", count(time, "time")]]), ofCpus, cpus });
}

function ofPressure(text: string): Reading {
  const counters = new Map<string, number>();
  for (const line of linesOf(text)) {
    const pattern = /^(some|full) avg10=(\S+) avg60=(\S+) avg300=(\S+) total=(\d+) *$/;
    const [kind = "", ...rest] = matched(line, pattern);
    const total = count(rest.pop(), kind);
    for (const average of rest) {
      assert.ok(/^\d+\.\d\d$/.test(average) && Number(average) <= 100, line);
    }
    counters.set(kind, total);
  }
  // Of interrupts the kernel tells only `full`.
  assert.ok(counters.has("some") || counters.has("full"), text);
  return reading({ counters });
}

function ofBuddyinfo(text: string): Reading {
  for (const line of linesOf(text)) {
    const [zone = "", columns = ""] = matched(line, /^(Node \d+, zone +\w+)((?: +\d+)+) *$/);
    for (const blocks of columns.trim().split(/ +/)) {
      count(blocks, zone);
    }
  }
  return reading({});
}

/** Sizes by zone, and the events of all. */
function ofZoneinfo(text: string): Reading {
  const PAGE_KB = 4;
  const counters = new Map<string, number>();
  const cpus = new Set<number>();
  let zone = new Map<string, number>();
  let managed = 0;
  const close = (): void => {
    const [free = 0, own = 0, present = 0] = ["free", "managed", "present"].map((k) => zone.get(k));
    assert.ok(free <= own && own <= present, `zone: ${free}, ${own}, ${present}`);
    managed += own;
    zone = new Map();
  };
  for (const line of linesOf(text)) {
    if (line.startsWith("Node ")) {
      close();
    }
    const cpu = /^ +cpu: (\d+) *$/.exec(line)?.[1];
    if (cpu !== undefined) {
      cpus.add(Number(cpu));
    }
    const [, key = "", amount] = /^ +(?:pages )?(\w+) +(\d+) *$/.exec(line) ?? [];
    if (amount !== undefined) {
      zone.set(key, count(amount, key));
      if (/^(workingset_(?!nodes)|pg|oom)/.test(key)) {
        counters.set(key, (counters.get(key) ?? 0) + Number(amount));
      }
    }
  }
  close();
  return reading({ counters, cpus: [...cpus], totalKb: managed * PAGE_KB });
}

function ofSlabinfo(text: string): Reading {
  const lines = linesOf(text);
  assert.ok(lines.length === 4 && text.startsWith("slabinfo - version"), text);
  for (const line of lines.slice(2)) {
    matched(
      line,
      /^(\w+) +(\d+) +(\d+) +4096 +1 +1 : tunables +0 +0 +0 : slabdata +(\d+) +(\d+) +0 *$/,
    );
  }
  return reading({});
}

function ofSwaps(text: string): Reading {
  for (const { size, used } of swaps(text.replaceAll(/ +\n/g, "\n"))) {
    assert.ok(used <= size && size < MAX_NUMBER, text);
  }
  return reading({});
}

function ofCpuinfo(text: string): Reading {
  const cpus = cpuinfoIds(text);
  const of = (label: string): number[] =>
    [...text.matchAll(new RegExp(`^${label}\\s*: (\\d+)$`, "gm"))].map(([, n]) => Number(n));
  for (const siblings of of("siblings")) {
    assert.ok(siblings >= 1 && siblings <= cpus.length, `siblings: ${siblings}`);
  }
  assert.ok(cpus.length > 0, "processor");
  return reading({ cpus });
}

function ofList(text: string): Reading {
  matched(text, /^(\d+(?:[-,]\d+)*) *\n$/);
  return reading({ cpus: cpuList(text) });
}

function ofNodeMeminfo(text: string): Reading {
  const file = meminfo(text.replaceAll(/^Node \d+ /gm, ""));
  const total = value(file, "MemTotal");
  assert.equal(value(file, "MemFree") + value(file, "MemUsed"), total, "free and used");
  return reading({ totalKb: total, constants: new Map([["labels", labelsOf(file)]]) });
}

function ofNumastat(text: string): Reading {
  const counters = new Map<string, number>();
  for (const line of linesOf(text)) {
    const [key = "", amount] = matched(line, /^([a-z_]+) (\d+) *$/);
    counters.set(key, count(amount, key));
  }
  return reading({ counters });
}

function ofNodeVmstat(text: string): Reading {
  for (const line of linesOf(text)) {
    matched(line, /^[a-z0-9_]+ (\d+) *$/);
  }
  return reading({});
}

/** A file that nothing more is known of. */
function ofAnything(text: string): Reading {
  for (const line of linesOf(text)) {
    for (const [number] of line.matchAll(/(?<![\w.:,-])\d+(?![\w.:,-])/g)) {
      count(number, line);
    }
  }
  return reading({});
}

const CPU_DIRECTORY = "sys/devices/system/cpu";
const NODE = "sys/devices/system/node/node0";

/** Files with how they are read. */
export const FILES: Readonly<Record<string, (text: string) => Reading>> = {
  "proc/buddyinfo": ofBuddyinfo,
  "proc/cpuinfo": ofCpuinfo,
  "proc/diskstats": ofDiskstats,
  "proc/interrupts": ofCpuTable,
  "proc/loadavg": ofLoadavg,
  "proc/meminfo": ofMeminfo,
  "proc/partitions": ofPartitions,
  "proc/pressure/cpu": ofPressure,
  "proc/pressure/io": ofPressure,
  "proc/pressure/irq": ofPressure,
  "proc/pressure/memory": ofPressure,
  "proc/schedstat": ofSchedstat,
  "proc/slabinfo": ofSlabinfo,
  "proc/softirqs": ofCpuTable,
  "proc/stat": ofStat,
  "proc/swaps": ofSwaps,
  "proc/uptime": ofUptime,
  "proc/vmstat": ofVmstat,
  "proc/zoneinfo": ofZoneinfo,
  [`${CPU_DIRECTORY}/offline`]: (text) => {
    matched(text, /^(?:(\d+(?:[-,]\d+)*))? *\n$/);
    return reading({});
  },
  [`${CPU_DIRECTORY}/online`]: ofList,
  [`${CPU_DIRECTORY}/possible`]: (text) => {
    ofList(text);
    return reading({ constants: new Map([["ids", text.trim()]]) });
  },
  [`${CPU_DIRECTORY}/present`]: ofList,
  [`${NODE}/meminfo`]: ofNodeMeminfo,
  [`${NODE}/numastat`]: ofNumastat,
  [`${NODE}/vmstat`]: ofNodeVmstat,
};

/** How a file is read. */
export function invariantsOf(file: string): (text: string) => Reading {
  return FILES[file] ?? ofAnything;
}

/** What has gone back or changed between two readings; `areCpusSame`: nothing was done to the CPUs. */
export function regressions(before: Reading, after: Reading, areCpusSame: boolean): string[] {
  const less = (kind: "counters" | "ofCpus"): string[] =>
    [...before[kind]].flatMap(([key, earlier]) => {
      const now = after[kind].get(key) ?? earlier;
      return now >= earlier ? [] : [`${key}: ${earlier}, then ${now}`];
    });
  const changed = [...before.constants].flatMap(([key, earlier]) => {
    const now = after.constants.get(key);
    return now === earlier ? [] : [`${key}: ${earlier}, then ${now}`];
  });
  return [...less("counters"), ...(areCpusSame ? less("ofCpus") : []), ...changed];
}
