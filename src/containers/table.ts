import Table from "cli-table3";
import type { ContainerInfo } from "../native/binding.js";
import { formatBytes, printable } from "../text.js";

/** Columns without lines, so that other programs can parse the table. */
export const NO_BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

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

type Align = "left" | "right";

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
  const table = new Table({
    head: shown.map(([head]) => head),
    chars: NO_BORDERS,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    colAligns: shown.map(([, align]) => align),
  });
  table.push(...containers.map((container) => row(container, given)));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
