import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** The PIDs of all processes that this one sees, the oldest first as far as numbers tell. */
export function allProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/**
 * Whether a process is of our user and in our PID and user namespaces, as none in a container is. Reads nothing of
 * its memory.
 */
function isOfOurs(pid: number): boolean {
  const places = ["ns/pid", "ns/user"];
  return (
    statSync(`/proc/${pid}`).uid === process.geteuid?.() &&
    places.every(
      (place) => readlinkSync(`/proc/${pid}/${place}`) === readlinkSync(`/proc/self/${place}`),
    )
  );
}

/**
 * The process whose command line has `words` in a row, if somebody has stopped it (SIGSTOP, Ctrl-Z). Not one of
 * a container or of another user: it may say anything, and hold up whoever reads it.
 */
export function stoppedProcess(...words: readonly string[]): number | undefined {
  const wanted = `\0${words.join("\0")}\0`;
  return allProcesses().find((pid) => {
    try {
      return (
        isOfOurs(pid) &&
        readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(wanted) &&
        // The name before the state may hold anything.
        /\) T [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
      );
    } catch {
      return false;
    }
  });
}
