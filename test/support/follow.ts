// Programs whose output is read while they run.

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Scope } from "./scope.js";

export interface Followed {
  readonly child: ChildProcess;
  /** Exit status and signal. */
  readonly ended: Promise<(number | string | null)[]>;
  /** What it has printed so far. */
  text: string;
  errors: string;
}

interface Starts {
  start(scope: Scope, argv: readonly string[]): ChildProcess;
}

/** What a program in a container prints, as it does. */
export function follow(scope: Scope, container: Starts, argv: readonly string[]): Followed {
  const child = container.start(scope, argv);
  const ended: Promise<(number | string | null)[]> = once(child, "close");
  const told: Followed = { child, ended, text: "", errors: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    told.text += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    told.errors += text;
  });
  return told;
}

/** Whether a reader of a container's kernel log has all that it begins with: swap is told last. */
export function hasBanner(text: string): boolean {
  return /No swap space|Adding \d+k swap/.test(text);
}
