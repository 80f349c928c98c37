import { readdirSync, readFileSync } from "node:fs";

/** The PIDs of all processes that this one sees, the oldest first as far as numbers tell. */
export function allProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** The process whose command line has `words` in a row, if somebody has stopped it (SIGSTOP, Ctrl-Z). */
export function stoppedProcess(...words: readonly string[]): number | undefined {
  const wanted = `\0${words.join("\0")}\0`;
  return allProcesses().find((pid) => {
    try {
      const isIt = readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(wanted);
      // The name before the state may hold anything.
      return isIt && /\) T [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
    } catch {
      return false;
    }
  });
}
