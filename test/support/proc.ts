// What /proc says of processes and threads, which may end at any time.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../src/errors.js";

/** What `ask` finds about a process or thread, or `otherwise` where it has ended. */
function unlessEnded<T>(ask: () => T, otherwise: T): T {
  try {
    return ask();
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes(errnoOf(error) ?? "")) {
      return otherwise;
    }
    throw error;
  }
}

/** A file of a process or thread; "" where it has ended. */
export function textOf(path: string): string {
  return unlessEnded(() => readFileSync(path, "utf8"), "");
}

/** The name of a process's program, 15 characters of it at most; "" where it has ended. */
export function commandOf(pid: number | string): string {
  return textOf(`/proc/${pid}/comm`).trim();
}

/** Whether strace(1) has a process or a thread, by its directory. */
export function isTraced(directory: string): boolean {
  return /^TracerPid:\s+[1-9]/m.test(textOf(`${directory}/status`));
}

/** The directories of a process's threads; none where it has ended. */
export function threadsOf(pid: number): string[] {
  const tasks = `/proc/${pid}/task`;
  return unlessEnded(() => readdirSync(tasks), []).map((tid) => `${tasks}/${tid}`);
}

/** What the descriptors of a process lead to; none of one that has ended. */
export function openFilesOf(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).map((fd) => readlinkSync(join(directory, fd)));
  } catch {
    return [];
  }
}

/** Kills a process; false where it has ended by itself. */
export function killUnlessEnded(pid: number): boolean {
  return unlessEnded(() => process.kill(pid, "SIGKILL"), false);
}

/** The writers of a worker: processes that write answers into the memory of callers. */
export function writersOf(workerPid: number): number[] {
  const children = threadsOf(workerPid).flatMap((thread) =>
    textOf(`${thread}/children`).split(" "),
  );
  return children
    .filter((pid) => textOf(`/proc/${pid}/comm`).startsWith("vprocfs-writer"))
    .map(Number);
}

/** Whether a cat(1) sleeps in the kernel, and not for who started it. */
export function waitsInKernel(pid: number | undefined): boolean {
  const file = (name: string): string => textOf(`/proc/${pid}/${name}`);
  return file("comm") === "cat\n" && !/^(0|pipe_\w+|)$/.test(file("wchan"));
}
