// What the files of /proc say, and what must hold in every one of them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

export type Meminfo = ReadonlyMap<string, number>;

/** Values by label, in kB where the file says kB. */
export function meminfo(text: string): Meminfo {
  const lines = text.split("\n").slice(0, -1);
  return new Map(
    lines.map((line) => {
      const [, label = "", value] = /^([^:]+): +(\d+)(?: kB)?$/.exec(line) ?? [];
      assert.ok(value !== undefined, `a line of meminfo: '${line}'`);
      return [label, Number(value)];
    }),
  );
}

export function value(file: Meminfo, label: string): number {
  const found = file.get(label);
  assert.ok(found !== undefined, `meminfo has no ${label}`);
  return found;
}

export function memTotalKb(text: string): number {
  return value(meminfo(text), "MemTotal");
}

/** What no machine's meminfo may break, and with it nobody's arithmetic. */
export function checkMeminfo(text: string): Meminfo {
  const file = meminfo(text);
  const total = value(file, "MemTotal");
  const free = value(file, "MemFree");
  const available = value(file, "MemAvailable");
  assert.ok(total > 0, "MemTotal");
  assert.ok(free <= total && available <= total, `${free}, ${available} <= ${total}`);
  // A kernel keeps some of what is free for itself; with a limit there is nothing to keep.
  const isLimited = total < memTotalKb(readFileSync("/proc/meminfo", "utf8"));
  assert.ok(!isLimited || free <= available, `${free} <= ${available}`);
  assert.ok(value(file, "SwapFree") <= value(file, "SwapTotal"), "SwapFree");
  assert.equal(file.size, text.split("\n").length - 1, "every label once");
  for (const kind of ["Active", "Inactive"]) {
    const sum = value(file, `${kind}(anon)`) + value(file, `${kind}(file)`);
    assert.equal(value(file, kind), sum, kind);
  }
  const slab = value(file, "SReclaimable") + value(file, "SUnreclaim");
  assert.equal(value(file, "Slab"), slab, "Slab");
  for (const label of ["Cached", "AnonPages", "Mapped", "Shmem", "Slab", "KernelStack"]) {
    assert.ok(value(file, label) <= total, `${label} within MemTotal`);
  }
  return file;
}

export interface CpuLine {
  readonly name: string;
  readonly user: number;
  readonly nice: number;
  readonly system: number;
  readonly idle: number;
  readonly steal: number;
  readonly all: readonly number[];
}

export interface Stat {
  readonly total: CpuLine;
  readonly cpus: readonly CpuLine[];
  /** Every other line's first value, such as btime's. */
  readonly others: ReadonlyMap<string, number>;
}

function cpuLine(line: string): CpuLine {
  const [name = "", ...words] = line.split(/ +/);
  const all = words.map(Number);
  const [user = 0, nice = 0, system = 0, idle = 0, , , , steal = 0] = all;
  return { name, user, nice, system, idle, steal, all };
}

export function stat(text: string): Stat {
  const lines = text.split("\n").slice(0, -1);
  const [total, ...cpus] = lines.filter((line) => line.startsWith("cpu")).map(cpuLine);
  assert.ok(total !== undefined && total.name === "cpu", "stat begins with its sum");
  const others = lines
    .filter((line) => !line.startsWith("cpu"))
    .map((line) => line.split(" "))
    .map(([key = "", first]) => [key, Number(first)] as const);
  return { total, cpus, others: new Map(others) };
}

/** Sums are sums and nothing has wrapped around. CPUs that are no longer shown stay in the sum. */
export function checkStat(text: string): Stat {
  const file = stat(text);
  assert.ok(file.cpus.length > 0, "at least one CPU");
  const isWhole = file.cpus.length >= cpus().length;
  for (const [column, sum] of file.total.all.entries()) {
    const parts = file.cpus.reduce((all, cpu) => all + (cpu.all[column] ?? 0), 0);
    assert.ok(isWhole ? parts === sum : parts <= sum, `column ${column} of stat:\n${text}`);
    // A hundred CPUs for a hundred years; more is less than nothing, wrapped around.
    assert.ok(sum < 100 * 100 * 366 * 86_400 * 100, `column ${column} of stat: ${sum}`);
  }
  assert.ok((file.others.get("btime") ?? 0) > 0, "btime");
  return file;
}

/** Nothing has become less between two readings, in the sum and in every CPU that is in both. */
export function checkGrowth(before: Stat, after: Stat): void {
  const lines = [before.total, ...before.cpus];
  for (const line of lines) {
    const later = [after.total, ...after.cpus].find((candidate) => candidate.name === line.name);
    for (const [column, earlier] of line.all.entries()) {
      const now = later?.all[column] ?? earlier;
      assert.ok(now >= earlier, `${line.name}, column ${column}: ${earlier} then ${now}`);
    }
  }
}

interface SwapLine {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly used: number;
}

export function swaps(text: string): SwapLine[] {
  const [head, ...lines] = text.split("\n").slice(0, -1);
  assert.match(head ?? "", /^Filename\t+Type\t+Size\t+Used\t+Priority$/);
  return lines.map((line) => {
    const [name = "", type = "", size, used] = line.split(/\s+/);
    return { name, type, size: Number(size), used: Number(used) };
  });
}

/** The ids in a list such as "0-2,5". */
export function cpuList(text: string): number[] {
  return text
    .trim()
    .split(",")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const [first = 0, last = first] = part.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

/** Ids of the processor blocks of cpuinfo. */
export function cpuinfoIds(text: string): number[] {
  return [...text.matchAll(/^processor\s*: (\d+)$/gm)].map((match) => Number(match[1]));
}

export function statIds(file: Stat): number[] {
  return file.cpus.map((cpu) => Number(cpu.name.slice(3)));
}

export function uptime(text: string): { readonly up: number; readonly idle: number } {
  const [, up, idle] = /^(\d+\.\d\d) (\d+\.\d\d)\n$/.exec(text) ?? [];
  assert.ok(idle !== undefined, `uptime: '${text}'`);
  return { up: Number(up), idle: Number(idle) };
}
