// The programs of a run, side by side: their output by the line, each with the name of its lane, and
// one way to end them all.

import { spawn } from "node:child_process";
import { constants, setPriority } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { end, whenEnded } from "./ending.mjs";

export const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Prints the whole lines of a stream, and returns what prints the rest. */
function printLines(stream, name) {
  let rest = "";
  const print = (lines) => {
    for (const line of lines) {
      console.log(`${name} | ${line}`);
    }
  };
  stream.setEncoding("utf8").on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    print(lines);
  });
  return () => print(rest === "" ? [] : [rest]);
}

/** As if they wrote where we do, and not into a pipe. */
function colours() {
  return process.stdout.isTTY ? { FORCE_COLOR: "1" } : { FORCE_COLOR: undefined, NO_COLOR: "1" };
}

/** All programs of a run. */
export class Programs {
  #running = new Set();
  #isStopped = false;

  /** Whether the run was interrupted: nothing starts any more. */
  get isStopped() {
    return this.#isStopped;
  }

  /**
   * Runs one to its end, and to the end of all that holds its output, but not longer than `limits` of
   * whenEnded() say. Resolves to what whenEnded() does, and `seconds`: how long it took; never rejects.
   */
  async run(name, argv, { env = {}, isPatient = false, ...limits }) {
    if (this.#isStopped) {
      return { passed: false, reason: "not started", isLate: false, processes: [], seconds: 0 };
    }
    const begin = performance.now();
    const [program, ...args] = argv;
    const lane = `${process.pid}-${name.replaceAll(" ", "-")}`;
    const runner = { VPROCFS_TEST_RUNNER: `${process.pid}`, VPROCFS_TEST_LANE: lane };
    const child = spawn(program, args, {
      cwd: project,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...colours(), ...runner, ...env },
    });
    this.#running.add(child);
    if (isPatient && child.pid !== undefined) {
      setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
    }
    const rest = [printLines(child.stdout, name), printLines(child.stderr, name)];
    const outcome = await whenEnded(child, { lane, ...limits });
    this.#running.delete(child);
    for (const print of rest) {
      print();
    }
    return { ...outcome, seconds: (performance.now() - begin) / 1000 };
  }

  /** Ends all that runs, which cleans up, and lets nothing start any more. */
  stop() {
    if (this.#isStopped) {
      return;
    }
    this.#isStopped = true;
    for (const child of this.#running) {
      end(child);
    }
  }
}
