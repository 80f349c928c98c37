import { readFileSync } from "node:fs";

/** CPU time in /proc/PID/stat, whose text this is: clock ticks of 10 ms. */
export function ticksOf(stat: string): number {
  // The name before it may hold blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** CPU time that a process has used so far: clock ticks of 10 ms. */
export function ticksOfProcess(pid: number | string): number {
  return ticksOf(readFileSync(`/proc/${pid}/stat`, "utf8"));
}
