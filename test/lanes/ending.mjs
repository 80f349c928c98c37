// When a program of a run has ended, and what is done about one that does not.

import { setTimeout as pause } from "node:timers/promises";
import { describeProcesses, processesWith } from "./processes-of.mjs";

/** What is asked to end cleans up: mounts, containers, machines. */
const PATIENCE_MS = 40_000;
/** How long something may hold the output of a program that has ended. */
const OUTPUT_MS = 120_000;
/** How long a program may take to end after all that it was for. */
const FAREWELL_MS = 60_000;
const POLL_MS = 1000;

/** Has a program clean up and end, and ends it when it does not. */
export function end(child) {
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

/** Calls `act` once `isOver` has been true for FAREWELL_MS. Returns what ends that. */
function afterFarewell(isOver, act) {
  let since;
  const timer = setInterval(() => {
    since ??= isOver() ? performance.now() : undefined;
    if (since !== undefined && performance.now() - since > FAREWELL_MS) {
      clearInterval(timer);
      act();
    }
  }, POLL_MS);
  return () => clearInterval(timer);
}

/** Resolves to whether a program succeeded, and why not. */
function closed(child) {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ passed: false, reason: error.message }));
    child.once("close", (status, signal) => {
      const reason = status === 0 ? "" : `ended by ${signal ?? `exit status ${status}`}`;
      resolve({ passed: status === 0, reason });
    });
  });
}

/**
 * Waits for the end of a program and of all that holds its output; of `lane` are the processes that have
 * VPROCFS_TEST_LANE=`lane` in their environment. Past `seconds` it is ended, with what is left of the
 * lane. One that does not end a minute after all that it was for (`isOver`), as Node may
 * (https://github.com/nodejs/node/issues/54918), is ended too, and has succeeded. Resolves to whether it
 * `passed`, the `reason` why not, whether it was too late (`isLate`), and what its `processes` did when it
 * did not end; never rejects.
 */
export async function whenEnded(child, { lane, seconds, isOver = () => false }) {
  let gaveUp;
  const giveUp = (reason, act, more = {}) => {
    if (gaveUp === undefined) {
      const processes = describeProcesses(processesWith("VPROCFS_TEST_LANE", lane));
      gaveUp = { passed: false, reason, processes, isLate: false, ...more };
      act();
    }
  };
  const late = setTimeout(() => {
    if (!isOver()) {
      giveUp(`not done after ${seconds} s`, () => end(child), { isLate: true });
    }
  }, seconds * 1000);
  const stopWaiting = afterFarewell(isOver, () => {
    giveUp("ended by us after all its tests", () => child.kill("SIGKILL"), { passed: true });
  });
  let held;
  child.once("exit", (status) => {
    clearTimeout(late);
    stopWaiting();
    held = setTimeout(() => {
      giveUp("over, but others hold its output", () => {}, { passed: status === 0 });
      child.stdout.destroy();
      child.stderr.destroy();
    }, OUTPUT_MS);
  });
  const ended = await closed(child);
  clearTimeout(late);
  clearTimeout(held);
  stopWaiting();
  if (gaveUp === undefined) {
    return { ...ended, isLate: false, processes: [] };
  }
  // Some of them clean up.
  await pause(PATIENCE_MS);
  kill(processesWith("VPROCFS_TEST_LANE", lane));
  return gaveUp;
}
