// What the processes of a run do, for whoever has to find out afterwards why one did not end.

import { readdirSync, readFileSync } from "node:fs";

const ARGUMENTS_LENGTH = 120;
const FRAMES = 3;

function textOf(path) {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function numbersIn(path) {
  try {
    return readdirSync(path).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

/** A thread: its name, its state, where it waits in the kernel, and the number of its system call. */
function threadLine(path) {
  const [, state] = /^State:\t(.)/m.exec(textOf(`${path}/status`)) ?? [];
  const frames = textOf(`${path}/stack`).split("\n").slice(0, FRAMES);
  const stack = frames.map((line) => line.replace(/^\S+ /, "").replace(/\+.*/, "")).join(" < ");
  const call = textOf(`${path}/syscall`).split(" ")[0];
  return `${textOf(`${path}/comm`)} ${state ?? "?"}, call ${call}, in ${stack || textOf(`${path}/wchan`)}`;
}

/** Lines that differ, with how often each is there. */
function counted(lines) {
  const counts = new Map();
  for (const line of lines) {
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  return [...counts].map(([line, count]) => (count === 1 ? line : `${line} (${count}×)`));
}

/** Processes that have NAME=`value` in their environment. */
export function processesWith(name, value) {
  const mark = `\0${name}=${value}\0`;
  const isOne = (pid) => `\0${textOf(`/proc/${pid}/environ`)}\0`.includes(mark);
  return numbersIn("/proc").filter(isOne).map(Number);
}

/** What processes do: a line for each, and one for its threads that do the same. */
export function describeProcesses(pids) {
  return pids.flatMap((pid) => {
    const at = `/proc/${pid}`;
    const [, parent] = /^PPid:\t(\d+)/m.exec(textOf(`${at}/status`)) ?? [];
    const line = textOf(`${at}/cmdline`).replaceAll("\0", " ").slice(0, ARGUMENTS_LENGTH);
    return [
      `${pid} (of ${parent ?? "?"}) ${JSON.stringify(line)}`,
      ...counted(numbersIn(`${at}/task`).map((thread) => threadLine(`${at}/task/${thread}`))).map(
        (text) => `    ${text}`,
      ),
    ];
  });
}
