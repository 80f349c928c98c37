import Table from "cli-table3";
import type { ContainerInfo } from "../native/binding.js";
import { formatBytes, printable } from "../text.js";

/** Columns without lines: what is printed here is also fed to other programs. */
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

function row(container: ContainerInfo): string[] {
  return [
    container.id,
    printable(container.name),
    container.runtime === "" ? "-" : container.runtime,
    String(container.init),
    String(container.cpus),
    container.cpuQuota === null ? "-" : String(Number(container.cpuQuota.toFixed(2))),
    limit(container.memoryLimit),
    limit(container.swapLimit),
    printable(container.cgroup),
  ];
}

const HEAD = ["ID", "NAME", "RUNTIME", "INIT", "CPUS", "QUOTA", "MEMORY", "SWAP", "CGROUP"];

/** Containers as a table for people; limits that do not exist are shown as "-". */
export function containerTable(containers: readonly ContainerInfo[]): string {
  const table = new Table({
    head: HEAD,
    chars: NO_BORDERS,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    colAligns: ["left", "left", "left", "right", "right", "right", "right", "right", "left"],
  });
  table.push(...containers.map(row));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
