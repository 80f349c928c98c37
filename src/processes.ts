import { readdirSync } from "node:fs";

/** The PIDs of all processes that this one sees, the oldest first as far as numbers tell. */
export function allProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}
