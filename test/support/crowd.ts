// Tasks that sleep, run and wait; native/crowd.c makes them.

import type { Cgroup } from "./cgroups.js";
import { background } from "./command.js";
import { program } from "./programs.js";
import type { Scope } from "./scope.js";
import { until } from "./wait.js";

/** Enters the cgroups before "--", then becomes what stands after it. */
const ENTER =
  'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 99; shift; done; shift; exec "$@"';

interface Crowd {
  /** Threads of one process. */
  readonly sleeping?: number;
  /** Processes that never stop. */
  readonly running?: number;
  /** Processes in uninterruptible sleep, each of which has a child that sleeps. */
  readonly blocked?: number;
}

/** Tasks in a cgroup, of the host's namespaces; returns what ends them. */
export async function crowd(scope: Scope, cgroup: Cgroup, of: Crowd): Promise<() => Promise<void>> {
  const { sleeping = 0, running = 0, blocked = 0 } = of;
  const enter = ["/bin/sh", "-c", ENTER, "enter", ...cgroup.directories, "--"];
  const argv = [program("crowd"), `${sleeping}`, `${running}`, `${blocked}`];
  const child = background(scope, [...enter, ...argv]);
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await until("the crowd is there", () => text === "ready\n");
  return async () => {
    child.stdin?.end();
    await until("the crowd is gone", () => child.exitCode !== null || child.signalCode !== null);
  };
}
