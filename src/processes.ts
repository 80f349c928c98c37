import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { errnoOf } from "./errors.js";

/** The PIDs of all processes that this one sees, in ascending order. */
export function allProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/**
 * A field of /proc/<pid>/stat by its number in proc(5), from 3 on; undefined: the process has ended. Throws if the file
 * cannot be read for another reason, such as a lack of descriptors.
 */
export function knownStatField(
  pid: number | string,
  number: number,
  procfs = "/proc",
): string | undefined {
  try {
    const text = readFileSync(`${procfs}/${pid}/stat`, "latin1");
    // Field 2, the command, may hold blanks and parentheses.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[number - 3];
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ESRCH") {
      return undefined;
    }
    throw error;
  }
}

/** The same for callers to whom a process that cannot be read is as good as one that has ended. */
export function statField(...place: Parameters<typeof knownStatField>): string | undefined {
  try {
    return knownStatField(...place);
  } catch {
    return undefined;
  }
}

/**
 * Whether a process has our user, PID namespace and user namespace, which no process of a container has.
 * Reads none of its memory.
 */
function isOfOurs(pid: number): boolean {
  const namespaces = ["ns/pid", "ns/user"];
  return (
    statSync(`/proc/${pid}`).uid === process.geteuid?.() &&
    namespaces.every(
      (place) => readlinkSync(`/proc/${pid}/${place}`) === readlinkSync(`/proc/self/${place}`),
    )
  );
}

/**
 * The process whose command line has `words` in a row, if it is stopped (SIGSTOP, Ctrl-Z). Processes of
 * containers and of other users are passed over: their command lines may say anything, and reading them may
 * block.
 */
export function stoppedProcess(...words: readonly string[]): number | undefined {
  const wanted = `\0${words.join("\0")}\0`;
  return allProcesses().find((pid) => {
    try {
      return (
        isOfOurs(pid) &&
        readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(wanted) &&
        statField(pid, 3) === "T"
      );
    } catch {
      return false;
    }
  });
}
