import { readFileSync } from "node:fs";
import { formatBytes } from "../text.js";

/** The files to compare. */
export const PROC_FILES = [
  "/proc/meminfo",
  "/proc/swaps",
  "/proc/cpuinfo",
  "/proc/stat",
  "/sys/devices/system/cpu/online",
  "/proc/uptime",
] as const;

/** The same files as a process of the host sees them. */
export function hostFiles(): Map<string, string> {
  return new Map(PROC_FILES.map((path) => [path, readFileSync(path, "utf8")]));
}

function count(text: string, pattern: RegExp): string {
  return String(text.match(pattern)?.length ?? 0);
}

function meminfo(text: string, key: string): string {
  const kilobytes = new RegExp(`^${key}: +(\\d+) kB$`, "m").exec(text)?.[1];
  return kilobytes === undefined ? "?" : formatBytes(Number(kilobytes) * 1024);
}

function swaps(text: string): string {
  const sizes = text
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => Number(line.trim().split(/\s+/)[2]));
  return formatBytes(sizes.reduce((sum, size) => sum + size, 0) * 1024);
}

function uptime(text: string): string {
  return `${text.split(" ")[0] ?? "?"} s`;
}

/** A label and one figure for each column. */
type Row = readonly [label: string, ...figures: string[]];

/** Rows of figures from the same files as several readers see them. */
export function figures(...views: readonly ReadonlyMap<string, string>[]): Row[] {
  const row = (label: string, path: string, of: (text: string) => string): Row => [
    label,
    ...views.map((files) => of(files.get(path) ?? "")),
  ];
  const memory = (label: string, key: string): Row =>
    row(label, "/proc/meminfo", (text) => meminfo(text, key));
  return [
    memory("memory", "MemTotal"),
    memory("memory free", "MemFree"),
    memory("memory available", "MemAvailable"),
    memory("swap (meminfo)", "SwapTotal"),
    memory("swap free", "SwapFree"),
    row("swap (swaps)", "/proc/swaps", swaps),
    row("CPUs (cpuinfo)", "/proc/cpuinfo", (text) => count(text, /^processor\b/gm)),
    row("CPUs (stat)", "/proc/stat", (text) => count(text, /^cpu\d/gm)),
    row("CPUs online", "/sys/devices/system/cpu/online", (text) => text.trim()),
    row("uptime", "/proc/uptime", uptime),
  ];
}
