import { type Align, alignedLines } from "../columns.js";
import type { ContainerInfo } from "../native/binding.js";
import { formatBytes, printable } from "../text.js";

function limit(bytes: number | null): string {
  return bytes === null ? "-" : formatBytes(bytes);
}

function row(container: ContainerInfo, given: ReadonlyMap<string, string>): string[] {
  return [
    container.id,
    printable(container.name),
    ...(given.size === 0 ? [] : [printable(given.get(container.id) ?? "-")]),
    container.runtime === "" ? "-" : container.runtime,
    String(container.init),
    String(container.cpus),
    container.cpuQuota === null ? "-" : String(Number(container.cpuQuota.toFixed(2))),
    limit(container.memoryLimit),
    limit(container.swapLimit),
    printable(container.cgroup),
  ];
}

function columns(hasGiven: boolean): readonly (readonly [head: string, align: Align])[] {
  return [
    ["ID", "left"],
    ["NAME", "left"],
    ...(hasGiven ? ([["GIVEN NAME", "left"]] as const) : []),
    ["RUNTIME", "left"],
    ["INIT", "right"],
    ["CPUS", "right"],
    ["QUOTA", "right"],
    ["MEMORY", "right"],
    ["SWAP", "right"],
    ["CGROUP", "left"],
  ];
}

/** Containers as a table. `given` has given names by id; if it is empty, the table has no column for them. */
export function containerTable(
  containers: readonly ContainerInfo[],
  given: ReadonlyMap<string, string>,
): string {
  const shown = columns(given.size > 0);
  const rows = containers.map((container) => row(container, given));
  return alignedLines(
    [shown.map(([head]) => head), ...rows],
    shown.map(([, align]) => align),
  ).join("\n");
}
