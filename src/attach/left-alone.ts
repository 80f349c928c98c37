import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Containers that an operator has detached, or whose own configuration says so: one empty file
 * "<pid>-<start in ticks>" of the init each. native/attach/hook.cc writes and tidies it too.
 */
const DIRECTORY = "/run/vprocfs/left-alone";

/** Field 22 of /proc/<pid>/stat; the command before it may hold anything. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

function nameOf(init: number): string | undefined {
  const start = startOf(init);
  return start === undefined ? undefined : `${init}-${start}`;
}

function fileOf(init: number): string | undefined {
  const name = nameOf(init);
  return name === undefined ? undefined : join(DIRECTORY, name);
}

/** True when the container of this init is to be left alone for as long as it runs. */
export function isLeftAlone(init: number): boolean {
  const path = fileOf(init);
  return path !== undefined && existsSync(path);
}

/** The same of many containers, with one look at who is to be left alone. */
export function leftAloneNow(directory = DIRECTORY): (init: number) => boolean {
  let names: string[] = [];
  try {
    names = readdirSync(directory);
  } catch {
    // Nobody ever was.
  }
  const inits = new Set(names.map((name) => Number(name.split("-", 1)[0])));
  const files = new Set<string | undefined>(names);
  return (init) => inits.has(init) && files.has(nameOf(init));
}

/** Takes away what is remembered of containers that have ended. */
export function forgetEnded(directory = DIRECTORY): void {
  let names: string[] = [];
  try {
    names = readdirSync(directory);
  } catch {
    // Nobody ever was.
  }
  for (const name of names) {
    if (nameOf(Number(name.split("-", 1)[0])) !== name) {
      rmSync(join(directory, name), { force: true });
    }
  }
}

/** Has the watcher leave a container alone from now on, or not any more. */
export function leaveAlone(init: number, leave: boolean): void {
  const path = fileOf(init);
  if (path === undefined) {
    return;
  }
  if (leave) {
    mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
    writeFileSync(path, "", { mode: 0o600 });
  } else {
    rmSync(path, { force: true });
  }
}
