// The programs of a run, side by side: their output by the line, each with the name of its lane, and
// one way to end them all.

import { spawn } from "node:child_process";
import { constants, setPriority } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { describeProcesses, processesWith } from "./processes-of.mjs";

export const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What is asked to end cleans up: mounts, containers, machines. */
const PATIENCE_MS = 40_000;
/** How long something may hold the output of a program that has ended. */
const OUTPUT_MS = 60_000;

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

/** Has one clean up and end, and ends it when it does not. */
function end(child) {
  child.kill("SIGTERM");
  setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS).unref();
}

function kill(pids) {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended.
    }
  }
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
   * Runs one to its end, and to the end of all that holds its output, in `seconds` at most: past that
   * it is ended. Resolves to whether it succeeded, why not, how long it took, and whether it
   * was late and what its processes did then; never rejects.
   */
  run(name, argv, { env = {}, seconds, isPatient = false }) {
    if (this.#isStopped) {
      return Promise.resolve({
        passed: false,
        reason: "not started",
        seconds: 0,
        isLate: false,
        processes: [],
      });
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
    let reason = "";
    let processes = [];
    let isLate = false;
    const giveUp = (why) => {
      if (reason !== "") {
        return;
      }
      reason = why;
      processes = describeProcesses(processesWith("VPROCFS_TEST_LANE", lane));
    };
    const timers = [
      setTimeout(() => {
        isLate = true;
        giveUp(`not done after ${seconds} s`);
        end(child);
      }, seconds * 1000),
    ];
    child.once("exit", () => {
      const dropOutput = () => {
        giveUp("over, but others hold its output");
        child.stdout.destroy();
        child.stderr.destroy();
      };
      timers.push(setTimeout(dropOutput, OUTPUT_MS));
    });
    return new Promise((resolve) => {
      const finish = (passed, why) => {
        for (const timer of timers) {
          clearTimeout(timer);
        }
        this.#running.delete(child);
        for (const print of rest) {
          print();
        }
        const result = () => ({
          passed: passed && reason === "",
          reason: reason === "" ? why : reason,
          seconds: (performance.now() - begin) / 1000,
          isLate,
          processes,
        });
        if (reason === "") {
          resolve(result());
          return;
        }
        // Some of them clean up.
        setTimeout(() => {
          kill(processesWith("VPROCFS_TEST_LANE", lane));
          resolve(result());
        }, PATIENCE_MS);
      };
      child.once("error", (error) => finish(false, error.message));
      child.once("close", (status, signal) =>
        finish(status === 0, status === 0 ? "" : `ended by ${signal ?? `exit status ${status}`}`),
      );
    });
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
